//! Takes the broker's own dead letters into the archive.
//!
//! A queue cannot dead-letter into the stream without loss (see
//! [`Topology::dead`](crate::topology::Topology::dead)), so such letters arrive in a queue, where
//! they wait until a worker or `celeriac dead` takes them over: with what RabbitMQ tells of them,
//! confirmed, and acknowledged only then.
//!
//! One kind is not dead. A broker that keeps its bindings in memory (before RabbitMQ 4.2) restores
//! them after its queues, and what leaves the delay ladder in between finds no way to a queue that is
//! there. Such a message goes on to its queue; it ends here only when the queue is really gone.

use super::death::Death;
use super::{Archive, Burial, Reason};
use crate::broker::{AckPolicy, Consume, Deliveries, Delivery, PublishError, RawMessage};
use crate::shutdown::Shutdown;
use crate::topology::names;
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info, warn};

/// So many letters are on their way at once.
const IN_FLIGHT: u16 = 20;

/// How long one publication may take before the letter is given back.
const DEADLINE: Duration = Duration::from_secs(30);

/// What could not be archived is tried again after this long.
const PAUSE: Duration = Duration::from_secs(1);

/// The arrival queue is empty when nothing comes for so long.
const QUIET: Duration = Duration::from_millis(500);

impl Archive {
    /// Takes over what arrives, until `shutdown` drains. Any number of processes may do it.
    pub async fn collect(&self, shutdown: &Shutdown) {
        let mut deliveries = self.arrivals();
        loop {
            tokio::select! {
                biased;
                () = shutdown.draining() => break,
                Some(delivery) = deliveries.next() => {
                    if self.take_over(delivery).await.is_err() {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                else => break,
            }
        }
        deliveries.close().await;
    }

    /// Takes over what has arrived until now. Returns how many letters that were.
    pub async fn collect_now(&self) -> usize {
        let waiting = self.broker.depth(&names::dead_arrival(&self.settings.exchange)).await;
        if !matches!(waiting, Ok(Some(depth)) if depth.ready > 0) {
            return 0;
        }
        let mut deliveries = self.arrivals();
        let mut taken = 0;
        while let Ok(Some(delivery)) = tokio::time::timeout(QUIET, deliveries.next()).await {
            if self.take_over(delivery).await.is_err() {
                break;
            }
            taken += 1;
        }
        deliveries.close().await;
        taken
    }

    fn arrivals(&self) -> Deliveries {
        self.broker.consume(Consume {
            queue: names::dead_arrival(&self.settings.exchange),
            stream: None,
            declare: None,
            repair: None,
            prefetch: IN_FLIGHT,
            acks: AckPolicy { every: 1, within: QUIET },
            tag: "celeriac-dead".to_owned(),
        })
    }

    async fn take_over(&self, delivery: Delivery) -> Result<(), PublishError> {
        match self.settle_letter(RawMessage::from(&delivery)).await {
            Ok(()) => {
                delivery.settle.ack();
                Ok(())
            }
            Err(error) => {
                warn!(%error, "a dead letter could not be archived, it stays where it arrived");
                delivery.settle.give_back();
                Err(error)
            }
        }
    }

    async fn settle_letter(&self, message: RawMessage) -> Result<(), PublishError> {
        let death = Death::of(&message);
        if let Some(queue) = death.as_ref().and_then(|death| death.late_for.as_deref())
            && self.deliver_late(&message, queue).await?
        {
            return Ok(());
        }
        let (message, burial) = self.burial_of(message, death);
        self.bury(message, &burial, DEADLINE).await?;
        debug!(queue = %burial.queue, reason = %burial.reason, "archived");
        Ok(())
    }

    /// Publishes what left the delay ladder to the queue that it was meant for. `false` when it
    /// cannot go there.
    async fn deliver_late(&self, message: &RawMessage, queue: &str) -> Result<bool, PublishError> {
        let (exchange, routing_key) = (String::new(), queue.to_owned());
        let late = RawMessage { exchange, routing_key, ..message.clone().afresh() };
        match self.broker.publish(Arc::new(late), DEADLINE).await {
            Ok(()) => {
                info!(
                    queue,
                    "a delayed task found its queue late: the broker had not bound it yet"
                );
                Ok(true)
            }
            // A queue that is full may stay so.
            Err(error) if error.is_transient() && !matches!(error, PublishError::Nacked { .. }) => {
                Err(error)
            }
            Err(_) => Ok(false),
        }
    }

    fn burial_of(&self, message: RawMessage, death: Option<Death>) -> (RawMessage, Burial) {
        let now = self.clock.now();
        let burial = Burial {
            reason: death.as_ref().map_or(Reason::Other, |death| death.reason),
            error: None,
            at: death.as_ref().and_then(|death| death.at).unwrap_or(now),
            queue: death.as_ref().map_or(String::new(), |death| death.queue.clone()),
            worker: String::new(),
        };
        let exchange = death.as_ref().and_then(|death| death.exchange.clone());
        let routing_key = death.and_then(|death| death.routing_key);
        let message = RawMessage {
            exchange: exchange.unwrap_or_default(),
            routing_key: routing_key.unwrap_or_else(|| message.routing_key.clone()),
            ..message
        };
        (message, burial)
    }
}
