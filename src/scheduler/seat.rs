//! The seat of the leader: a queue in the broker with one message, the state.
//!
//! The queue has a single active consumer. Whoever holds the message leads; when its channel ends,
//! however it ends, the broker hands the message to the next consumer. No clock and no second
//! service take part.
//!
//! A queue that has just been made has no message, so somebody has to put the first one in, and
//! only once: a second could push out a state that a leader is about to give back. Whoever looks
//! holds an exclusive queue while it does, on the connection on which it then publishes.

use super::state::State;
use crate::broker::{AckPolicy, Broker, Consume, DeclareError, Deliveries, PublishError};
use crate::protocol::HeaderValue::{self, Bool, Int, Text};
use crate::topology::{Queue, Topology, names};
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info};

/// How long publishing the first state may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The wait before the lock is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// Why the queue of the state could not be looked at or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeatError {
    /// The queue.
    #[error("the queue of the scheduler's state: {0}")]
    Declare(#[from] DeclareError),
    /// The first state.
    #[error("the scheduler's first state: {0}")]
    Publish(#[from] PublishError),
    /// The state cannot be written.
    #[error("the scheduler's first state: {0}")]
    Encode(#[from] crate::protocol::EncodeError),
}

impl SeatError {
    /// Whether trying again can succeed without anybody doing something.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Declare(error) => matches!(error, DeclareError::Interrupted(_)),
            Self::Publish(error) => error.is_transient() || *error == PublishError::Fenced,
            Self::Encode(_) => false,
        }
    }
}

/// Makes sure that there is a state; `first` is put in if there has never been one.
pub(super) async fn prepare(broker: &Broker, first: &State) -> Result<(), SeatError> {
    let broker = broker.fenced(broker.generation());
    lock(&broker).await?;
    let prepared = prepare_alone(&broker, first).await;
    // Goes with the connection if not now.
    let unlocked = broker.delete_queue(names::SCHEDULER_LOCK).await;
    prepared?;
    Ok(unlocked?)
}

/// Consumes the state: waits in line for it.
pub(super) fn queue_up(broker: &Broker) -> Deliveries {
    broker.consume(Consume {
        queue: names::SCHEDULER.to_owned(),
        stream: None,
        declare: None,
        repair: None,
        // The next state comes when the one before is acknowledged, so that a leader that is lost
        // gives back one message.
        prefetch: 1,
        acks: AckPolicy { every: 1, within: AGAIN },
        tag: "scheduler".to_owned(),
    })
}

async fn lock(broker: &Broker) -> Result<(), SeatError> {
    let queue = Queue { durable: false, exclusive: true, ..Queue::named(names::SCHEDULER_LOCK) };
    let lock = Topology { queues: vec![queue], ..Topology::default() };
    loop {
        match broker.declare(&lock).await {
            Ok(()) => return Ok(()),
            Err(DeclareError::Locked(_)) => {
                debug!("another scheduler looks for the state, waiting");
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn prepare_alone(broker: &Broker, first: &State) -> Result<(), SeatError> {
    match broker.depth(names::SCHEDULER).await? {
        // Ready, or held by one of those who consume.
        Some(depth) if depth.ready > 0 || depth.consumers > 0 => return Ok(()),
        Some(_) => info!("the scheduler's queue is empty, beginning anew"),
        None => declare(broker).await?,
    }
    broker.publish(Arc::new(first.message()?), PATIENCE).await?;
    Ok(())
}

/// Declares the queue; on RabbitMQ from 4.3 so that it is passed on at once when the node of the
/// leader is lost. Older ones do not know that argument.
async fn declare(broker: &Broker) -> Result<(), DeclareError> {
    let quick = ("x-consumer-disconnected-timeout", Int(0));
    let arguments = vec![
        ("x-queue-type", Text("quorum".to_owned())),
        ("x-single-active-consumer", Bool(true)),
        ("x-max-length", Int(1)),
        ("x-overflow", Text("drop-head".to_owned())),
        // The loss of a leader counts as a failed delivery, and twenty would drop the state.
        ("x-delivery-limit", Int(1_000_000)),
    ];
    let declare = async |arguments: Vec<(&str, HeaderValue)>| {
        let queues = vec![Queue::new(names::SCHEDULER, arguments)];
        broker.declare(&Topology { queues, ..Topology::default() }).await
    };
    let newest = arguments.iter().cloned().chain([quick]).collect();
    match declare(newest).await {
        Err(DeclareError::Refused { reply, .. }) => {
            debug!(reply, "declaring the scheduler's queue for an older RabbitMQ");
            declare(arguments).await
        }
        other => other,
    }
}
