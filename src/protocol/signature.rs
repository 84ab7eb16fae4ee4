//! A call that is not yet sent, as it travels inside a message.

use super::embed::or_default;
use super::{DecodeError, EncodeError, Format, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A call that is not yet sent.
///
/// ```
/// use celeriac::protocol::Signature;
///
/// # fn main() -> Result<(), celeriac::protocol::EncodeError> {
/// let store = Signature::call("video.store", &("s3",))?.kwarg("public", true)?.queue("slow");
/// assert_eq!(store.args.len(), 1);
/// # Ok(())
/// # }
/// ```
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
    /// How many members the chord has whose body this is. Celery's readers ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chord_size: Option<u64>,
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
            chord_size: None,
        }
    }

    /// A call with positional arguments: a tuple, a list or `()`.
    ///
    /// # Errors
    ///
    /// When `args` are something else, or cannot be written.
    pub fn call(
        task: impl Into<String>,
        args: &(impl Serialize + ?Sized),
    ) -> Result<Self, EncodeError> {
        let args = match to_value(args)? {
            Value::Array(args) => args,
            Value::Nil => Vec::new(),
            other => {
                let message = format!("expected a list or a tuple, got {other}");
                return Err(EncodeError { format: "args", message });
            }
        };
        Ok(Self { args, ..Self::new(task) })
    }

    /// The same with a named argument.
    ///
    /// # Errors
    ///
    /// When the value cannot be written.
    pub fn kwarg(
        mut self,
        name: impl Into<String>,
        value: impl Serialize,
    ) -> Result<Self, EncodeError> {
        self.kwargs.insert(name.into(), to_value(&value)?);
        Ok(self)
    }

    /// The same with an option of Celery's `apply_async`, such as `countdown` or `priority`.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    /// The same, sent to this queue.
    #[must_use]
    pub fn queue(self, queue: impl Into<String>) -> Self {
        self.option("queue", Value::from(queue.into()))
    }

    /// The same, not given the result of the task before.
    #[must_use]
    pub fn immutable(self) -> Self {
        Self { immutable: true, ..self }
    }

    /// An option that is text, such as `task_id`, `queue` or `reply_to`.
    pub fn option_text(&self, name: &str) -> Option<&str> {
        self.options.get(name)?.as_str()
    }

    /// The signature as a value inside another.
    pub fn to_value(&self) -> Value {
        let text = |text: &str| Value::from(text);
        let map = |entries: &BTreeMap<String, Value>| {
            let entries = entries.iter().map(|(name, value)| (text(name), value.clone()));
            Value::Map(entries.collect())
        };
        let kind = self.subtask_type.as_deref().map_or(Value::Nil, text);
        let mut entries = vec![
            (text("task"), text(&self.task)),
            (text("args"), Value::Array(self.args.clone())),
            (text("kwargs"), map(&self.kwargs)),
            (text("options"), map(&self.options)),
            (text("subtask_type"), kind),
            (text("immutable"), self.immutable.into()),
        ];
        if let Some(size) = self.chord_size {
            entries.push((text("chord_size"), size.into()));
        }
        Value::Map(entries)
    }

    /// Reads a signature that is a value inside another.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn from_value(value: Value) -> Result<Self, DecodeError> {
        rmpv::ext::from_value(value).map_err(|error| DecodeError {
            place: "signature".to_owned(),
            message: error.to_string(),
        })
    }
}

/// Any value as it would be read from a message.
fn to_value(value: &(impl Serialize + ?Sized)) -> Result<Value, EncodeError> {
    let bytes = Format::MessagePack.encode(value)?;
    Format::MessagePack.decode(&bytes).map_err(|error| EncodeError {
        format: Format::MessagePack.name(),
        message: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_survives_being_a_value() {
        let mut signature = Signature::call("a", &(1, "x")).unwrap().queue("q").immutable();
        signature.chord_size = Some(3);
        let signature = signature.kwarg("deep", [Some(1.5), None]).unwrap();
        assert_eq!(Signature::from_value(signature.to_value()), Ok(signature));
        assert!(Signature::from_value(Value::from(1)).is_err());
        assert!(Signature::call("a", &"text").is_err());
    }
}
