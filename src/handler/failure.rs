//! How an attempt ends when it does not end in a value.

use crate::canvas::Canvas;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::fmt;
use std::time::Duration;

/// Why an attempt has no value, and what the task itself says should follow.
///
/// It is an error like any other, so a task function can end with
/// `Err(Failure::Snooze { after }.into())`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// It went wrong. The retry policy decides what follows.
    #[error("{0}")]
    Error(TaskError),
    /// Try again after this long (`None`: as the policy says). Counts as an attempt.
    #[error("to be tried again: {error}")]
    Retry {
        /// How long to wait.
        after: Option<Duration>,
        /// Why.
        error: TaskError,
    },
    /// Come back later. Does not count as an attempt.
    #[error("put off for {after:?}")]
    Snooze {
        /// How long to wait.
        after: Duration,
    },
    /// There is nothing to do any more: not retried, not archived; recorded as a failure.
    #[error("discarded: {0}")]
    Discard(TaskError),
    /// Park it in the archive at once.
    #[error("rejected: {0}")]
    Reject(TaskError),
    /// Another workflow takes its place, with its id, its callbacks and whatever follows it. See
    /// [`super::TaskContext::replace`].
    #[error("replaced by another workflow")]
    Replace(Box<Canvas>),
}

impl Failure {
    /// A failure of the given type and text that the retry policy judges.
    pub fn error(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Error(TaskError::new(kind, message))
    }

    /// A failure that no repetition can mend: the task was called with the wrong arguments.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::Reject(TaskError::new("ArgumentError", message))
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// There is nothing to do any more: not retried, not archived; recorded as a failure.
///
/// ```
/// use celeriac::handler::{Discard, Failure};
///
/// fn greet(is_gone: bool) -> anyhow::Result<()> {
///     if is_gone {
///         return Err(Discard::because("the user is gone").into());
///     }
///     Ok(())
/// }
/// assert!(matches!(greet(true).unwrap_err().downcast(), Ok(Failure::Discard(_))));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Discard;

/// Park the task in the archive at once, whatever its retry policy says.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter;

impl Discard {
    /// The failure that says so, with its reason.
    pub fn because(reason: impl fmt::Display) -> Failure {
        Failure::Discard(TaskError::new("Discarded", reason.to_string()))
    }
}

impl DeadLetter {
    /// The failure that says so, with its reason.
    pub fn because(reason: impl fmt::Display) -> Failure {
        Failure::Reject(TaskError::new("DeadLetter", reason.to_string()))
    }
}

/// An error inside a task, as it is stored and shown: text only, so that it can travel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
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
