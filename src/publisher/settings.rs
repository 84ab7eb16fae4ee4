//! `[publisher]`: how tasks are written and sent.

use crate::units;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How tasks are written and sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How arguments are written. Workers read both, whatever is said here; a Celery worker reads
    /// what its `accept_content` lists.
    pub serializer: Serializer,
    /// How bodies over `compress_over` are compressed.
    pub compression: Compression,
    /// The smallest body that is compressed.
    #[serde(with = "units::size")]
    #[schemars(with = "String")]
    pub compress_over: u64,
    /// How long a publish may take, with all repetitions, until the broker has confirmed it. It
    /// waits out a broker restart within this time.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub deadline: Duration,
    /// How many messages may wait for their confirmation at once; further ones wait their turn.
    #[schemars(range(min = 1))]
    pub in_flight: usize,
    /// The largest message that is sent. RabbitMQ itself refuses messages over 16 MiB since 4.0.
    #[serde(with = "units::size")]
    #[schemars(with = "String")]
    pub max_message: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            serializer: Serializer::Msgpack,
            compression: Compression::None,
            compress_over: 16 << 10,
            deadline: Duration::from_secs(30),
            in_flight: 1000,
            max_message: 16_000_000,
        }
    }
}

/// How arguments and results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Serializer {
    /// MessagePack: smaller and faster.
    #[default]
    Msgpack,
    /// JSON: readable in RabbitMQ's management pages, and what Celery reads without settings.
    Json,
}

/// How large bodies are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Deflate; every Celery reads it.
    Zlib,
    /// Zstandard: faster and smaller; Celery needs its `zstandard` package.
    Zstd,
}
