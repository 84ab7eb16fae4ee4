//! What follows a task: the third part of a body.

use super::Signature;
use serde::{Deserialize, Deserializer, Serialize};

/// The tasks that follow this one. Nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Embed {
    /// Sent after success, with the result as first argument.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub callbacks: Vec<Signature>,
    /// Sent after failure, with the id of the failed task as first argument.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub errbacks: Vec<Signature>,
    /// The remaining steps of a chain, **in reverse**: the last is the next.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<Signature>,
    /// The body of the chord that this task is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chord: Option<Box<Signature>>,
}

impl Embed {
    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        self.callbacks.is_empty()
            && self.errbacks.is_empty()
            && self.chain.is_empty()
            && self.chord.is_none()
    }
}

/// Celery writes null for what is not there.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
