//! What a worker ran, for tests.

use super::attempt::Attempt;
use super::decide::Decision;
use crate::archive::Reason;
use crate::handler::TaskError;
use crate::ids::TaskId;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Written by workers, read by a test. Cloning is cheap; all clones are one. It keeps everything:
/// not for a worker that goes on.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    runs: Mutex<Vec<Run>>,
    busy: AtomicUsize,
    changed: Notify,
}

/// One attempt, or what was done instead of one.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Run {
    /// The task's name.
    pub task: String,
    /// The task's id.
    pub id: TaskId,
    /// The queue it came from.
    pub queue: String,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// How long the handler ran, in real time; `None` when it was not begun.
    pub took: Option<Duration>,
    /// When it ended, by the worker's clock.
    pub at: SystemTime,
    /// How it ended.
    pub ending: Ending,
}

/// How an attempt ended, and what followed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Ending {
    /// It returned a value.
    Succeeded,
    /// It failed and is forgotten, because the task said so.
    Discarded(TaskError),
    /// It was revoked.
    Revoked,
    /// It failed and is tried again.
    Retried {
        /// After this wait in the broker.
        after: Duration,
        /// What went wrong.
        error: TaskError,
    },
    /// It waits for its time, put itself off, or waits for a worker that knows it.
    PutOff {
        /// For this long.
        after: Duration,
    },
    /// It was given up, whole, into the archive.
    Archived {
        /// Why.
        reason: Reason,
        /// What went wrong.
        error: TaskError,
    },
    /// A workflow took its place.
    Replaced,
    /// It was given back to its queue.
    GivenBack,
}

/// A delivery on its way through a worker.
#[derive(Debug)]
pub(super) struct Busy(Journal);

impl Journal {
    /// Everything so far, in the order in which it ended.
    pub fn runs(&self) -> Vec<Run> {
        self.shared.runs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many deliveries are on their way through a worker now.
    pub fn busy(&self) -> usize {
        self.shared.busy.load(Ordering::SeqCst)
    }

    /// Completes when a delivery has come to its end after this call.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.shared.changed.notified()
    }

    pub(super) fn enter(&self) -> Busy {
        self.shared.busy.fetch_add(1, Ordering::SeqCst);
        Busy(self.clone())
    }

    pub(super) fn note(
        &self,
        attempt: &Attempt,
        decision: &Decision,
        took: Option<Duration>,
        at: SystemTime,
    ) {
        let run = Run {
            task: attempt.headers.task.clone(),
            id: attempt.headers.id.clone(),
            queue: attempt.queue.to_string(),
            attempt: attempt.headers.retries.saturating_add(1),
            took,
            at,
            ending: decision.into(),
        };
        self.shared.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.shared.busy.fetch_sub(1, Ordering::SeqCst);
        self.0.shared.changed.notify_waiters();
    }
}

impl From<&Decision> for Ending {
    fn from(decision: &Decision) -> Self {
        match decision.clone() {
            Decision::Succeed => Self::Succeeded,
            Decision::Fail(error) => Self::Discarded(error),
            Decision::Revoke(_) => Self::Revoked,
            Decision::Retry { after, error } => Self::Retried { after, error },
            Decision::Defer { after, .. } => Self::PutOff { after },
            Decision::Bury { reason, error } => Self::Archived { reason, error },
            Decision::Replace(_) => Self::Replaced,
            // The copy with its deliveries counted comes at once.
            Decision::Recount(_) => Self::PutOff { after: Duration::ZERO },
            Decision::GiveBack => Self::GivenBack,
        }
    }
}
