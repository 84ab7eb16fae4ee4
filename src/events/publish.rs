//! Carries events to the broker.

use super::Events;
use super::buffer::Batch;
use crate::broker::{Broker, PublishError, RawMessage};
use crate::topology::Topology;
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, warn};

/// How long events gather before they are published together.
const GATHER: Duration = Duration::from_millis(25);

/// How long one try to publish may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The wait before the next try where the broker refuses, at first and at most.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Tries for one message that the broker refuses, before it is dropped.
const TRIES: u32 = 3;

impl Events {
    /// Publishes what is told, on a channel of its own, until [`Events::close`] was called and
    /// nothing waits. One message is under way at a time, confirmed: so a slow broker makes the
    /// lists longer, and not the memory that they take. `repair` is declared when the exchange turns
    /// out to be missing; see [`Topology::events`].
    ///
    /// When the future is dropped, what waits stays untold.
    pub async fn publish(&self, broker: &Broker, repair: Option<Topology>) {
        let broker = broker.aside(1);
        loop {
            let is_last = self.0.closing.is_cancelled();
            while let Some(batch) = self.0.pop() {
                self.deliver(&broker, batch, repair.as_ref()).await;
            }
            if is_last {
                return;
            }
            tokio::select! {
                () = self.0.wake.notified() => {}
                () = self.0.closing.cancelled() => continue,
            }
            tokio::select! {
                () = tokio::time::sleep(GATHER) => {}
                () = self.0.closing.cancelled() => {}
            }
        }
    }

    /// Lets [`Events::publish`] end once everything was published that was told until now.
    pub fn close(&self) {
        self.0.closing.cancel();
    }

    /// Publishes one message; waits for as long as the broker is away or takes nothing. What it
    /// refuses is dropped.
    async fn deliver(&self, broker: &Broker, batch: Batch, repair: Option<&Topology>) {
        let (key, events) = (batch.key, batch.events);
        let exchange = &self.0.settings.exchange;
        let message = RawMessage::event(exchange, key, self.0.common.node(), batch.into_body());
        let message = Arc::new(message);
        let (mut refused, mut pause) = (0, PAUSE);
        loop {
            let error = match broker.publish(Arc::clone(&message), PATIENCE).await {
                Ok(()) => return,
                Err(error) if error.is_transient() => {
                    debug!(%error, "events wait");
                    continue;
                }
                Err(error) => error,
            };
            refused += 1;
            let missing = matches!(error, PublishError::NoExchange { .. });
            let repair = repair.filter(|_| missing);
            let repaired = match repair {
                Some(repair) => broker.declare(repair).await.is_ok(),
                None => false,
            };
            if refused >= TRIES {
                warn!(%error, "the broker refuses events; they are dropped");
                return self.0.count_dropped(events);
            }
            if !repaired && !self.0.closing.is_cancelled() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}
