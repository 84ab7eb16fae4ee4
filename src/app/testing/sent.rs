//! What was sent, read back from the bytes that would have travelled.

use super::super::{App, rehearsal::Rehearsal};
use crate::archive::{Archive, DeadLetter, Filter};
use crate::clock::{Clock, VirtualClock};
use crate::ids::TaskId;
use crate::protocol::{Body, DecodeError, Envelope, Headers, Limits, Properties, Unreadable};
use crate::task::{Given, Task};
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// A task as it was sent.
#[derive(Debug, Clone)]
pub struct SentTask {
    /// The exchange it was published to: an entry of the delay ladder when it waits.
    pub exchange: String,
    /// Its routing key; for a task that goes to a queue, the queue's name.
    pub routing_key: String,
    /// Its properties: priority, where the result goes, and the rest.
    pub properties: Properties,
    /// Its headers: id, ETA, expiry, custom headers and the rest.
    pub headers: Headers,
    /// Its arguments.
    pub body: Arc<Body>,
}

/// What tests ask of an app in memory.
///
/// All of it panics when the app is connected to a broker: a test that means to run without one
/// should not go on.
impl App {
    /// Every call of the task that was sent, in order, with the arguments that were sent. What
    /// workers publish again, to retry or to put off, is not sent anew.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// use celeriac::app::App;
    /// use celeriac::publisher::SendOptions;
    ///
    /// let app = App::in_memory();
    /// app.client().send("mail.send", &("ada", 7), &(), SendOptions::default()).await?;
    /// let sent = app.sent_named("mail.send");
    /// assert_eq!(sent[0].args::<(String, u32)>()?, ("ada".to_owned(), 7));
    /// assert_eq!(sent[0].routing_key, "default");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When the app is not in memory, or a message under this name cannot be read.
    pub fn sent_named(&self, task: &str) -> Vec<SentTask> {
        let sent = self.all_sent().into_iter().filter(|sent| sent.headers.task == task);
        sent.collect()
    }

    /// The arguments of every call of `T` that was sent, in order, decoded as a worker would.
    ///
    /// # Panics
    ///
    /// When the app is not in memory, or a call does not fit the task.
    pub fn sent<T: Task>(&self) -> Vec<T::Args> {
        let read = |sent: SentTask| match Given::new(T::NAME, &sent.body).read::<T>() {
            Ok(args) => args,
            Err(error) => panic!("task {} of id {}: {error}", T::NAME, sent.headers.id),
        };
        self.sent_named(T::NAME).into_iter().map(read).collect()
    }

    /// Every task that was sent, in order.
    ///
    /// # Panics
    ///
    /// When the app is not in memory, or a message cannot be read.
    pub fn all_sent(&self) -> Vec<SentTask> {
        let limits: Limits = (&self.config().limits).into();
        let mut seen = HashSet::new();
        let messages = self.rehearsal().memory.tasks();
        let sent = messages.iter().map(|message| {
            let (exchange, routing_key) = (message.exchange.clone(), message.routing_key.clone());
            let read = message.envelope(&limits);
            let read =
                read.and_then(|envelope| SentTask::read(exchange, routing_key, envelope, &limits));
            read.unwrap_or_else(|error| panic!("a task that was sent cannot be read: {error}"))
        });
        sent.filter(|sent| seen.insert(sent.headers.id.clone())).collect()
    }

    /// What is in the archive and was neither requeued nor discarded, oldest first.
    ///
    /// # Panics
    ///
    /// When the app is not in memory.
    pub async fn dead_letters(&self) -> Vec<DeadLetter> {
        let clock = self.virtual_clock();
        let filter = Filter::parse("", clock.now()).expect("nothing is a filter");
        let archive =
            Archive::new(self.broker().clone(), self.config().dead.clone(), Arc::new(clock));
        archive.survey(&filter).await.expect("the archive is in memory")
    }

    /// Lets time pass in the broker in memory, event by event, without waiting for workers: what
    /// waits arrives, what is over expires. With workers there,
    /// [`TestWorker::advance`](super::TestWorker::advance) lets them work on the way.
    ///
    /// # Panics
    ///
    /// When the app is not in memory.
    pub fn pass(&self, time: Duration) {
        let rehearsal = self.rehearsal();
        let end = rehearsal.clock.now() + time;
        while let Some(next) = rehearsal.next_event().filter(|next| *next <= end) {
            rehearsal.move_to(next);
        }
        rehearsal.move_to(end);
    }

    /// The clock of an app in memory. [`TestWorker::advance`](super::TestWorker::advance) moves it
    /// and lets happen what is due on the way; moving it here alone wakes those who sleep by it.
    ///
    /// # Panics
    ///
    /// When the app is not in memory.
    pub fn virtual_clock(&self) -> VirtualClock {
        self.rehearsal().clock.clone()
    }

    pub(super) fn rehearsal(&self) -> &Arc<Rehearsal> {
        self.rehearsal.as_ref().expect("the app is in memory, made by `App::in_memory`")
    }
}

impl SentTask {
    fn read(
        exchange: String,
        routing_key: String,
        envelope: Envelope,
        limits: &Limits,
    ) -> Result<Self, Unreadable> {
        let body = Arc::new(Body::parse(&envelope, limits)?);
        let Envelope { properties, headers, .. } = envelope;
        Ok(Self { exchange, routing_key, properties, headers, body })
    }

    /// The task's id.
    pub fn id(&self) -> &TaskId {
        &self.headers.id
    }

    /// The positional arguments, as a tuple or list.
    ///
    /// # Errors
    ///
    /// When they do not fit.
    pub fn args<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.body.args()
    }

    /// The arguments by name, as a map or struct.
    ///
    /// # Errors
    ///
    /// When they do not fit.
    pub fn kwargs<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.body.kwargs()
    }
}
