//! Error types by which a retry policy decides.

use std::any::type_name;
use std::error::Error;
use std::fmt;

/// An error type that a retry policy names, wherever in the chain of causes it stands.
#[derive(Clone, Copy)]
pub struct ErrorKind {
    name: fn() -> &'static str,
    is: fn(&(dyn Error + 'static)) -> bool,
}

impl ErrorKind {
    /// Errors of type `E`.
    pub const fn of<E: Error + 'static>() -> Self {
        Self { name: type_name::<E>, is: |error| error.is::<E>() }
    }

    /// How a policy names it.
    pub fn name(&self) -> &'static str {
        (self.name)()
    }

    /// Whether `error` is one, or was caused by one.
    pub fn covers(&self, error: &(dyn Error + 'static)) -> bool {
        std::iter::successors(Some(error), |error| (*error).source()).any(self.is)
    }
}

impl fmt::Debug for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
