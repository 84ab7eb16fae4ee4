//! Deliveries, wherever they come from: RabbitMQ, or a broker in memory.

use super::consume::{self, Consumption};
use super::memory::{self, Subscription};
use super::stream::StreamStart;
use crate::protocol::Bytes;
use crate::topology::Topology;
use futures::{Stream, StreamExt};
use lapin::BasicProperties;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// When finished deliveries are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckPolicy {
    /// As soon as this many are finished; 1 acknowledges each at once.
    pub every: usize,
    /// And never later than this after one is finished.
    pub within: Duration,
}

/// What to consume and how.
#[derive(Debug, Clone)]
pub struct Consume {
    /// The queue.
    pub queue: String,
    /// For a stream: where to begin, again after each loss of the connection. `None` for a queue.
    pub stream: Option<StreamStart>,
    /// Declared each time before consuming, for a queue that lives no longer than its client, with
    /// what it is bound to.
    pub declare: Option<Topology>,
    /// Declared when the queue turns out to be missing, so that one that somebody deletes comes
    /// back with its bindings. `None` waits until somebody makes it.
    pub repair: Option<Topology>,
    /// Most deliveries that are not acknowledged yet, at least 1.
    pub prefetch: u16,
    /// When to acknowledge.
    pub acks: AckPolicy,
    /// Shown by the broker in the list of consumers; made unique here.
    pub tag: String,
}

/// Deliveries of one queue, over reconnections. Ends only after [`Deliveries::stop`].
#[derive(Debug)]
pub struct Deliveries(Source);

#[derive(Debug)]
enum Source {
    Channel(Box<Consumption>),
    Memory(Subscription),
}

/// One message handed to us, not yet settled.
///
/// Dropping it without settling leaves it with us until the channel closes; then the broker hands
/// it out again.
#[derive(Debug)]
pub struct Delivery {
    /// The queue it came from.
    pub queue: Arc<str>,
    /// The exchange it was published to last.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// Whether the broker has handed it out before.
    pub redelivered: bool,
    pub(crate) properties: BasicProperties,
    /// The body, as it came over the wire.
    pub body: Bytes,
    /// What settles it.
    pub settle: Settle,
}

/// Settles one delivery, exactly once.
#[derive(Debug)]
pub struct Settle(Receipt);

#[derive(Debug)]
enum Receipt {
    Channel(consume::Receipt),
    Memory(memory::Receipt),
}

/// The life of the channel that brought a delivery. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Life(Option<consume::Life>);

impl Deliveries {
    pub(super) fn of_channel(consumption: Consumption) -> Self {
        Self(Source::Channel(Box::new(consumption)))
    }

    pub(super) fn of_memory(subscription: Subscription) -> Self {
        Self(Source::Memory(subscription))
    }

    /// The queue that is consumed.
    pub fn queue(&self) -> &Arc<str> {
        match &self.0 {
            Source::Channel(consumption) => consumption.queue(),
            Source::Memory(subscription) => subscription.queue(),
        }
    }

    /// How many deliveries may be with us, not acknowledged.
    pub fn prefetch(&self) -> u16 {
        match &self.0 {
            Source::Channel(consumption) => consumption.prefetch(),
            Source::Memory(subscription) => subscription.prefetch(),
        }
    }

    /// Whether a consumer is running at the broker.
    pub fn is_consuming(&self) -> bool {
        match &self.0 {
            Source::Channel(consumption) => consumption.is_consuming(),
            Source::Memory(subscription) => subscription.is_consuming(),
        }
    }

    /// Waits until the first consumer has started. Cancel safe.
    pub async fn opened(&mut self) {
        if let Source::Channel(consumption) = &mut self.0 {
            consumption.opened().await;
        }
    }

    /// Changes the prefetch of the running consumer. Deliveries that are here stay valid.
    ///
    /// RabbitMQ applies a prefetch when a consumer starts, so the consumer is replaced by another
    /// on the same channel. What a quorum queue has under way to the old one at that moment goes
    /// back to the queue, and comes again marked as redelivered.
    ///
    /// While a consumer is being started this does nothing: ask again once it runs.
    pub fn set_prefetch(&mut self, prefetch: u16) {
        match &mut self.0 {
            Source::Channel(consumption) => consumption.set_prefetch(prefetch),
            Source::Memory(subscription) => subscription.set_prefetch(prefetch),
        }
    }

    /// Starts a fresh consumer on a fresh channel; what is here becomes void.
    pub fn restart(&mut self) {
        match &mut self.0 {
            Source::Channel(consumption) => consumption.restart(),
            Source::Memory(subscription) => subscription.restart(),
        }
    }

    /// Takes the connection for dead: every channel on it ends, and another is made.
    pub fn abandon_connection(&mut self) {
        match &mut self.0 {
            Source::Channel(consumption) => consumption.abandon_connection(),
            Source::Memory(subscription) => subscription.restart(),
        }
    }

    /// Takes in nothing more and gives back what has not been looked at. What has been handed out
    /// can still be settled.
    pub async fn stop(&mut self) {
        match &mut self.0 {
            Source::Channel(consumption) => consumption.stop().await,
            Source::Memory(subscription) => subscription.stop(),
        }
    }

    /// Sends the acknowledgements that are due and closes the channel once the broker has read
    /// them. Call it when everything handed out is settled.
    pub async fn close(self) {
        match self.0 {
            Source::Channel(consumption) => consumption.close().await,
            Source::Memory(subscription) => subscription.close(),
        }
    }
}

impl Stream for Deliveries {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        match &mut self.0 {
            Source::Channel(consumption) => consumption.poll_next_unpin(cx),
            Source::Memory(subscription) => subscription.poll_next(cx),
        }
    }
}

impl Delivery {
    /// The content type, if the sender set one.
    pub fn content_type(&self) -> Option<String> {
        self.properties.content_type().as_ref().map(ToString::to_string)
    }

    /// What it answers: of a result, the task's id.
    pub fn correlation_id(&self) -> Option<String> {
        self.properties.correlation_id().as_ref().map(ToString::to_string)
    }
}

impl Settle {
    pub(super) fn of_channel(receipt: consume::Receipt) -> Self {
        Self(Receipt::Channel(receipt))
    }

    pub(super) fn of_memory(receipt: memory::Receipt) -> Self {
        Self(Receipt::Memory(receipt))
    }

    /// The life that this delivery shares with its channel.
    pub fn life(&self) -> Life {
        match &self.0 {
            Receipt::Channel(receipt) => Life(Some(receipt.life())),
            Receipt::Memory(_) => Life(None),
        }
    }

    /// Whether the broker has taken the delivery back, so that settling it means nothing and the
    /// message is handed out again.
    pub fn is_void(&self) -> bool {
        match &self.0 {
            Receipt::Channel(receipt) => receipt.is_void(),
            Receipt::Memory(receipt) => receipt.is_void(),
        }
    }

    /// Acknowledges: the broker forgets the message. Returns at once; the acknowledgement is sent
    /// with others of its run.
    pub fn ack(self) {
        match self.0 {
            Receipt::Channel(receipt) => receipt.ack(),
            Receipt::Memory(receipt) => receipt.ack(),
        }
    }

    /// As [`Settle::ack`], and sends the acknowledgement at once.
    pub fn ack_now(self) {
        match self.0 {
            Receipt::Channel(receipt) => receipt.ack_now(),
            Receipt::Memory(receipt) => receipt.ack(),
        }
    }

    /// Gives the message back to its queue, at once. It does not count as a failed delivery on
    /// RabbitMQ 4.3.
    pub fn give_back(self) {
        match self.0 {
            Receipt::Channel(receipt) => receipt.give_back(),
            Receipt::Memory(receipt) => receipt.give_back(),
        }
    }

    /// Refuses the message: the queue's dead-letter exchange gets it.
    pub fn reject(self) {
        match self.0 {
            Receipt::Channel(receipt) => receipt.reject(),
            Receipt::Memory(receipt) => receipt.reject(),
        }
    }
}

/// A broker in memory never loses a channel.
impl Life {
    /// Whether the channel is gone, and with it everything it brought.
    pub fn is_over(&self) -> bool {
        self.0.as_ref().is_some_and(consume::Life::is_over)
    }

    /// Waits until the connection is lost. A channel that ends alone is noticed by whoever takes
    /// the next delivery. Cancel safe.
    pub async fn over(&self) {
        match &self.0 {
            Some(life) => life.over().await,
            None => std::future::pending().await,
        }
    }

    /// Which of the connections it is on, for [`super::Broker::fenced`].
    pub fn generation(&self) -> u64 {
        self.0.as_ref().map_or(1, consume::Life::generation)
    }

    /// Whether both are of one channel.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => one.is_same(other),
            (None, None) => true,
            _ => false,
        }
    }
}
