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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// use celeriac::prelude::*;
/// use std::time::Duration;
///
/// #[task]
/// async fn call_api(status: u16) -> Result<(), Failure> {
///     match status {
///         200 => Ok(()),
///         404 => Err(Discard::because("it is gone")),
///         429 => Err(Failure::Snooze { after: Duration::from_secs(60) }),
///         other => Err(Failure::error("HttpStatus", other.to_string())),
///     }
/// }
///
/// assert!(matches!(call_api::run(429).await, Err(Failure::Snooze { .. })));
/// # Ok(())
/// # }
/// ```
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
    ///
    /// ```
    /// # use celeriac::{handler::TaskError, prelude::*};
    /// let failure = Failure::error("SmtpDown", "421 try later");
    /// assert_eq!(failure, Failure::Error(TaskError::new("SmtpDown", "421 try later")));
    /// ```
    pub fn error(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Error(TaskError::new(kind, message))
    }

    /// A failure that no repetition can mend: the task was called with the wrong arguments.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{prelude::*, testing::TestWorker};
    /// #[task(name = "shop.ship")]
    /// async fn ship(country: String) -> Result<(), Failure> {
    ///     if country.len() == 2 { Ok(()) } else { Err(Failure::argument("no country code")) }
    /// }
    ///
    /// # let app = App::in_memory();
    /// ship("Utopia".to_owned()).send(&app).await?;
    /// let report = TestWorker::new(&app).register::<ship>().drain().await;
    /// assert_eq!(report.of::<ship>().given_up(), 1); // after one attempt
    /// # Ok(())
    /// # }
    /// ```
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// use celeriac::prelude::*;
/// # use celeriac::testing::TestWorker;
///
/// #[task(name = "shop.read", max_retries = 9)]
/// async fn read(line: String) -> anyhow::Result<u64> {
///     line.parse().map_err(|_| DeadLetter::because("somebody should look at this").into())
/// }
///
/// # let app = App::in_memory();
/// read("seven".to_owned()).send(&app).await?;
/// TestWorker::new(&app).register::<read>().drain().await;
/// assert_eq!(app.dead_letters().await.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter;

impl Discard {
    /// The failure that says so, with its reason.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// assert_eq!(Discard::because("it bounced").to_string(), "discarded: Discarded: it bounced");
    /// ```
    pub fn because(reason: impl fmt::Display) -> Failure {
        Failure::Discard(TaskError::new("Discarded", reason.to_string()))
    }
}

impl DeadLetter {
    /// The failure that says so, with its reason.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// let failure = DeadLetter::because(format_args!("order {} has no lines", 17));
    /// assert_eq!(failure.to_string(), "rejected: DeadLetter: order 17 has no lines");
    /// ```
    pub fn because(reason: impl fmt::Display) -> Failure {
        Failure::Reject(TaskError::new("DeadLetter", reason.to_string()))
    }
}

/// An error inside a task, as it is stored and shown: text only, so that it can travel.
///
/// ```
/// use celeriac::handler::TaskError;
///
/// let error = TaskError::new("ExitStatus", "exit status 2").with_detail("no such file: a.mp4");
/// assert_eq!(error.to_string(), "ExitStatus: exit status 2");
/// ```
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{handler::TaskError, prelude::*};
    /// #[task(max_retries = 5, retry_on = [std::io::Error])]
    /// async fn fetch() -> anyhow::Result<()> {
    ///     // The policy judges this name instead of that of a Rust type.
    ///     Err(TaskError::new("QuotaExceeded", "come back tomorrow").into())
    /// }
    ///
    /// let error = fetch::run().await.unwrap_err();
    /// assert_eq!(error.downcast::<TaskError>()?.kind, "QuotaExceeded");
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into(), detail: None }
    }

    /// The same error with more text for a person.
    ///
    /// ```
    /// # use celeriac::handler::TaskError;
    /// let error = TaskError::new("ParseError", "line 3").with_detail("a;b;c\n1;2");
    /// assert_eq!(error.detail.as_deref(), Some("a;b;c\n1;2"));
    /// ```
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}
