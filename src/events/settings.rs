//! `[events]`: what is told about tasks, and how much of it is kept.

use crate::topology::{EventStream, Retain};
use crate::units;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What workers and senders tell about tasks, to monitors such as Flower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether workers tell of each task from their start, or only once a monitor asks for it.
    pub tasks: Tasks,
    /// Whether who sends a task tells of it, as Celery does with `task_send_sent_event`.
    pub sent: bool,
    /// How often a worker says that it is alive. "0s": never, nor that it starts and stops.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub heartbeat: Duration,
    /// Whether arguments and results are told too, cut to a kilobyte each. Those of a task with a
    /// secret argument never are.
    pub payload: Payload,
    /// How much may wait in memory for a broker that takes nothing. Beyond it the oldest events are
    /// dropped, and counted; no task waits for an event.
    #[serde(with = "units::size")]
    #[schemars(with = "String")]
    pub buffer: u64,
    /// The topic exchange that events are published to; Celery's is "celeryev".
    pub exchange: String,
    /// The stream that keeps events for a monitor that was down; "" for none.
    pub stream: String,
    /// How much the stream keeps. The oldest goes first.
    pub retain: Kept,
}

/// How much the stream of events keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Kept {
    /// How long. The broker deletes in whole segments, so some stay longer.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub age: Duration,
    /// How many bytes.
    #[serde(with = "units::size")]
    #[schemars(with = "String")]
    pub size: u64,
}

impl Default for Kept {
    fn default() -> Self {
        let Retain { age, size } = EventStream::default().retain;
        Self { age, size }
    }
}

/// When workers tell of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tasks {
    /// Once a monitor asks for it (`celery control enable_events`; Flower does).
    #[default]
    OnRequest,
    /// From the start: Celery's `-E`.
    Always,
}

/// Whether arguments and results are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// As Python shows them.
    #[default]
    Always,
    /// Not at all.
    Never,
}

impl Default for Settings {
    fn default() -> Self {
        let EventStream { exchange, stream, .. } = EventStream::default();
        Self {
            tasks: Tasks::default(),
            sent: false,
            heartbeat: Duration::from_secs(2),
            payload: Payload::default(),
            buffer: 8 << 20,
            exchange,
            stream,
            retain: Kept::default(),
        }
    }
}

impl From<&Settings> for EventStream {
    fn from(settings: &Settings) -> Self {
        let Settings { exchange, stream, retain: Kept { age, size }, .. } = settings.clone();
        Self { exchange, stream, retain: Retain { age, size } }
    }
}
