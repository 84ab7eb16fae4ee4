//! `[queues]` and `[queues.NAME]`.

use crate::inherit::{Inherit, Inherited};
use crate::units::{self, Rate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The queues, and what all queues inherit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Queues(Inherited<QueueTable>);

impl Queues {
    /// The queue `name`, defined or not, with everything it inherits.
    pub fn get(&self, name: &str) -> QueueSettings {
        self.0.resolve(name).into()
    }

    /// Whether there is a table `[queues.NAME]`.
    pub fn is_defined(&self, name: &str) -> bool {
        self.0.named.contains_key(name)
    }

    /// The names of the defined queues, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.named.keys().map(String::as_str)
    }

    /// The defined queues with everything they inherit, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, QueueSettings)> {
        self.names().map(|name| (name, self.get(name)))
    }

    /// Defines a queue, or replaces its table.
    pub fn insert(&mut self, name: impl Into<String>, table: QueueTable) {
        self.0.named.insert(name.into(), table);
    }
}

/// One queue, with everything it inherits.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSettings {
    /// Quorum or classic.
    pub kind: QueueKind,
    /// The highest priority the queue tells apart; classic queues only.
    pub max_priority: Option<u8>,
    /// Redeliveries of one message before it is given up.
    pub delivery_limit: u32,
    /// Whether the queue is declared; if not, it must exist.
    pub declare: bool,
    /// Whether what the queue drops goes to the archive.
    pub dead_letter: bool,
    /// The exchange that `bindings` are on; `None` is the task exchange.
    pub exchange: Option<String>,
    /// Patterns of routing keys that lead here, besides the queue's own name.
    pub bindings: Vec<String>,
    /// How long a message may wait in the queue.
    pub message_ttl: Option<Duration>,
    /// The most messages the queue takes.
    pub max_length: Option<u64>,
    /// Further `x-` arguments of the declaration.
    pub arguments: toml::Table,
    /// How many messages a worker may hold from this queue; `None` is the worker's own number.
    pub prefetch: Option<u16>,
    /// How many tasks of this queue a worker runs at once; `None` is the worker's own number.
    pub concurrency: Option<usize>,
    /// The most tasks of this queue one worker process starts.
    pub rate: Option<Rate>,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            kind: QueueKind::Quorum,
            max_priority: None,
            delivery_limit: 20,
            declare: true,
            dead_letter: true,
            exchange: None,
            bindings: Vec::new(),
            message_ttl: None,
            max_length: None,
            arguments: toml::Table::new(),
            prefetch: None,
            concurrency: None,
            rate: None,
        }
    }
}

impl From<QueueTable> for QueueSettings {
    fn from(table: QueueTable) -> Self {
        let built_in = Self::default();
        Self {
            kind: table.kind.unwrap_or(built_in.kind),
            max_priority: table.max_priority.filter(|priority| *priority > 0),
            delivery_limit: table.delivery_limit.unwrap_or(built_in.delivery_limit),
            declare: table.declare.unwrap_or(built_in.declare),
            dead_letter: table.dead_letter.unwrap_or(built_in.dead_letter),
            exchange: table.exchange,
            bindings: table.bindings.unwrap_or_default(),
            message_ttl: table.message_ttl,
            max_length: table.max_length,
            arguments: table.arguments.unwrap_or_default(),
            prefetch: table.prefetch,
            concurrency: table.concurrency,
            rate: table.rate,
        }
    }
}

/// `[queues]` and `[queues.NAME]` as written: a key left out is inherited.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueueTable {
    /// "quorum" keeps copies on several nodes and loses nothing when one dies; "classic" is
    /// cheaper and knows priorities. Default "quorum".
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(example = QueueKind::Quorum)]
    pub kind: Option<QueueKind>,
    /// The highest priority the queue tells apart, from 1 to 255; more than 10 costs the broker
    /// much. Classic queues only. 0, the default, is no priorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 0)]
    pub max_priority: Option<u8>,
    /// How often a message may be delivered again, because its worker died, before it goes to
    /// the archive. Default 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 20)]
    pub delivery_limit: Option<u32>,
    /// Whether the queue is created when missing. With `false` it must exist, with whatever
    /// arguments. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = true)]
    pub declare: Option<bool>,
    /// Whether what the queue drops goes to the archive. Queues shared with Celery need `false`,
    /// because both sides must declare the same arguments. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = true)]
    pub dead_letter: Option<bool>,
    /// The exchange that `bindings` are on. Default: the task exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"celeriac")]
    pub exchange: Option<String>,
    /// Routing keys that lead here besides the queue's own name: `*` is one word, `#` any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = ["mail.#"])]
    pub bindings: Option<Vec<String>>,
    /// How long a message may wait in the queue before it goes to the archive. Default: no limit.
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[schemars(example = "1d")]
    pub message_ttl: Option<Duration>,
    /// The most messages the queue takes; publishing to a full queue fails. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 100_000)]
    pub max_length: Option<u64>,
    /// Further arguments of the declaration, such as `x-quorum-initial-group-size = 3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    #[schemars(example = serde_json::json!({ "x-quorum-initial-group-size": 3 }))]
    pub arguments: Option<toml::Table>,
    /// How many messages a worker may hold from this queue, running or next. Default: as `[worker]`
    /// says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 4)]
    pub prefetch: Option<u16>,
    /// How many tasks of this queue one worker runs at once. Default: as `[worker]` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 2)]
    pub concurrency: Option<usize>,
    /// The most tasks of this queue that one worker process starts, such as "100/s". Default: no
    /// limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "100/s")]
    pub rate: Option<Rate>,
}

impl Inherit for QueueTable {
    fn or(self, parent: &Self) -> Self {
        Self {
            kind: self.kind.or(parent.kind),
            max_priority: self.max_priority.or(parent.max_priority),
            delivery_limit: self.delivery_limit.or(parent.delivery_limit),
            declare: self.declare.or(parent.declare),
            dead_letter: self.dead_letter.or(parent.dead_letter),
            exchange: self.exchange.or_else(|| parent.exchange.clone()),
            bindings: self.bindings.or_else(|| parent.bindings.clone()),
            message_ttl: self.message_ttl.or(parent.message_ttl),
            max_length: self.max_length.or(parent.max_length),
            arguments: self.arguments.or_else(|| parent.arguments.clone()),
            prefetch: self.prefetch.or(parent.prefetch),
            concurrency: self.concurrency.or(parent.concurrency),
            rate: self.rate.or(parent.rate),
        }
    }
}

/// How the broker keeps a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    /// Copies on several nodes, agreed by majority.
    #[default]
    Quorum,
    /// On one node; cheaper, and knows priorities.
    Classic,
}
