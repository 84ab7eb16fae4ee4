//! Events: what workers and senders tell about the life of tasks, in Celery's words.
//!
//! Monitors (Flower, `celery events`, our own) put together from them what happened. They are lossy
//! by design: [`Events::tell`] writes into a bounded buffer and never waits, and [`Events::publish`]
//! carries the buffer to the broker, in lists, on a channel of its own. What a broker that takes
//! nothing leaves over is dropped, the oldest first, and counted. What the broker has, a stream keeps
//! ([`Topology::events`]), so that a monitor may be away.
//!
//! What each event says stands in [`Event`]; when a worker tells which, in its own module `tell`.
//! See `docs/decisions/0019-events.md`.
//!
//! [`Topology::events`]: crate::topology::Topology::events

mod buffer;
mod event;
pub(crate) mod filter;
mod publish;
mod settings;
mod switch;
mod telling;
mod told;
mod write;

pub use event::{Event, Load, ReceivedTask, SentTask};
pub use settings::{Payload, Settings, Tasks};
pub use switch::{Switch, Turned};
pub(crate) use telling::Telling;
pub use told::{Told, UnreadableEvent, read};

use crate::clock::{Clock, LogicalClock};
use buffer::{Batch, Buffer};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use write::Common;

/// Where one node tells its events. Cloning is cheap; all clones are one.
#[derive(Debug, Clone)]
pub struct Events(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    switch: Switch,
    logical: LogicalClock,
    clock: Arc<dyn Clock>,
    common: Common,
    buffer: Mutex<Buffer>,
    /// Told when something waits that was not there before.
    wake: Notify,
    closing: CancellationToken,
    told: AtomicU64,
    dropped: AtomicU64,
}

impl Events {
    /// Events of the node `node`. They wait in memory until [`Events::publish`] runs.
    pub fn new(node: &str, settings: &Settings, clock: Arc<dyn Clock>) -> Self {
        let switch = match settings.tasks {
            Tasks::Always => Switch::on(),
            Tasks::OnRequest => Switch::default(),
        };
        Self(Arc::new(Shared {
            settings: settings.clone(),
            switch,
            logical: LogicalClock::default(),
            clock,
            common: Common::new(node),
            buffer: Mutex::new(Buffer::new(usize::try_from(settings.buffer).unwrap_or(usize::MAX))),
            wake: Notify::new(),
            closing: CancellationToken::new(),
            told: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }))
    }

    /// Whether anybody wants to be told of tasks. Ask before making an [`Event`] of one: it costs
    /// one load.
    pub fn is_on(&self) -> bool {
        self.0.switch.is_on()
    }

    /// What turns the events of tasks on and off.
    pub fn switch(&self) -> &Switch {
        &self.0.switch
    }

    /// The counter that goes into every event. A node has one, for its events and for its answers
    /// to remote commands.
    pub fn logical_clock(&self) -> &LogicalClock {
        &self.0.logical
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Events that were dropped, because the broker did not take them or was told them in vain.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Events that were told, dropped ones among them.
    pub fn told(&self) -> u64 {
        self.0.told.load(Ordering::Relaxed)
    }

    /// Completes once [`Events::close`] was called. Cancel safe.
    pub async fn closed(&self) {
        self.0.closing.cancelled().await;
    }

    /// Tells an event. Never waits for the broker, and never fails.
    pub fn tell(&self, event: &Event<'_>) {
        let shared = &*self.0;
        let line = shared.common.line(event, shared.logical.forward(), shared.clock.now());
        shared.told.fetch_add(1, Ordering::Relaxed);
        let pushed = shared.buffer().push(event.key(), &line);
        shared.count_dropped(pushed.dropped);
        if pushed.is_first {
            shared.wake.notify_one();
        }
    }
}

impl Shared {
    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self) -> Option<Batch> {
        self.buffer().pop()
    }

    fn count_dropped(&self, events: u64) {
        if events > 0 && self.dropped.fetch_add(events, Ordering::Relaxed) == 0 {
            warn!(
                "events are dropped, because the broker takes them too slowly; tasks are not \
                 affected, and the heartbeats tell how many (`events_dropped`)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{AckPolicy, Broker, Consume, RawMessage};
    use crate::clock::VirtualClock;
    use crate::ids::TaskId;
    use crate::topology::{Binding, EventStream, Queue, Topology};
    use futures::StreamExt;
    use std::time::Duration;

    fn events(settings: &Settings) -> Events {
        Events::new("w@h", settings, Arc::new(VirtualClock::starting_at(std::time::UNIX_EPOCH)))
    }

    fn started(events: &Events, tasks: usize) {
        (0..tasks).for_each(|id| events.tell(&Event::Started { uuid: &id.to_string().into() }));
    }

    async fn heard(broker: &Broker) -> Vec<(String, Vec<Told>)> {
        let mut deliveries = broker.consume(Consume {
            queue: "monitor".to_owned(),
            stream: None,
            declare: None,
            repair: None,
            prefetch: 100,
            acks: AckPolicy { every: 1, within: Duration::ZERO },
            tag: "t".to_owned(),
        });
        let mut heard = Vec::new();
        while let Some(Some(delivery)) = futures::FutureExt::now_or_never(deliveries.next()) {
            let message = RawMessage::from(&delivery);
            heard.push((message.routing_key.clone(), read(&message).unwrap()));
            delivery.settle.ack();
        }
        heard
    }

    /// A broker in memory with a queue `monitor` for every event.
    async fn monitored() -> Broker {
        let broker = Broker::in_memory(VirtualClock::starting_at(std::time::UNIX_EPOCH));
        let mut topology = Topology::events(&EventStream::default());
        topology.queues.push(Queue::named("monitor"));
        topology.bindings.push(Binding::to_queue("celeryev", "monitor", "#"));
        broker.declare(&topology).await.unwrap();
        broker
    }

    #[tokio::test]
    async fn what_was_told_is_published_before_the_end() {
        let broker = monitored().await;
        let events = events(&Settings::default());
        events.tell(&Event::Online(Load::now(Duration::from_secs(2), 0, 0, 0)));
        started(&events, 3);
        events.close();
        events.publish(&broker, None).await;
        let heard = heard(&broker).await;
        let kinds: Vec<_> = heard
            .iter()
            .map(|(key, told)| (key.as_str(), told.iter().map(|it| it.clock).collect::<Vec<_>>()))
            .collect();
        assert_eq!(kinds, [("worker.online", vec![1]), ("task.multi", vec![2, 3, 4])]);
        assert_eq!((events.told(), events.dropped()), (4, 0));
    }

    #[tokio::test]
    async fn a_missing_exchange_is_declared_and_nothing_lost() {
        let broker = Broker::in_memory(VirtualClock::starting_at(std::time::UNIX_EPOCH));
        let events = events(&Settings::default());
        started(&events, 1);
        events.close();
        events.publish(&broker, Some(Topology::events(&EventStream::default()))).await;
        assert_eq!(events.dropped(), 0);
        let mut stream =
            broker.read_stream("celeriac.events", crate::broker::StreamStart::First).await.unwrap();
        let (_, kept) = stream.next().await.unwrap().unwrap();
        assert_eq!(read(&kept).unwrap()[0].kind, "task-started");
    }

    #[test]
    fn nobody_waits_for_a_broker_that_is_away() {
        let events = events(&Settings { buffer: 100_000, ..Settings::default() });
        started(&events, 10_000);
        assert_eq!(events.told(), 10_000);
        assert!(events.dropped() > 8_000, "{}", events.dropped());
        let mut left = Vec::new();
        while let Some(batch) = events.0.pop() {
            let key = batch.key;
            left.extend(told::parse(&batch.into_body()).unwrap());
            assert_eq!(key, "task.multi");
        }
        assert_eq!(left.len() as u64 + events.dropped(), 10_000);
        assert_eq!(left.last().unwrap().uuid(), Some(TaskId::from("9999")), "the newest stay");
    }
}
