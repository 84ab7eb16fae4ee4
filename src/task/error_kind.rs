//! Error types by which a retry policy decides.

use std::any::type_name;
use std::error::Error;
use std::fmt;

/// An error type that a retry policy names, wherever in the chain of causes it stands.
///
/// ```
/// use celeriac::task::ErrorKind;
/// use std::{fmt, io};
///
/// let gone = io::Error::other("gone");
/// assert!(ErrorKind::of::<io::Error>().covers(&gone));
/// assert!(!ErrorKind::of::<fmt::Error>().covers(&gone));
/// ```
#[derive(Clone, Copy)]
pub struct ErrorKind {
    name: fn() -> &'static str,
    is: fn(&(dyn Error + 'static)) -> bool,
}

impl ErrorKind {
    /// Errors of type `E`.
    ///
    /// ```
    /// # use celeriac::task::ErrorKind;
    /// const RETRIED: &[ErrorKind] =
    ///     &[ErrorKind::of::<std::io::Error>(), ErrorKind::of::<std::num::ParseIntError>()];
    /// assert_eq!(RETRIED.len(), 2);
    /// ```
    pub const fn of<E: Error + 'static>() -> Self {
        Self { name: type_name::<E>, is: |error| error.is::<E>() }
    }

    /// How a policy names it.
    ///
    /// ```
    /// # use celeriac::task::ErrorKind;
    /// assert_eq!(ErrorKind::of::<std::fmt::Error>().name(), "core::fmt::Error");
    /// ```
    pub fn name(&self) -> &'static str {
        (self.name)()
    }

    /// Whether `error` is one, or was caused by one.
    ///
    /// ```
    /// # use celeriac::task::ErrorKind;
    /// #[derive(Debug, thiserror::Error)]
    /// #[error("the mail is not sent")]
    /// struct Mailing(#[source] std::io::Error);
    ///
    /// let error = Mailing(std::io::Error::other("connection reset"));
    /// assert!(ErrorKind::of::<std::io::Error>().covers(&error));
    /// ```
    pub fn covers(&self, error: &(dyn Error + 'static)) -> bool {
        std::iter::successors(Some(error), |error| (*error).source()).any(self.is)
    }
}

impl fmt::Debug for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
