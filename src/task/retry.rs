//! When a failed task is tried again.

use crate::backoff::Backoff;
use std::time::Duration;

/// How often, after how long, and for which errors a task is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Attempts after the first; 0 gives up at once, `None` never gives up.
    pub max_retries: Option<u32>,
    /// How long each attempt waits in the broker.
    pub backoff: Backoff,
    /// If not empty, only errors of these types are retried (the part of the type's name after
    /// the last `.` or `::` is enough; `*` and `?` match as in file names).
    pub retry_on: Vec<String>,
    /// Errors of these types are never retried. Wins over `retry_on`.
    pub give_up_on: Vec<String>,
}

impl Default for RetryPolicy {
    /// Three retries after about 1, 2 and 4 seconds.
    fn default() -> Self {
        Self {
            max_retries: Some(3),
            backoff: Backoff {
                first: Duration::from_secs(1),
                factor: 2.0,
                max: Duration::from_secs(600),
                jitter: 0.5,
            },
            retry_on: Vec::new(),
            give_up_on: Vec::new(),
        }
    }
}
