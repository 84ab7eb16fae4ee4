//! Another publishing channel, for what must not be in the way of tasks.

use super::publish::Confirms;
use super::{Backing, Broker};
use std::sync::Arc;
use tokio::task::JoinSet;

/// A channel of its own on the publishing connection. It ends with the last handle.
#[derive(Debug)]
pub(super) struct Aside {
    pub(super) confirms: Confirms,
    _pump: JoinSet<()>,
}

impl Broker {
    /// The same broker, publishing on a channel of its own with at most `in_flight` messages
    /// unconfirmed. What goes wrong there, as with an exchange that does not exist, disturbs nobody
    /// else.
    #[must_use]
    pub fn aside(&self, in_flight: usize) -> Self {
        let Backing::RabbitMq(inner) = &self.backing else { return self.clone() };
        let (confirms, pump) = Confirms::new(inner.publish.clone(), in_flight);
        let mut running = JoinSet::new();
        running.spawn(pump.run());
        let aside = Some(Arc::new(Aside { confirms, _pump: running }));
        Self { aside, ..self.clone() }
    }
}
