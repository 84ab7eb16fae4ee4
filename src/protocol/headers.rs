//! The header table of a task message.

use super::HeaderValue;
use crate::ids::TaskId;
use crate::traces::{self, Carried};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// Names of the headers that Celeriac adds to Celery's.
pub mod header {
    /// What happened in earlier attempts: a list of tables.
    pub const ATTEMPTS: &str = "celeriac-attempts";
    /// The retry policy given by the caller.
    pub const RETRY: &str = "celeriac-retry";
    /// The broker's: how often a quorum queue has handed a message out in vain.
    pub const DELIVERY_COUNT: &str = "x-delivery-count";
    /// How often a message was handed out again on a queue that does not count by itself.
    pub const DELIVERIES: &str = "celeriac-deliveries";
    /// How often the task put itself off without counting an attempt.
    pub const SNOOZES: &str = "celeriac-snoozes";
    /// Since when no worker that had the message knew its task, as ISO 8601.
    pub const UNKNOWN_SINCE: &str = "celeriac-unknown-since";
    /// The key by which the call counts for the rate of its task: text of 1 to 255 bytes.
    pub const RATE_KEY: &str = "celeriac-rate-key";
    /// How often a message was put off because its rate key had no start left.
    pub const RATE_WAITS: &str = "celeriac-rate-waits";
    /// Prefix of the headers that the archive adds.
    pub const DEAD_PREFIX: &str = "celeriac-dead-";
}

/// Celery's headers, decoded. A header that is absent, null or empty is its default here, and a
/// default is not written: Celery reads the sparse form as it reads the full one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Headers {
    /// Name of the task to run.
    pub task: String,
    /// Id of the task.
    pub id: TaskId,
    /// Language of the producer (`py` for Celery; we send none).
    pub lang: Option<String>,
    /// Name to show instead of `task`.
    pub shadow: Option<String>,
    /// Not to be run before.
    pub eta: Option<SystemTime>,
    /// Not to be run after.
    pub expires: Option<SystemTime>,
    /// The group this task is a member of.
    pub group: Option<String>,
    /// Position in the group, from 0.
    pub group_index: Option<i64>,
    /// Attempts already made.
    pub retries: u32,
    /// Limits that the caller set.
    pub time_limits: TimeLimits,
    /// First task of the workflow; `None` means this one, also where the header said so.
    pub root_id: Option<TaskId>,
    /// The task that published this one.
    pub parent_id: Option<TaskId>,
    /// Arguments for display.
    pub argsrepr: Option<String>,
    /// Keyword arguments for display.
    pub kwargsrepr: Option<String>,
    /// Who published it.
    pub origin: Option<String>,
    /// Whether the caller wants no result; `None` leaves it to the task.
    pub ignore_result: Option<bool>,
    /// How often this id was handed on by `replace`.
    pub replaced_task_nesting: u32,
    /// Names of the stamps.
    pub stamped_headers: Vec<String>,
    /// The stamps.
    pub stamps: BTreeMap<String, HeaderValue>,
    /// How the body is compressed: a MIME type or one of Celery's aliases.
    pub compression: Option<String>,
    /// Every other header, kept over retries.
    pub extra: BTreeMap<String, HeaderValue>,
}

/// How long a task may run, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeLimits {
    /// The task is stopped.
    pub hard: Option<f64>,
    /// The task is asked to stop.
    pub soft: Option<f64>,
}

impl TimeLimits {
    /// Takes seconds as a caller sends them: absent and zero mean no limit.
    ///
    /// `None` when one of them is negative or not finite.
    pub fn checked(hard: Option<f64>, soft: Option<f64>) -> Option<Self> {
        let usable =
            |limit: Option<f64>| limit.is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0);
        let nonzero = |limit: Option<f64>| limit.filter(|seconds| *seconds > 0.0);
        (usable(hard) && usable(soft)).then(|| Self { hard: nonzero(hard), soft: nonzero(soft) })
    }

    /// Whether there is no limit.
    pub fn is_empty(&self) -> bool {
        self.hard.is_none() && self.soft.is_none()
    }
}

/// Whether RabbitMQ adds this header when it dead-letters or redelivers. Such a header is never
/// published: older brokers take it for a dead-letter cycle and drop the message.
pub fn is_broker_header(name: &str) -> bool {
    matches!(name, "x-death" | header::DELIVERY_COUNT | "x-acquired-count")
        || name.starts_with("x-first-death-")
        || name.starts_with("x-last-death-")
}

/// Whether this header tells of one publication only and must not be carried over to the next:
/// what the broker adds, what routes a copy (`CC`, `BCC`), and what the archive adds.
pub fn is_death_header(name: &str) -> bool {
    is_broker_header(name) || matches!(name, "CC" | "BCC") || name.starts_with(header::DEAD_PREFIX)
}

impl Headers {
    /// Removes whatever tells of an earlier publication only: see [`is_death_header`].
    pub fn forget_delivery(&mut self) {
        self.extra.retain(|name, _| !is_death_header(name));
    }

    /// The trace that the message belongs to.
    pub(crate) fn trace(&self) -> Carried<'_> {
        let text = |name| match self.extra.get(name) {
            Some(HeaderValue::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        Carried { parent: text(traces::PARENT), state: text(traces::STATE) }
    }

    /// Puts the message under a span.
    pub(crate) fn set_trace(&mut self, span: &traces::Span) {
        self.extra.remove(traces::STATE);
        let carried = span.carried().into_iter();
        self.extra.extend(carried.map(|(name, value)| (name.to_owned(), HeaderValue::Text(value))));
    }

    /// Headers of a task that says nothing beyond its name and id.
    pub fn new(task: impl Into<String>, id: TaskId) -> Self {
        Self {
            task: task.into(),
            id,
            lang: None,
            shadow: None,
            eta: None,
            expires: None,
            group: None,
            group_index: None,
            retries: 0,
            time_limits: TimeLimits::default(),
            root_id: None,
            parent_id: None,
            argsrepr: None,
            kwargsrepr: None,
            origin: None,
            ignore_result: None,
            replaced_task_nesting: 0,
            stamped_headers: Vec::new(),
            stamps: BTreeMap::new(),
            compression: None,
            extra: BTreeMap::new(),
        }
    }
}
