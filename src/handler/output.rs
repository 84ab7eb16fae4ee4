//! What a task returns.

use std::fmt;

/// A task's value, not yet encoded: whoever stores or passes it on chooses the format, and nobody
/// pays for a result that nobody wants.
pub struct Output(Box<dyn erased_serde::Serialize + Send + Sync>);

impl Output {
    /// Wraps a value.
    pub fn new(value: impl serde::Serialize + Send + Sync + 'static) -> Self {
        Self(Box::new(value))
    }

    /// The value of a task that returns none.
    pub fn none() -> Self {
        Self::new(())
    }
}

impl serde::Serialize for Output {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        erased_serde::serialize(&*self.0, serializer)
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output(..)")
    }
}
