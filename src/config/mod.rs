//! The configuration: TOML files, environment and command line, merged and checked.
//!
//! Each part of the program defines its own settings; [`Config`] only composes them, and
//! [`Loader`] fills it in. Every mistake in every source is found at once and points at its line.

mod check;
mod complaint;
mod document;
mod environment;
mod explain;
mod layer;
mod limits;
mod load;
mod masked;
mod problem;
mod read;
mod schema;
mod secrets;
mod show;
#[cfg(test)]
mod tests;
mod tree;

pub use document::document;
pub(crate) use document::wrap;
pub use explain::{Explanation, explain};
pub use limits::Limits;
pub use load::{Loaded, Loader};
pub use problem::{Place, Problem, Report, Severity, Style};
pub use schema::schema;
pub use show::{Change, Shown};

use crate::{
    broker, events, monitor, ops, outbox, publisher, results, scheduler, security, task, telemetry,
    topology, worker,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that can be configured, as the sections of a file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How to reach RabbitMQ.
    pub broker: broker::Settings,
    /// The task exchange, and who declares what is in the broker.
    pub topology: topology::BaseSettings,
    /// Further exchanges, as `[exchanges.NAME]`.
    #[schemars(example = serde_json::json!({ "video": { "type": "topic" } }))]
    pub exchanges: BTreeMap<String, topology::ExchangeSettings>,
    /// What all queues inherit, and the queues themselves as `[queues.NAME]`.
    pub queues: topology::Queues,
    /// Which tasks go where: a pattern of task names, and a queue or a table. The first that
    /// matches wins.
    #[schemars(example = serde_json::json!({ "video.*": "default", "*.mail": { "queue": "default" } }))]
    pub routes: topology::Routes,
    /// The archive of tasks that were given up.
    pub dead: topology::DeadSettings,
    /// Where tasks wait for their time.
    pub delay: topology::DelaySettings,
    /// What all tasks inherit, and the tasks themselves as `[tasks."NAME"]`.
    pub tasks: task::Tasks,
    /// How a worker works.
    pub worker: worker::Settings,
    /// How the scheduler works.
    pub scheduler: scheduler::Settings,
    /// What all schedules inherit, and the schedules themselves as `[schedules.NAME]`.
    #[schemars(example = serde_json::json!({
        "nightly": { "task": "reports.nightly", "cron": "30 2 * * *" }
    }))]
    pub schedules: scheduler::Schedules,
    /// How tasks are written and sent.
    pub publisher: publisher::Settings,
    /// Whose messages are taken, and how ours are signed.
    pub security: security::Settings,
    /// What workers and senders tell about tasks.
    pub events: events::Settings,
    /// Where results go.
    pub results: results::Settings,
    /// Tasks that are staged in a transaction of a database, and who sends them.
    pub outbox: outbox::Settings,
    /// The monitor.
    pub monitor: monitor::Settings,
    /// What a message may cost before it is refused.
    pub limits: Limits,
    /// Where a running program answers for its health.
    pub ops: ops::Settings,
    /// Where the log goes, and how much of it.
    pub log: telemetry::Settings,
}

impl Config {
    /// The sections about exchanges, queues and routes, as one.
    ///
    /// The queues a worker consumes are among them even without a table of their own.
    pub fn topology(&self) -> topology::Settings {
        let mut queues = self.queues.clone();
        for name in &self.worker.queues {
            if !queues.is_defined(name) {
                queues.insert(name.clone(), topology::QueueTable::default());
            }
        }
        topology::Settings {
            exchange: self.topology.exchange.clone(),
            declare: self.topology.declare,
            exchanges: self.exchanges.clone(),
            queues,
            routes: self.routes.clone(),
            dead: self.dead.clone(),
            delay: self.delay.clone(),
            events: (&self.events).into(),
        }
    }
}

/// The defaults, with the broker at this URL.
impl From<&str> for Config {
    fn from(url: &str) -> Self {
        let mut config = Self::default();
        config.broker.url = url.into();
        config
    }
}

/// The defaults, with the broker at this URL.
impl From<String> for Config {
    fn from(url: String) -> Self {
        Self::from(url.as_str())
    }
}
