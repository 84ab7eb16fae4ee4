//! Results through RabbitMQ: a message to the caller's own queue.
//!
//! The worker's end is [`Rpc`]: it publishes each document to the queue the caller named, on the
//! default exchange. Nobody waiting there is no failure.
//!
//! The caller's end is an [`Inbox`]: one reply queue per client, whose documents are handed to
//! whoever watches that task. The queue outlives a lost connection, so that results sent meanwhile
//! are not missed, and the broker deletes it some minutes after the client has gone. A document
//! that nobody watches is dropped at once: nothing piles up.

use super::{Document, ResultBackend, StoreError};
use crate::broker::{AckPolicy, Broker, Consume, Deliveries, RawMessage};
use crate::ids::TaskId;
use crate::protocol::{Format, StoredResult};
use crate::topology::{Arguments, Queue};
use futures::StreamExt;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::debug;

/// How long the broker keeps a reply queue that nobody consumes.
const REPLY_QUEUE_EXPIRES: Duration = Duration::from_secs(600);

/// Results that may be with a client, not looked at.
const PREFETCH: u16 = 500;

/// Sends results to the queues that callers named.
#[derive(Debug, Clone)]
pub struct Rpc {
    broker: Broker,
    deadline: Duration,
}

impl Rpc {
    /// Sends through `broker`; each attempt to store may take `deadline`.
    pub fn new(broker: Broker, deadline: Duration) -> Self {
        Self { broker, deadline }
    }
}

impl ResultBackend for Rpc {
    fn wants(&self, reply_to: Option<&str>) -> bool {
        reply_to.is_some_and(|queue| !queue.is_empty())
    }

    fn store(&self, document: Document) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let Document { task_id, reply_to, format, body } = document;
            let Some(queue) = reply_to else { return Ok(()) };
            let message = RawMessage::reply(&queue, &task_id, format, body);
            self.broker.publish(Arc::new(message), self.deadline).await.map_err(|error| {
                StoreError { reason: error.to_string(), is_transient: error.is_transient() }
            })
        })
    }
}

/// What is known of a task: the newest document, or nothing yet.
pub type Latest = Option<Arc<StoredResult>>;

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
    watched: Mutex<HashMap<TaskId, watch::Sender<Latest>>>,
}

/// Follows the documents of one task. Dropping it stops following.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    task_id: TaskId,
    latest: watch::Receiver<Latest>,
}

impl Inbox {
    /// Opens a reply queue of its own on `broker`.
    pub fn open(broker: &Broker) -> Self {
        let queue = format!("celeriac.reply.{}", TaskId::random());
        let (open, _) = watch::channel(false);
        let watched = Mutex::default();
        let shared = Arc::new(Shared { queue: queue.clone(), open, watched });
        let expires = i64::try_from(REPLY_QUEUE_EXPIRES.as_millis()).unwrap_or(i64::MAX);
        let arguments = Arguments::from([("x-expires".to_owned(), expires.into())]);
        let deliveries = broker.consume(Consume {
            declare: Some(Queue::new(&queue, arguments)),
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

    /// Follows a task. Do it before the task is sent, or a quick answer is missed.
    pub fn watch(&self, task_id: TaskId) -> Watch {
        let (sender, latest) = watch::channel(None);
        self.shared.watched().insert(task_id.clone(), sender);
        Watch { shared: Arc::clone(&self.shared), task_id, latest }
    }
}

impl Watch {
    /// The newest document now.
    pub fn latest(&self) -> Latest {
        self.latest.borrow().clone()
    }

    /// Waits for a newer document. Cancel safe.
    pub async fn changed(&mut self) -> Latest {
        // The sender lives as long as this watch, in the table of the watched.
        if self.latest.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.latest.borrow_and_update().clone()
    }

    /// Waits for the document that ends the task. Cancel safe.
    pub async fn ended(&mut self) -> Arc<StoredResult> {
        loop {
            if let Some(result) = self.latest()
                && result.state.is_ready()
            {
                return result;
            }
            self.changed().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.watched().remove(&self.task_id);
    }
}

impl Shared {
    fn watched(&self) -> MutexGuard<'_, HashMap<TaskId, watch::Sender<Latest>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self, result: StoredResult) {
        match self.watched().get(&result.task_id) {
            Some(sender) => drop(sender.send_replace(Some(Arc::new(result)))),
            None => debug!(task.id = %result.task_id, "a result that nobody waits for"),
        }
    }
}

async fn receive(mut deliveries: Deliveries, shared: Arc<Shared>) {
    deliveries.opened().await;
    shared.open.send_replace(true);
    while let Some(delivery) = deliveries.next().await {
        let format = delivery.content_type().and_then(|kind| Format::from_content_type(&kind));
        match StoredResult::decode(format.unwrap_or(Format::Json), delivery.body.clone()) {
            Ok(result) => shared.hand_over(result),
            Err(error) => debug!(%error, "an unreadable result"),
        }
        delivery.settle.ack();
    }
}
