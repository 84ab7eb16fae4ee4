//! The broker: the only module that names lapin.
//!
//! A [`Broker`] is a cheap handle on two supervised connections, one for publishing and one for
//! consuming: an alarm that stops publishing never stops acknowledging. Both come back by
//! themselves for as long as a handle is alive.
//!
//! A program that embeds this and takes messages from senders it does not trust should be started
//! with `RUST_MIN_STACK=67108864`: lapin reads nested header tables by recursion, and the default
//! stack of its thread ends at some 1,500 levels. The `celeriac` program sees to that itself.

mod acks;
mod address;
mod aside;
mod connection;
mod consume;
mod declare;
mod deliveries;
mod fields;
mod gather;
mod headers;
mod inspect;
mod memory;
mod message;
mod metrics;
mod publish;
mod settings;
mod stream;
mod wire;

pub use address::Address;
pub use connection::ConnectError;
pub use declare::DeclareError;
pub use deliveries::{AckPolicy, Consume, Deliveries, Delivery, Life, Settle};
pub use gather::{Gathering, Taken};
pub use inspect::Depth;
pub(crate) use memory::{Hold, Memory};
pub use message::RawMessage;
pub use publish::PublishError;
pub use settings::{Reconnect, Settings, Tls};
pub use stream::{StreamError, StreamReader, StreamStart};

use crate::clock::VirtualClock;
use aside::Aside;
use connection::{Link, Purpose};
use consume::Consumption;
use memory::Subscription;
use publish::Confirms;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// A handle on the broker. Cloning is cheap; the connections close with the last clone.
#[derive(Debug, Clone)]
pub struct Broker {
    backing: Backing,
    /// The only life of the connection on which this handle publishes, if there is one.
    fence: Option<u64>,
    /// Where this handle publishes, if not where all do.
    aside: Option<Arc<Aside>>,
}

#[derive(Debug, Clone)]
enum Backing {
    RabbitMq(Arc<Inner>),
    Memory(Memory),
}

#[derive(Debug)]
struct Inner {
    publish: Link,
    consume: Link,
    confirms: Confirms,
    settings: Arc<Settings>,
    /// A channel that stays open for asking; a question about what is missing closes it.
    asking: tokio::sync::Mutex<Option<lapin::Channel>>,
    /// The supervisors and the publishing channel; they end with the handle.
    tasks: Mutex<JoinSet<()>>,
}

impl Broker {
    /// Connects, with at most `in_flight` publications unconfirmed.
    ///
    /// # Errors
    ///
    /// When no configured address can be reached now. Later losses are repaired.
    pub async fn connect(settings: &Settings, in_flight: usize) -> Result<Self, ConnectError> {
        let settings = Arc::new(settings.clone());
        let (publish, publishing) = Link::new(Arc::clone(&settings), Purpose::Publish);
        let (consume, consuming) = Link::new(Arc::clone(&settings), Purpose::Consume);
        let (first_publish, first_consume) =
            tokio::try_join!(publishing.connect_first(), consuming.connect_first())?;
        let (confirms, pump) = Confirms::new(publish.clone(), in_flight);
        let mut tasks = JoinSet::new();
        tasks.spawn(publishing.run(Some(first_publish)));
        tasks.spawn(consuming.run(Some(first_consume)));
        tasks.spawn(pump.run());
        let inner = Inner {
            publish,
            consume,
            confirms,
            settings,
            asking: tokio::sync::Mutex::default(),
            tasks: Mutex::new(tasks),
        };
        Ok(Backing::RabbitMq(Arc::new(inner)).into())
    }

    /// Connects once for both, so that the broker ends what is published together with what is
    /// consumed: whoever has lost a delivery on this connection cannot publish on it any more.
    ///
    /// # Errors
    ///
    /// As [`Broker::connect`].
    pub async fn connect_as_one(
        settings: &Settings,
        in_flight: usize,
    ) -> Result<Self, ConnectError> {
        let settings = Arc::new(settings.clone());
        let (link, supervisor) = Link::new(Arc::clone(&settings), Purpose::Schedule);
        let first = supervisor.connect_first().await?;
        let (confirms, pump) = Confirms::new(link.clone(), in_flight);
        let mut tasks = JoinSet::new();
        tasks.spawn(supervisor.run(Some(first)));
        tasks.spawn(pump.run());
        let (publish, consume) = (link.clone(), link);
        let inner = Inner {
            publish,
            consume,
            confirms,
            settings,
            asking: tokio::sync::Mutex::default(),
            tasks: Mutex::new(tasks),
        };
        Ok(Backing::RabbitMq(Arc::new(inner)).into())
    }

    /// The same broker, publishing only for as long as the connection lives that is the
    /// `generation`th; then every publication fails with [`PublishError::Fenced`].
    #[must_use]
    pub fn fenced(&self, generation: u64) -> Self {
        Self { fence: Some(generation), ..self.clone() }
    }

    /// Takes the consuming connection for dead: whatever was consumed on it goes back to its
    /// queues, and another connection is made.
    pub fn abandon(&self) {
        if let Some(inner) = self.inner() {
            inner.consume.abandon();
        }
    }

    /// A broker of its own in memory, empty, whose time is `clock`: for tests. It goes with the
    /// last handle.
    pub fn in_memory(clock: VirtualClock) -> Self {
        Memory::new(clock).into()
    }

    /// Publishes one message: persistent if its properties say so, mandatory, confirmed. Waits out
    /// reconnections until `deadline` and sends the same message again when the outcome of an
    /// earlier try is unknown.
    pub async fn publish(
        &self,
        message: Arc<RawMessage>,
        deadline: Duration,
    ) -> Result<(), PublishError> {
        match &self.backing {
            Backing::RabbitMq(inner) => {
                let aside = self.aside.as_ref().map(|aside| &aside.confirms);
                let confirms = aside.unwrap_or(&inner.confirms);
                confirms.publish(message, self.fence, deadline).await
            }
            Backing::Memory(memory) => memory.publish(&message),
        }
    }

    /// Consumes a queue until [`Deliveries::stop`].
    pub fn consume(&self, consume: Consume) -> Deliveries {
        match &self.backing {
            Backing::RabbitMq(inner) => {
                Deliveries::of_channel(Consumption::new(inner.consume.clone(), consume))
            }
            Backing::Memory(memory) => Deliveries::of_memory(Subscription::new(memory, consume)),
        }
    }

    /// Where it is, as configured; `None` for a broker in memory.
    pub fn address(&self) -> Option<Address> {
        Address::of(&self.inner()?.settings)
    }

    /// Whether both connections are up.
    pub fn is_connected(&self) -> bool {
        self.inner().is_none_or(|inner| inner.publish.is_up() && inner.consume.is_up())
    }

    /// Why the broker takes no publications at the moment, if it does not.
    pub fn blocked(&self) -> Option<String> {
        self.inner()?.publish.blocked().map(|reason| reason.to_string())
    }

    /// Why there is no connection, as far as known.
    pub fn last_error(&self) -> Option<String> {
        let inner = self.inner()?;
        let error = inner.publish.last_error().or_else(|| inner.consume.last_error());
        error.map(|error| error.to_string())
    }

    /// Counts the lives of the publishing connection; what was checked on an earlier one may have
    /// changed.
    pub fn generation(&self) -> u64 {
        self.inner().map_or(1, |inner| inner.publish.generation())
    }

    /// Closes both connections in order. Publish nothing afterwards.
    pub async fn close(&self) {
        let Some(inner) = self.inner() else { return };
        inner.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        for link in [&inner.publish, &inner.consume] {
            if let Some(connection) = link.now() {
                let closing = connection.close(200, "done".into());
                // A broker that does not answer does not keep us.
                let _ = tokio::time::timeout(Duration::from_secs(2), closing).await;
            }
        }
    }

    fn inner(&self) -> Option<&Inner> {
        match &self.backing {
            Backing::RabbitMq(inner) => Some(inner),
            Backing::Memory(_) => None,
        }
    }

    /// Whether it is a broker in memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.memory().is_some()
    }

    /// The broker in memory, if it is one.
    pub(crate) fn memory(&self) -> Option<&Memory> {
        match &self.backing {
            Backing::RabbitMq(_) => None,
            Backing::Memory(memory) => Some(memory),
        }
    }
}

impl From<Memory> for Broker {
    fn from(memory: Memory) -> Self {
        Backing::Memory(memory).into()
    }
}

impl From<Backing> for Broker {
    fn from(backing: Backing) -> Self {
        Self { backing, fence: None, aside: None }
    }
}
