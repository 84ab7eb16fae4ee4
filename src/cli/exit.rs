//! Exit codes, and errors that carry one.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "the table of the manual, whole; a command uses its own few")]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The answer is no: the task failed, the service is not healthy.
    No = 1,
    /// Used wrongly.
    Used = 2,
    /// Only some of it is done.
    Partly = 3,
    /// No such task, queue or letter.
    NotFound = 4,
    /// Input is not valid: bad JSON, bad filter.
    Invalid = 65,
    /// The broker is not reachable.
    Unreachable = 69,
    /// An internal error.
    Internal = 70,
    /// A file could not be written.
    CannotCreate = 73,
    /// Time ran out while waiting; trying again may succeed.
    TimedOut = 75,
    /// Login or permission refused.
    Refused = 77,
    /// The configuration is wrong.
    Config = 78,
    /// Interrupted by the user.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that decides how the command ends. Reads like the error itself.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) exit: Exit,
    error: anyhow::Error,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// An error that ends the command with `exit`.
pub(crate) fn failed(exit: Exit, error: impl Into<anyhow::Error>) -> anyhow::Error {
    anyhow::Error::new(Failed { exit, error: error.into() })
}

/// Gives an error its exit code.
pub(crate) trait OrExit<T> {
    /// On an error, the command ends with `exit`.
    fn or_exit(self, exit: Exit) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> anyhow::Result<T> {
        self.map_err(|error| failed(exit, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn an_error_keeps_its_words_and_its_causes() {
        let error = Err::<(), _>(std::io::Error::other("disk full"))
            .context("writing celeriac.toml")
            .or_exit(Exit::CannotCreate)
            .unwrap_err();
        assert_eq!(format!("{error:#}"), "writing celeriac.toml: disk full");
        assert_eq!(error.downcast_ref::<Failed>().unwrap().exit, Exit::CannotCreate);
    }
}
