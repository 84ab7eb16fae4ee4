//! How an attempt ends when it does not end in a value.

use std::time::Duration;

/// Why an attempt has no value, and what the task itself says should follow.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// It went wrong. The retry policy decides what follows.
    Error(TaskError),
    /// Try again after this long (`None`: as the policy says). Counts as an attempt.
    Retry {
        /// How long to wait.
        after: Option<Duration>,
        /// Why.
        error: TaskError,
    },
    /// Come back later. Does not count as an attempt.
    Snooze {
        /// How long to wait.
        after: Duration,
    },
    /// There is nothing to do any more: not retried, not archived; recorded as a failure.
    Discard(TaskError),
    /// Park it in the archive at once.
    Reject(TaskError),
}

impl Failure {
    /// A failure of the given type and text that the retry policy judges.
    pub fn error(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Error(TaskError::new(kind, message))
    }
}

/// An error inside a task, as it is stored and shown: text only, so that it can travel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct TaskError {
    /// Name of the error's type, such as `ValueError` or `ExitStatus`.
    pub kind: String,
    /// What happened, in one line if possible.
    pub message: String,
    /// More text for a person: a backtrace, the end of a program's error output.
    pub detail: Option<String>,
}

impl TaskError {
    /// An error without detail.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into(), detail: None }
    }

    /// The same error with more text for a person.
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}
