//! What follows a task: the third part of a body.

use super::Value;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

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

/// A call that is not yet sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// Name of the task.
    pub task: String,
    /// Positional arguments.
    #[serde(default, deserialize_with = "or_default")]
    pub args: Vec<Value>,
    /// Named arguments.
    #[serde(default, deserialize_with = "or_default")]
    pub kwargs: BTreeMap<String, Value>,
    /// What Celery's `apply_async` takes: `task_id`, `queue`, `countdown`, `link`, stamps and so on.
    #[serde(default, deserialize_with = "or_default")]
    pub options: BTreeMap<String, Value>,
    /// `group`, `chain`, `chord`, ... when this stands for several tasks.
    #[serde(default)]
    pub subtask_type: Option<String>,
    /// Whether the result of the task before is kept out of the arguments.
    #[serde(default, deserialize_with = "or_default")]
    pub immutable: bool,
}

impl Signature {
    /// A call without arguments.
    pub fn new(task: impl Into<String>) -> Self {
        Self {
            task: task.into(),
            args: Vec::new(),
            kwargs: BTreeMap::new(),
            options: BTreeMap::new(),
            subtask_type: None,
            immutable: false,
        }
    }

    /// An option that is text, such as `task_id`, `queue` or `reply_to`.
    pub fn option_text(&self, name: &str) -> Option<&str> {
        self.options.get(name)?.as_str()
    }
}

/// Celery writes null for what is not there.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
