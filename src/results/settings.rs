//! `[results]`: where the value of a finished task goes, and how it is kept.

use crate::protocol::Format;
use crate::secret::SecretUrl;
use crate::units;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Where results go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Who keeps results. "rpc" sends each back to its caller through RabbitMQ, if the caller waits
    /// for it. "redis", "postgres" and "sqlite" keep them for whoever asks. "none" drops them.
    pub backend: Backend,
    /// Where that is: redis://user:password@host:6379/0 (rediss:// for TLS),
    /// postgres://user:password@host:5432/database, or sqlite:path. Not for "rpc" and "none".
    pub url: SecretUrl,
    /// How long a result is kept. "0s" keeps it for ever. With "rpc" the caller's queue decides: it
    /// is kept for ten minutes after its program was there last.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub expires: Duration,
    /// How results are written: "json", "msgpack", or "auto", which is JSON in a store and the
    /// format of the task's message with "rpc". Celery reads from Redis what its own
    /// `result_serializer` says, "json" by default.
    pub format: ResultFormat,
    /// Whether `STARTED` is told when a task begins. Costs one more write per task.
    pub track_started: bool,
    /// Whether results hold the task's name, arguments, worker, retries and queue, as Celery's
    /// `result_extended` says.
    pub extended: bool,
    /// What happens to a finished task whose result cannot be stored for now. "wait" holds its
    /// message until the result is stored, or gives it back when the worker stops: the task may run
    /// again, and no result is lost. "drop" acknowledges it without a result.
    pub on_store_error: OnStoreError,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            url: SecretUrl::default(),
            expires: Duration::from_secs(86_400),
            format: ResultFormat::default(),
            track_started: false,
            extended: false,
            on_store_error: OnStoreError::default(),
        }
    }
}

/// Who keeps results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Nobody.
    None,
    /// RabbitMQ: a message to the caller's own queue.
    #[default]
    Rpc,
    /// Redis, in Celery's keys.
    Redis,
    /// PostgreSQL.
    Postgres,
    /// A file of SQLite, for programs on one machine.
    Sqlite,
}

impl Backend {
    /// Whether this build has it: the stores are Cargo features of the same name.
    pub fn is_built_in(self) -> bool {
        match self {
            Self::None | Self::Rpc => true,
            Self::Redis => cfg!(feature = "redis"),
            Self::Postgres => cfg!(feature = "postgres"),
            Self::Sqlite => cfg!(feature = "sqlite"),
        }
    }

    /// The schemes of its URLs; none when it needs no URL.
    pub fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::None | Self::Rpc => &[],
            Self::Redis => &["redis", "rediss", "redis+unix", "unix"],
            Self::Postgres => &["postgres", "postgresql"],
            Self::Sqlite => &["sqlite"],
        }
    }

    /// What a URL of it looks like.
    pub fn example(self) -> &'static str {
        match self {
            Self::None | Self::Rpc => "no URL",
            Self::Redis => "redis://user:password@host:6379/0",
            Self::Postgres => "postgres://user:password@host:5432/database",
            Self::Sqlite => "sqlite:/var/lib/celeriac/results.db",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Rpc => "rpc",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        })
    }
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResultFormat {
    /// JSON in a store; the format of the task's message for its sender.
    #[default]
    Auto,
    /// JSON.
    Json,
    /// MessagePack.
    Msgpack,
}

/// What becomes of a task whose result cannot be stored for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnStoreError {
    /// Its message is held until the result is stored.
    #[default]
    Wait,
    /// It is acknowledged without a result.
    Drop,
}

/// How a worker reports, whatever the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reporting {
    /// The format of every document; `None` for that of the task's message.
    pub format: Option<Format>,
    /// Whether `STARTED` is told.
    pub track_started: bool,
    /// Whether documents hold name, arguments, worker, retries and queue.
    pub extended: bool,
    /// What happens while the store is away.
    pub on_store_error: OnStoreError,
}

impl From<&Settings> for Reporting {
    fn from(settings: &Settings) -> Self {
        let format = match (settings.format, settings.backend) {
            (ResultFormat::Json, _) => Some(Format::Json),
            (ResultFormat::Msgpack, _) => Some(Format::MessagePack),
            (ResultFormat::Auto, Backend::None | Backend::Rpc) => None,
            (ResultFormat::Auto, _) => Some(Format::Json),
        };
        Self {
            format,
            track_started: settings.track_started,
            extended: settings.extended,
            on_store_error: settings.on_store_error,
        }
    }
}
