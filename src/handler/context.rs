//! What a running task may see and do.

use crate::ids::TaskId;
use crate::protocol::Headers;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// The surroundings of one attempt.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// The headers of the message: id, retries, custom headers and the rest.
    pub headers: Arc<Headers>,
    /// The queue the message came from.
    pub queue: Arc<str>,
    /// Whether the broker has handed this message out before.
    pub redelivered: bool,
    /// When the hard time limit stops the attempt, if there is one.
    pub deadline: Option<Instant>,
    /// Cancelled when the task should end early: its soft limit has passed or the worker stops.
    pub cancel: CancellationToken,
    /// Where progress is reported.
    pub progress: Progress,
}

impl TaskContext {
    /// The id of the task.
    pub fn id(&self) -> &TaskId {
        &self.headers.id
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.headers.retries.saturating_add(1)
    }
}

/// Reports how far a task has come. Lossy: only the newest report counts, and reporting never
/// waits.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    reports: Option<tokio::sync::watch::Sender<Option<serde_json::Value>>>,
}

impl Progress {
    /// Reports into `reports`.
    pub fn new(reports: tokio::sync::watch::Sender<Option<serde_json::Value>>) -> Self {
        Self { reports: Some(reports) }
    }

    /// Reports any value; it becomes the result of state `PROGRESS`.
    pub fn report(&self, value: serde_json::Value) {
        if let Some(reports) = &self.reports {
            reports.send_replace(Some(value));
        }
    }

    /// Reports a share from 0 to 1 with a word about it.
    pub fn share(&self, share: f64, message: &str) {
        self.report(serde_json::json!({ "progress": share, "message": message }));
    }
}
