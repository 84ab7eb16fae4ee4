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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::prelude::*;
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// let app = App::in_memory();
/// add(1, 2).priority(7).header("tenant", "acme").send(&app).await?;
/// let sent = &app.sent_named("shop.add")[0];
/// assert_eq!(sent.routing_key, "default");
/// assert_eq!(sent.properties.priority, Some(7));
/// assert_eq!(sent.headers.extra["tenant"], "acme".into());
/// # Ok(())
/// # }
/// ```
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// #[task(name = "mail.welcome")]
    /// async fn welcome(user: u64, template: Option<String>) -> anyhow::Result<()> {
    ///     anyhow::ensure!(user > 0 || template.is_none(), "no such user");
    ///     Ok(())
    /// }
    ///
    /// let app = App::in_memory();
    /// welcome(41, None).send(&app).await?;
    /// welcome(42, Some("short".to_owned())).send(&app).await?;
    /// assert_eq!(app.sent::<welcome>(), [(41, None), (42, Some("short".to_owned()))]);
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// let app = App::in_memory();
    /// welcome(42).send(&app).await?;
    /// add(1, 2).send(&app).await?;
    /// let sent = app.all_sent();
    /// assert_eq!(sent.len(), 2);
    /// assert_eq!(sent[1].headers.task, "shop.add");
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// use celeriac::archive::Reason;
    ///
    /// #[task(name = "mail.welcome", max_retries = 0)]
    /// async fn welcome(user: u64) -> anyhow::Result<()> {
    ///     anyhow::bail!("user {user} has no address")
    /// }
    ///
    /// let app = App::in_memory();
    /// welcome(42).send(&app).await?;
    /// TestWorker::new(&app).register::<welcome>().drain().await;
    /// let letters = app.dead_letters().await;
    /// assert_eq!(letters[0].task.as_deref(), Some("mail.welcome"));
    /// assert_eq!(letters[0].reason, Reason::Exhausted);
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// # use std::time::Duration;
    /// let app = App::in_memory();
    /// welcome(42).countdown(Duration::from_secs(600)).send(&app).await?;
    /// app.pass(Duration::from_secs(599));
    /// assert_eq!(app.broker().depth("default").await?.expect("it is there").ready, 0);
    /// app.pass(Duration::from_secs(1));
    /// assert_eq!(app.broker().depth("default").await?.expect("it is there").ready, 1);
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// use celeriac::clock::Clock;
    /// use std::time::Duration;
    ///
    /// let app = App::in_memory();
    /// let tomorrow = app.virtual_clock().now() + Duration::from_secs(86_400);
    /// welcome(42).eta(tomorrow).send(&app).await?;
    /// assert_eq!(app.all_sent()[0].headers.eta, Some(tomorrow));
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// # let app = App::in_memory();
    /// welcome(42).id("welcome-42").send(&app).await?;
    /// assert_eq!(app.all_sent()[0].id().as_str(), "welcome-42");
    /// # Ok(())
    /// # }
    /// ```
    pub fn id(&self) -> &TaskId {
        &self.headers.id
    }

    /// The positional arguments, as a tuple or list.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// app.client().send("shop.add", &(1, 2), &(), SendOptions::default()).await?;
    /// let (a, b): (i64, i64) = app.sent_named("shop.add")[0].args()?;
    /// assert_eq!((a, b), (1, 2));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When they do not fit.
    pub fn args<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.body.args()
    }

    /// The arguments by name, as a map or struct.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Debug, PartialEq, Serialize, Deserialize)]
    /// struct Thumbnail {
    ///     path: String,
    /// }
    ///
    /// # let app = App::in_memory();
    /// let wanted = Thumbnail { path: "a.mp4".to_owned() };
    /// app.client().send("video.thumbnail", &(), &wanted, SendOptions::default()).await?;
    /// assert_eq!(app.sent_named("video.thumbnail")[0].kwargs::<Thumbnail>()?, wanted);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When they do not fit.
    pub fn kwargs<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.body.kwargs()
    }
}
