//! What a task returns.

use std::fmt;

/// A task's value, not yet encoded: whoever stores or passes it on chooses the format, and nobody
/// pays for a result that nobody wants.
///
/// ```
/// use celeriac::handler::Output;
///
/// assert_eq!(serde_json::to_string(&Output::new((1, "two"))).unwrap(), r#"[1,"two"]"#);
/// ```
pub struct Output(Box<dyn erased_serde::Serialize + Send + Sync>);

impl Output {
    /// Wraps a value.
    ///
    /// ```
    /// # use celeriac::handler::Output;
    /// assert_eq!(serde_json::to_value(Output::new(vec![1, 2])).unwrap()[1], 2);
    /// ```
    pub fn new(value: impl serde::Serialize + Send + Sync + 'static) -> Self {
        Self(Box::new(value))
    }

    /// The value of a task that returns none.
    ///
    /// ```
    /// # use celeriac::handler::Output;
    /// assert!(serde_json::to_value(Output::none()).unwrap().is_null());
    /// ```
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
