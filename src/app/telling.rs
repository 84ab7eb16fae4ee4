//! An app that tells monitors what it sends.

use crate::broker::Broker;
use crate::clock::Clock;
use crate::events::{self, Events};
use crate::ids;
use crate::topology::{self, Topology};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tracing::debug;

/// How long an app that is closed goes on telling what it has left to tell.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// Publishes events for as long as it lives.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) events: Events,
    publishing: Mutex<JoinSet<()>>,
}

impl Telling {
    /// `None` when nothing is to be told. Inside a Tokio runtime.
    pub(super) fn start(
        settings: &events::Settings,
        topology: &topology::Settings,
        broker: &Broker,
        clock: &Arc<dyn Clock>,
    ) -> Option<Self> {
        if !settings.sent || broker.is_in_memory() {
            return None;
        }
        let events = Events::new(&ids::expand_name("gen%p@%h", ""), settings, Arc::clone(clock));
        let (told, broker) = (events.clone(), broker.clone());
        let repair = topology.declare.then(|| Topology::events(&topology.events));
        let mut publishing = JoinSet::new();
        publishing.spawn(async move { told.publish(&broker, repair).await });
        Some(Self { events, publishing: Mutex::new(publishing) })
    }

    /// Waits a moment until all was told.
    pub(super) async fn end(&self) {
        self.events.close();
        let mut publishing = self.publishing.lock().await;
        if tokio::time::timeout(LAST_EVENTS, publishing.join_next()).await.is_err() {
            debug!("the broker does not take the last events");
        }
    }
}
