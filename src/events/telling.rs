//! A program that is no worker and tells monitors what it sends.

use super::{Events, Settings};
use crate::broker::Broker;
use crate::clock::Clock;
use crate::ids;
use crate::topology::{self, Topology};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tracing::debug;

/// How long a program that ends goes on telling what it has left to tell.
const LAST_EVENTS: Duration = Duration::from_secs(2);

impl Events {
    /// Events of this process, which sends and does not work; `None` when `[events] sent` says that
    /// nothing is to be told.
    pub fn of_sender(settings: &Settings, clock: &Arc<dyn Clock>) -> Option<Self> {
        let name = ids::expand_name("gen%p@%h", "");
        settings.sent.then(|| Self::new(&name, settings, Arc::clone(clock)))
    }
}

/// Publishes events for as long as it lives.
#[derive(Debug)]
pub(crate) struct Telling {
    events: Events,
    publishing: Mutex<JoinSet<()>>,
}

impl Telling {
    /// Begins to publish. Inside a Tokio runtime.
    pub(crate) fn start(events: Events, topology: &topology::Settings, broker: &Broker) -> Self {
        let (told, broker) = (events.clone(), broker.clone());
        let repair = topology.declare.then(|| Topology::events(&topology.events));
        let mut publishing = JoinSet::new();
        publishing.spawn(async move { told.publish(&broker, repair).await });
        Self { events, publishing: Mutex::new(publishing) }
    }

    /// Waits a moment until all was told.
    pub(crate) async fn end(&self) {
        self.events.close();
        let mut publishing = self.publishing.lock().await;
        if tokio::time::timeout(LAST_EVENTS, publishing.join_next()).await.is_err() {
            debug!("the broker does not take the last events");
        }
    }
}
