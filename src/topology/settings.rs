//! `[topology]`, `[exchanges]`, `[queues]`, `[routes]`, `[dead]`, `[delay]`: what is in the broker.

use super::ExchangeKind;
use crate::inherit::{Inherit, Inherited};
use crate::units::{self, Rate};
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

/// Which tasks go where, in the order of the file; the first that matches wins.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Routes(pub Vec<(String, RouteSettings)>);

impl<'de> Deserialize<'de> for Routes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Routes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table of patterns of task names")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Routes, A::Error> {
                let mut routes = Vec::new();
                while let Some(route) = map.next_entry()? {
                    routes.push(route);
                }
                Ok(Routes(routes))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Serialize for Routes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(glob, route)| (glob, route)))
    }
}

impl JsonSchema for Routes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Routes".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        BTreeMap::<String, RouteSettings>::json_schema(generator)
    }
}

/// Where the tasks of one pattern go: the name of a queue, or a table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[schemars(with = "RouteForm")]
pub struct RouteSettings {
    /// The queue, reached through the task exchange by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Another exchange than the task exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<String>,
    /// The routing key, when it is not the queue's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_key: Option<String>,
    /// The priority, from 0 to 255, unless the call gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
}

/// The two forms of a route; read by hand because an untagged enum loses its errors.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum RouteForm {
    /// The name of a queue.
    Queue(String),
    /// Exchange, key and priority.
    Table(RouteTable),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RouteTable {
    /// The queue, reached through the task exchange by its name.
    queue: Option<String>,
    /// Another exchange than the task exchange.
    exchange: Option<String>,
    /// The routing key, when it is not the queue's name.
    routing_key: Option<String>,
    /// The priority, from 0 to 255, unless the call gives one.
    priority: Option<u8>,
}

impl<'de> Deserialize<'de> for RouteSettings {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherForm;
        impl<'de> serde::de::Visitor<'de> for EitherForm {
            type Value = RouteSettings;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a queue, or a table")
            }

            fn visit_str<E: serde::de::Error>(self, queue: &str) -> Result<RouteSettings, E> {
                Ok(RouteSettings { queue: Some(queue.to_owned()), ..RouteSettings::default() })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<RouteSettings, A::Error> {
                let table = serde::de::value::MapAccessDeserializer::new(map);
                let RouteTable { queue, exchange, routing_key, priority } =
                    RouteTable::deserialize(table)?;
                Ok(RouteSettings { queue, exchange, routing_key, priority })
            }
        }
        deserializer.deserialize_any(EitherForm)
    }
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
