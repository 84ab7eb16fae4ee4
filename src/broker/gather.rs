//! Takes everything out of a queue and holds it until it is decided what becomes of it.

use super::declare::{self, DeclareError};
use super::memory::Subscription;
use super::{AckPolicy, Broker, Consume, Deliveries, RawMessage, Settle};
use crate::topology::Queue;
use futures::{FutureExt, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

/// Holds the messages of one queue. When it is dropped they go back to the queue, all at once.
pub struct Gathering(Source);

enum Source {
    RabbitMq { channel: Box<Channel>, consumer: Box<Consumer> },
    Memory { deliveries: Box<Deliveries>, held: Vec<Settle> },
}

/// One message that is held.
#[derive(Debug)]
pub struct Taken {
    /// The message.
    pub message: RawMessage,
    tag: u64,
}

impl Broker {
    /// Begins to take the messages of a queue, as many as there are.
    ///
    /// On a queue with a single active consumer only one gathering at a time gets any.
    ///
    /// # Errors
    ///
    /// [`DeclareError::Missing`] when there is no such queue; or the connection broke.
    pub async fn gather(&self, queue: &str) -> Result<Gathering, DeclareError> {
        if let Some(memory) = self.memory() {
            let subscription = Subscription::new(&memory.out_of_lane(), everything(queue));
            let deliveries = Box::new(Deliveries::of_memory(subscription));
            return Ok(Gathering(Source::Memory { deliveries, held: Vec::new() }));
        }
        let connection = self.connection().await?;
        let channel = declare::open(&connection).await?;
        let tag = format!("gather-{}", uuid::Uuid::new_v4().simple());
        let options = BasicConsumeOptions::default();
        let consumed =
            channel.basic_consume(queue.into(), tag.into(), options, FieldTable::default());
        match consumed.await {
            Ok(consumer) => {
                let (channel, consumer) = (Box::new(channel), Box::new(consumer));
                Ok(Gathering(Source::RabbitMq { channel, consumer }))
            }
            Err(error) => Err(declare::refusal(&error, Queue::named(queue).object())),
        }
    }
}

fn everything(queue: &str) -> Consume {
    Consume {
        queue: queue.to_owned(),
        stream: None,
        declare: None,
        repair: None,
        prefetch: u16::MAX,
        acks: AckPolicy { every: 1, within: Duration::ZERO },
        tag: "gather".to_owned(),
    }
}

impl Gathering {
    /// The next message; `None` when none comes for this long, or what is held is not held any
    /// more.
    pub async fn next(&mut self, patience: Duration) -> Option<Taken> {
        match &mut self.0 {
            Source::RabbitMq { consumer, .. } => {
                let delivery = timeout(patience, consumer.next()).await.ok()??.ok()?;
                let message = RawMessage {
                    exchange: delivery.exchange.to_string(),
                    routing_key: delivery.routing_key.to_string(),
                    properties: delivery.properties,
                    body: delivery.data.into(),
                    mandatory: true,
                };
                Some(Taken { message, tag: delivery.delivery_tag })
            }
            // What is there is there at once.
            Source::Memory { deliveries, held } => {
                let delivery = deliveries.next().now_or_never()??;
                let message = RawMessage::from(&delivery);
                held.push(delivery.settle);
                Some(Taken { message, tag: held.len() as u64 - 1 })
            }
        }
    }

    /// Whether the messages are still held.
    pub fn is_held(&self) -> bool {
        match &self.0 {
            Source::RabbitMq { channel, .. } => channel.status().connected(),
            Source::Memory { .. } => true,
        }
    }

    /// Gives the messages back but for those of `twice`, which are removed for good; returns once
    /// the broker has them.
    pub async fn release(mut self, twice: &[Taken]) {
        match &mut self.0 {
            Source::RabbitMq { channel, .. } => {
                for taken in twice {
                    // If the channel is gone, it is back in the queue, and may be removed again.
                    let _ = channel.basic_ack(taken.tag, BasicAckOptions::default()).await;
                }
                declare::close(channel).await;
            }
            Source::Memory { deliveries, held } => {
                for (tag, settle) in held.drain(..).enumerate() {
                    match twice.iter().any(|taken| taken.tag == tag as u64) {
                        true => settle.ack(),
                        false => settle.give_back(),
                    }
                }
                deliveries.stop().await;
            }
        }
    }
}

impl fmt::Debug for Gathering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathering").field("is_held", &self.is_held()).finish_non_exhaustive()
    }
}
