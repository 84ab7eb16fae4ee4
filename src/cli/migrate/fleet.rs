//! A Celery application as `ask.py` tells it.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// How an application is configured.
#[derive(Debug, Deserialize)]
pub(super) struct Fleet {
    /// Celery's version.
    pub(super) celery: String,
    /// What is different from Celery's defaults; null for what JSON cannot hold.
    pub(super) changed: BTreeMap<String, Value>,
    /// The URLs of the broker, with passwords.
    pub(super) broker: Vec<String>,
    pub(super) timezone: String,
    pub(super) default_queue: String,
    pub(super) queues: Vec<Queue>,
    pub(super) routes: Vec<Route>,
    pub(super) schedules: Vec<Schedule>,
    pub(super) tasks: Vec<Task>,
    pub(super) annotations: BTreeMap<String, Options>,
    /// Annotations that are functions, or of other attributes.
    pub(super) other_annotations: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) exchange: String,
    pub(super) exchange_type: String,
    pub(super) bindings: Vec<String>,
    pub(super) durable: bool,
    pub(super) declare: bool,
    pub(super) max_priority: Option<u8>,
    /// Seconds.
    pub(super) message_ttl: Option<f64>,
    pub(super) max_length: Option<u64>,
    pub(super) arguments: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Route {
    /// `None` for what is no pattern.
    pub(super) pattern: Option<String>,
    /// What it is then.
    pub(super) kind: Option<String>,
    pub(super) queue: Option<String>,
    pub(super) exchange: Option<String>,
    pub(super) routing_key: Option<String>,
    pub(super) priority: Option<u8>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Schedule {
    pub(super) name: String,
    pub(super) task: String,
    pub(super) when: When,
    pub(super) relative: bool,
    #[serde(default)]
    pub(super) args: Vec<Value>,
    #[serde(default)]
    pub(super) kwargs: Map<String, Value>,
    /// Why its arguments cannot be told.
    pub(super) unreadable: Option<String>,
    pub(super) options: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum When {
    /// Minute, hour, day of month, month, day of week.
    Cron([String; 5]),
    /// Seconds.
    Every(f64),
    Sun {
        event: String,
        latitude: f64,
        longitude: f64,
    },
    /// A class of somebody's own.
    Other(String),
}

#[derive(Debug, Deserialize)]
pub(super) struct Task {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) options: Options,
}

/// What is said of a task; nothing where it is as all are.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Options {
    pub(super) max_retries: Option<u32>,
    #[serde(default)]
    pub(super) retries_forever: bool,
    pub(super) default_retry_delay: Option<f64>,
    pub(super) rate_limit: Option<Value>,
    pub(super) time_limit: Option<f64>,
    pub(super) soft_time_limit: Option<f64>,
    pub(super) acks_late: Option<bool>,
    pub(super) ignore_result: Option<bool>,
    pub(super) priority: Option<u8>,
    pub(super) queue: Option<String>,
    pub(super) retry_backoff: Option<Value>,
    pub(super) retry_backoff_max: Option<f64>,
    pub(super) retry_jitter: Option<bool>,
    #[serde(default)]
    pub(super) autoretry_for: Vec<String>,
}
