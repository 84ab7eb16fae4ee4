//! A stream of records, read from its beginning and on.
//!
//! A stream cannot be asked where it ends. So whoever reads publishes a mark of its own, and has read
//! all that was there before when it meets it.

use crate::broker::{
    AckPolicy, Broker, Consume, DeclareError, Deliveries, PublishError, RawMessage, StreamStart,
};
use crate::protocol::HeaderValue;
use crate::topology::Topology;
use futures::StreamExt;
use futures::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tracing::debug;

/// How long a mark may take to the broker.
const MARKED_WITHIN: Duration = Duration::from_secs(5);

/// So many records are under way at once.
const PREFETCH: u16 = 200;

/// A stream, and the header by which its marks are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    /// Its exchange has the same name.
    pub(super) stream: &'static str,
    pub(super) topology: fn() -> Topology,
    pub(super) mark: &'static str,
}

/// What comes from a stream.
#[derive(Debug)]
pub(super) enum Read {
    Record(Box<RawMessage>),
    /// All that was there before has been read, on the connection of this generation.
    CaughtUp(u64),
}

/// A stream being read, again from its beginning and to another mark after each loss of the connection.
pub(super) struct Records {
    broker: Broker,
    deliveries: Deliveries,
    /// Of the connection that the last message came by; 0 before the first.
    generation: u64,
    kept: Kept,
    mark: String,
    passed: u64,
    /// Publishes the mark, and never ends.
    marking: BoxFuture<'static, ()>,
}

impl Kept {
    /// Reads it.
    pub(super) fn read(self, broker: &Broker) -> Records {
        let (mark, marking) = mark_end(broker, self);
        let deliveries = broker.consume(Consume {
            queue: self.stream.to_owned(),
            stream: Some(StreamStart::First),
            declare: None,
            repair: Some((self.topology)()),
            prefetch: PREFETCH,
            acks: AckPolicy {
                every: usize::from(PREFETCH / 4),
                within: Duration::from_millis(100),
            },
            tag: format!("{}-reader", self.stream),
        });
        Records {
            broker: broker.clone(),
            deliveries,
            generation: 0,
            kept: self,
            mark,
            passed: 0,
            marking,
        }
    }

    /// Publishes a record; the stream is made if it is missing.
    pub(super) async fn keep(
        self,
        broker: &Broker,
        message: RawMessage,
        deadline: Duration,
    ) -> Result<Result<(), PublishError>, DeclareError> {
        let message = Arc::new(message);
        match broker.publish(Arc::clone(&message), deadline).await {
            Err(PublishError::NoExchange { .. } | PublishError::Unroutable { .. }) => {
                broker.declare(&(self.topology)()).await?;
                Ok(broker.publish(message, deadline).await)
            }
            published => Ok(published),
        }
    }
}

/// A mark, and what publishes it.
fn mark_end(broker: &Broker, kept: Kept) -> (String, BoxFuture<'static, ()>) {
    let mark = uuid::Uuid::new_v4().simple().to_string();
    let headers = [(kept.mark, HeaderValue::Text(mark.clone()))];
    let message = RawMessage::note(kept.stream, headers);
    let broker = broker.clone();
    let marking = async move {
        let why = match kept.keep(&broker, message, MARKED_WITHIN).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            debug!(stream = kept.stream, why, "the end of what was written before is not marked");
        }
        std::future::pending().await
    };
    (mark, Box::pin(marking))
}

impl Records {
    /// What comes next; `None` when nothing will. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Read> {
        loop {
            tokio::select! {
                biased;
                delivery = self.deliveries.next() => {
                    let delivery = delivery?;
                    self.note(delivery.settle.life().generation());
                    let message = RawMessage::from(&delivery);
                    delivery.settle.ack();
                    match message.text_header(self.kept.mark) {
                        Some(mark) if mark == self.mark => {
                            return Some(Read::CaughtUp(self.generation));
                        }
                        Some(_) => {}
                        None => return Some(Read::Record(Box::new(message))),
                    }
                }
                () = &mut self.marking => {}
            }
        }
    }

    /// What was written while the connection was lost is known behind another mark.
    fn note(&mut self, generation: u64) {
        if self.generation != 0 && self.generation != generation {
            (self.mark, self.marking) = mark_end(&self.broker, self.kept);
            self.passed = 0;
        }
        self.generation = generation;
        self.passed += 1;
    }

    /// How many messages have come from the beginning on, with the marks of others.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// Stops reading.
    pub(super) async fn close(self) {
        self.deliveries.close().await;
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("stream", &self.kept.stream).finish_non_exhaustive()
    }
}
