//! `[topology]`, `[exchanges]`, `[queues]`, `[routes]`, `[dead]`, `[delay]`: what is in the broker.

mod queues;
mod routes;

pub use queues::{QueueKind, QueueSettings, QueueTable, Queues};
pub use routes::{RouteSettings, Routes};

use super::{ExchangeKind, names};
use crate::units;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything the operator may say about exchanges, queues and routes.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The exchange tasks are published to.
    pub exchange: String,
    /// Further exchanges, by name.
    pub exchanges: BTreeMap<String, ExchangeSettings>,
    /// The queues, and what all queues inherit.
    pub queues: Queues,
    /// Which tasks go where; the first that matches wins.
    pub routes: Routes,
    /// Where tasks go that are given up.
    pub dead: DeadSettings,
    /// Where tasks wait for their time.
    pub delay: DelaySettings,
    /// Where events are kept.
    pub events: EventStream,
    /// Whether anything is declared at all. If not, everything must exist.
    pub declare: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let BaseSettings { exchange, declare } = BaseSettings::default();
        Self {
            exchange,
            declare,
            exchanges: BTreeMap::new(),
            queues: Queues::default(),
            routes: Routes::default(),
            dead: DeadSettings::default(),
            delay: DelaySettings::default(),
            events: EventStream::default(),
        }
    }
}

/// The exchange of events and the stream that keeps them; read from `[events]`.
#[derive(Debug, Clone, PartialEq)]
pub struct EventStream {
    /// The topic exchange they are published to.
    pub exchange: String,
    /// The stream that keeps them; empty for none.
    pub stream: String,
    /// How much is kept. The oldest goes first.
    pub retain: Retain,
}

impl Default for EventStream {
    fn default() -> Self {
        Self {
            exchange: names::EVENTS.to_owned(),
            stream: names::EVENT_STREAM.to_owned(),
            retain: Retain { age: Duration::from_secs(86_400), size: 2_000_000_000 },
        }
    }
}

/// `[topology]`: the task exchange, and who declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BaseSettings {
    /// The topic exchange tasks are published to. Every queue is bound to it by its own name.
    pub exchange: String,
    /// Whether exchanges, queues and bindings are declared when a program starts. With `false`
    /// everything must exist already, made by `celeriac topology apply` or by an administrator.
    pub declare: bool,
}

impl Default for BaseSettings {
    fn default() -> Self {
        Self { exchange: "celeriac".to_owned(), declare: true }
    }
}

/// `[exchanges.NAME]`: one more exchange.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExchangeSettings {
    /// How it compares routing keys with bindings.
    #[serde(rename = "type")]
    pub kind: ExchangeKind,
    /// Where it sends what no queue is bound for. Without it such a publish fails, and the sender
    /// is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "celeriac.dead")]
    pub alternate: Option<String>,
}

/// `[dead]`: the archive of tasks that were given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeadSettings {
    /// The fanout exchange that workers publish to what they give up. What RabbitMQ gives up by
    /// itself (expired, delivered too often) comes by an exchange and a queue of this name and
    /// `.in`.
    pub exchange: String,
    /// The stream that keeps them.
    pub stream: String,
    /// How much is kept. The oldest goes first.
    pub retain: Retain,
}

impl Default for DeadSettings {
    fn default() -> Self {
        Self {
            exchange: "celeriac.dead".to_owned(),
            stream: "celeriac.dead".to_owned(),
            retain: Retain::default(),
        }
    }
}

/// How much a stream keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retain {
    /// How long. The broker deletes in whole segments, so some stay longer.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub age: Duration,
    /// How many bytes.
    #[serde(with = "units::size")]
    #[schemars(with = "String")]
    pub size: u64,
}

impl Default for Retain {
    fn default() -> Self {
        Self { age: Duration::from_secs(30 * 86_400), size: 10_000_000_000 }
    }
}

/// `[delay]`: where tasks wait for their time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DelaySettings {
    /// "quorum" loses no waiting task when the broker is killed; "classic" costs the broker less.
    pub queue_type: QueueKind,
}
