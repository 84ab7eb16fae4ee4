//! `[outbox]`: where staged tasks are found, and who sends them.

use crate::secret::SecretUrl;
use crate::units;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where tasks wait that were staged in a transaction of a database, and who sends them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The database with the table `celeriac_outbox`: postgres://user:password@host:5432/database,
    /// or sqlite:path. Without it there is no outbox. Only who sends staged tasks needs it; a program
    /// that stages them does so on its own connection.
    pub url: SecretUrl,
    /// Which of our programs send what is staged: "worker", "scheduler", "both", or "none" for
    /// programs that start a relay by themselves. Any number may at once.
    pub relay: RelayIn,
    /// How many tasks are taken from the table at once, and confirmed together.
    #[schemars(range(min = 1, max = 10000))]
    pub batch: u32,
    /// How often an empty table is looked at. PostgreSQL tells at once when something was staged, so
    /// that there this is only the net below it.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub poll: Duration,
    /// How long the tasks of a relay that died stay its own; then another sends them. At least twice
    /// as long as one publication may take: `publisher.deadline`, or half of this if that is less.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub lease: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: SecretUrl::default(),
            relay: RelayIn::default(),
            batch: 500,
            poll: Duration::from_secs(1),
            lease: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// Whether there is an outbox.
    pub fn is_set(&self) -> bool {
        !self.url.expose().is_empty()
    }
}

/// Which programs send what is staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RelayIn {
    /// Workers.
    #[default]
    Worker,
    /// Schedulers, the one that leads and those that stand by.
    Scheduler,
    /// Workers and schedulers.
    Both,
    /// None of them.
    None,
}

impl RelayIn {
    /// Whether workers do.
    pub fn has_worker(self) -> bool {
        matches!(self, Self::Worker | Self::Both)
    }

    /// Whether schedulers do.
    pub fn has_scheduler(self) -> bool {
        matches!(self, Self::Scheduler | Self::Both)
    }
}
