//! Results through RabbitMQ: a message to the caller's own queue.
//!
//! The worker's end is [`Rpc`]: it publishes each document to the queue the caller named, on the
//! default exchange. Nobody waiting there is no failure.
//!
//! The caller's end is an [`Inbox`], opened with the first task that is expected: one reply queue
//! per client, whose documents are handed to whoever watches that task. The queue outlives a lost
//! connection, so that results sent meanwhile are not missed, and the broker deletes it some minutes
//! after the client has gone. A document that nobody watches is dropped at once: nothing piles up.

mod chords;

use super::{
    ChordStore, Document, Expected, Latest, NotKept, ResultBackend, StoreError, Watch, Watched,
};
use crate::broker::{AckPolicy, Broker, Consume, Deliveries, RawMessage};
use crate::ids::TaskId;
use crate::protocol::{Format, StoredResult};
use crate::topology::{Arguments, Queue};
use chords::Chords;
use futures::StreamExt;
use futures::future::BoxFuture;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::debug;

/// How long the broker keeps a reply queue that nobody consumes.
const REPLY_QUEUE_EXPIRES: Duration = Duration::from_secs(600);

/// How long the results of a chord wait for those that are missing.
const CHORDS_EXPIRE: Duration = Duration::from_secs(86_400);

/// Results that may be with a client, not looked at.
const PREFETCH: u16 = 500;

/// Sends results to the queues that callers named, and receives those of its own.
#[derive(Debug, Clone)]
pub struct Rpc {
    broker: Broker,
    deadline: Duration,
    inbox: Arc<OnceLock<Inbox>>,
    chords: Arc<Chords>,
    chords_expire: Duration,
}

/// Why a result cannot be heard of by whoever did not send the task.
const ELSEWHERE: NotKept = NotKept {
    why: "with backend \"rpc\" only the program that sent a task hears of its result, and only \
          once; a store in [results] keeps it",
};

impl Rpc {
    /// Sends through `broker`; each attempt to store may take `deadline`.
    pub fn new(broker: Broker, deadline: Duration) -> Self {
        let (inbox, chords) = Default::default();
        Self { broker, deadline, inbox, chords, chords_expire: CHORDS_EXPIRE }
    }

    /// The same, but the results of a chord are kept for this long after the last one came while
    /// others are missing; zero keeps them for ever.
    #[must_use]
    pub fn keeping_chords(self, expire: Duration) -> Self {
        Self { chords_expire: expire, ..self }
    }

    fn inbox(&self) -> &Inbox {
        self.inbox.get_or_init(|| Inbox::open(&self.broker))
    }
}

impl ResultBackend for Rpc {
    fn wants(&self, reply_to: Option<&str>) -> bool {
        reply_to.is_some_and(|queue| !queue.is_empty())
    }

    fn store<'a>(&'a self, document: &'a Document) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let Document { task_id, reply_to, format, body, .. } = document;
            let Some(queue) = reply_to else { return Ok(()) };
            let message = RawMessage::reply(queue, task_id, *format, body.clone());
            self.broker.publish(Arc::new(message), self.deadline).await.map_err(|error| {
                StoreError { reason: error.to_string(), is_transient: error.is_transient() }
            })
        })
    }

    fn expect(&self, id: TaskId) -> BoxFuture<'_, Expected> {
        Box::pin(async move {
            let inbox = self.inbox();
            let watch = inbox.watch(id);
            inbox.ready().await;
            Expected { watch, reply_to: Some(inbox.queue().to_owned()) }
        })
    }

    fn watch(&self, id: TaskId) -> Watch {
        match self.inbox.get().and_then(|inbox| inbox.known(&id)) {
            Some(watch) => watch,
            None => Watch::never(ELSEWHERE),
        }
    }

    fn latest<'a>(&'a self, id: &'a TaskId) -> BoxFuture<'a, Result<Latest, StoreError>> {
        let known = self.inbox.get().and_then(|inbox| inbox.known(id));
        let latest = known.map(|watch| watch.latest()).ok_or_else(|| ELSEWHERE.into());
        Box::pin(std::future::ready(latest))
    }

    fn chords(&self) -> Option<&dyn ChordStore> {
        Some(self)
    }

    /// Nothing is kept that could be removed.
    fn forget<'a>(&'a self, _: &'a TaskId) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Receives the results of one client. Cloning is cheap; the queue goes with the last clone.
#[derive(Debug, Clone)]
pub struct Inbox {
    shared: Arc<Shared>,
    _receiver: Arc<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    queue: String,
    /// Turns true once the queue exists.
    open: watch::Sender<bool>,
    watched: Arc<Watched>,
}

impl Inbox {
    /// Opens a reply queue of its own on `broker`.
    pub fn open(broker: &Broker) -> Self {
        let queue = format!("celeriac.reply.{}", TaskId::random());
        let (open, _) = watch::channel(false);
        let shared = Arc::new(Shared { queue: queue.clone(), open, watched: Arc::default() });
        let expires = i64::try_from(REPLY_QUEUE_EXPIRES.as_millis()).unwrap_or(i64::MAX);
        let arguments = Arguments::from([("x-expires".to_owned(), expires.into())]);
        let deliveries = broker.consume(Consume {
            stream: None,
            declare: Some(Queue::new(&queue, arguments).into()),
            repair: None,
            queue,
            prefetch: PREFETCH,
            acks: AckPolicy { every: 50, within: Duration::from_millis(50) },
            tag: "results".to_owned(),
        });
        let mut receiver = JoinSet::new();
        receiver.spawn(receive(deliveries, Arc::clone(&shared)));
        Self { shared, _receiver: Arc::new(receiver) }
    }

    /// The queue to name as `reply_to`.
    pub fn queue(&self) -> &str {
        &self.shared.queue
    }

    /// Waits until the queue exists, so that no answer can be too early for it. Cancel safe.
    pub async fn ready(&self) {
        let mut open = self.shared.open.subscribe();
        // The sender lives as long as this inbox.
        let _ = open.wait_for(|open| *open).await;
    }

    /// Another watch of a task that is watched already.
    fn known(&self, task_id: &TaskId) -> Option<Watch> {
        self.shared.watched.another(task_id)
    }

    /// Follows a task. Do it before the task is sent, or a quick answer is missed.
    pub fn watch(&self, task_id: TaskId) -> Watch {
        self.shared.watched.watch(task_id)
    }
}

async fn receive(mut deliveries: Deliveries, shared: Arc<Shared>) {
    deliveries.opened().await;
    shared.open.send_replace(true);
    while let Some(delivery) = deliveries.next().await {
        let format = delivery.content_type().and_then(|kind| Format::from_content_type(&kind));
        match StoredResult::decode(format.unwrap_or(Format::Json), delivery.body.clone()) {
            Ok(result) => shared.watched.tell(result),
            Err(error) => match delivery.correlation_id() {
                Some(id) => shared.watched.tell(StoredResult::unreadable(id.into(), &error)),
                None => debug!(%error, "an unreadable result of nobody knows which task"),
            },
        }
        delivery.settle.ack();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;
    use crate::protocol::TaskState;

    #[tokio::test]
    async fn whoever_waits_for_a_result_that_cannot_be_read_is_told() {
        let broker = Broker::in_memory(VirtualClock::starting_at(std::time::UNIX_EPOCH));
        let inbox = Inbox::open(&broker);
        inbox.ready().await;
        let mut watch = inbox.watch("t".into());
        let reply = RawMessage::reply(inbox.queue(), &"t".into(), Format::Json, "garbage".into());
        broker.publish(Arc::new(reply), Duration::from_secs(1)).await.unwrap();
        let ended = watch.ended().await.unwrap();
        assert_eq!(ended.state, TaskState::Failure);
        assert_eq!(ended.exception().unwrap().unwrap().kind, "UnreadableResult");
    }
}
