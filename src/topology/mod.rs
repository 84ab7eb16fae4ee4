//! Exchanges, queues and bindings as one value.
//!
//! What should exist in the broker is computed here, from settings, without asking the broker:
//! the work queues, the [`delay`] ladder and the dead-letter archive. [`crate::broker`] makes the
//! broker agree, or says where it does not.

mod chord;
mod definitions;
pub mod delay;
mod difference;
mod ladder;
pub mod names;
mod route;
mod settings;
mod work;

pub use chord::{CHORD_BYTES, chord_queue};
pub use delay::{Delay, DelayTooLong};
pub use difference::{Difference, Finding, Object, text as value_text};
pub use route::{BadPattern, Destination, Route, Router, Target};
pub use settings::{
    BaseSettings, DeadSettings, DelaySettings, EventStream, ExchangeSettings, QueueKind,
    QueueSettings, QueueTable, Queues, Retain, RouteSettings, Routes, Settings,
};

use crate::protocol::HeaderValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Arguments of a declaration (`x-message-ttl` and the like).
pub type Arguments = BTreeMap<String, HeaderValue>;

/// Things in the broker, in the order in which they can be declared: exchanges, queues, bindings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Topology {
    /// Exchanges, first those that others refer to.
    pub exchanges: Vec<Exchange>,
    /// Queues and streams.
    pub queues: Vec<Queue>,
    /// Bindings; source and destination are above, or exist already.
    pub bindings: Vec<Binding>,
}

/// An exchange as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// How it compares routing keys.
    pub kind: ExchangeKind,
    /// Whether it survives a restart of the broker.
    pub durable: bool,
    /// Whether it goes when the last binding goes.
    pub auto_delete: bool,
    /// Whether only other exchanges may publish to it.
    pub internal: bool,
    /// Further arguments.
    pub arguments: Arguments,
}

/// How an exchange compares routing keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExchangeKind {
    /// Equal keys.
    Direct,
    /// Every binding.
    Fanout,
    /// Words and wildcards: `*` is one word, `#` any number of words.
    #[default]
    Topic,
    /// Headers instead of keys.
    Headers,
}

/// A queue or stream as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Whether it survives a restart of the broker.
    pub durable: bool,
    /// Whether it belongs to one connection.
    pub exclusive: bool,
    /// Whether it goes when the last consumer goes.
    pub auto_delete: bool,
    /// Further arguments, its type among them.
    pub arguments: Arguments,
    /// `false`: it belongs to somebody else; it must exist and is never created.
    pub declare: bool,
}

/// A binding: messages of `source` that match go on to `destination`.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// Name of the exchange that messages come from.
    pub source: String,
    /// Where they go.
    pub destination: Endpoint,
    /// The key or pattern.
    pub routing_key: String,
    /// Further arguments.
    pub arguments: Arguments,
}

/// The far end of a binding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A queue by name.
    Queue(String),
    /// An exchange by name.
    Exchange(String),
}

impl Topology {
    /// What is left when every part of a delay ladder is taken out.
    #[must_use]
    pub fn without_ladders(mut self) -> Self {
        self.exchanges.retain(|exchange| !names::is_delay_level(&exchange.name));
        self.queues.retain(|queue| !names::is_delay_level(&queue.name));
        self.bindings.retain(|binding| !names::is_delay_level(&binding.source));
        self
    }

    /// Both, one after the other.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.exchanges.extend(other.exchanges);
        self.queues.extend(other.queues);
        self.bindings.extend(other.bindings);
        self
    }
}

impl From<Queue> for Topology {
    /// A queue and nothing else.
    fn from(queue: Queue) -> Self {
        Self { queues: vec![queue], ..Self::default() }
    }
}

impl Exchange {
    /// It, by name.
    pub fn object(&self) -> Object {
        Object::Exchange(self.name.clone())
    }

    /// A durable exchange without arguments.
    pub fn new(name: impl Into<String>, kind: ExchangeKind) -> Self {
        Self {
            name: name.into(),
            kind,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: Arguments::new(),
        }
    }

    /// The same, with an exchange that takes what no binding matches.
    #[must_use]
    pub fn with_alternate(mut self, exchange: impl Into<String>) -> Self {
        self.arguments.insert("alternate-exchange".into(), HeaderValue::Text(exchange.into()));
        self
    }
}

impl ExchangeKind {
    /// The word that AMQP uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }

    /// The kind that AMQP means by `word`.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Direct, Self::Fanout, Self::Topic, Self::Headers]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Queue {
    /// It, by name.
    pub fn object(&self) -> Object {
        Object::Queue(self.name.clone())
    }

    /// A durable queue that many may use, without arguments.
    pub fn named(name: impl Into<String>) -> Self {
        Self::new(name, [("", HeaderValue::Null); 0])
    }

    /// A durable queue that many may use.
    pub fn new<K: Into<String>>(
        name: impl Into<String>,
        arguments: impl IntoIterator<Item = (K, HeaderValue)>,
    ) -> Self {
        Self {
            name: name.into(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: arguments.into_iter().map(|(key, value)| (key.into(), value)).collect(),
            declare: true,
        }
    }
}

impl Binding {
    /// It, by name.
    pub fn object(&self) -> Object {
        Object::Binding {
            source: self.source.clone(),
            destination: self.destination.name().to_owned(),
            routing_key: self.routing_key.clone(),
        }
    }

    /// From `source` to a queue.
    pub fn to_queue(
        source: impl Into<String>,
        queue: impl Into<String>,
        key: impl Into<String>,
    ) -> Self {
        Self::new(source.into(), Endpoint::Queue(queue.into()), key.into())
    }

    /// From `source` to another exchange.
    pub fn to_exchange(
        source: impl Into<String>,
        exchange: impl Into<String>,
        key: impl Into<String>,
    ) -> Self {
        Self::new(source.into(), Endpoint::Exchange(exchange.into()), key.into())
    }

    fn new(source: String, destination: Endpoint, routing_key: String) -> Self {
        Self { source, destination, routing_key, arguments: Arguments::new() }
    }
}

impl Endpoint {
    /// The name, of whichever kind.
    pub fn name(&self) -> &str {
        match self {
            Self::Queue(name) | Self::Exchange(name) => name,
        }
    }
}
