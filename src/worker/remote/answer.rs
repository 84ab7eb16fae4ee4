//! What a command is answered, and what it was given, in Celery's words.

use crate::control::Arguments;
use crate::ids::TaskId;
use serde_json::{Value, json};

/// The answer to one command.
pub(super) type Answer = Result<Value, Refused>;

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused(String);

/// It is done, or true.
pub(super) fn ok(value: impl Into<Value>) -> Answer {
    let value: Value = value.into();
    Ok(json!({ "ok": value }))
}

/// It is not done, and why.
pub(super) fn refused(why: impl Into<String>) -> Answer {
    Err(Refused(why.into()))
}

impl Refused {
    /// An error as Python shows it.
    pub(super) fn python(kind: &str, message: &str) -> Self {
        Self(format!("{kind}({})", quoted(message)))
    }

    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl From<Refused> for Value {
    fn from(refused: Refused) -> Self {
        json!({ "error": refused.0 })
    }
}

/// What a command was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) method: &'a str,
    pub(super) arguments: &'a Arguments,
}

impl<'a> Given<'a> {
    /// One that may be left out, or null.
    pub(super) fn value(self, name: &str) -> Option<&'a Value> {
        self.arguments.get(name).filter(|value| !value.is_null())
    }

    fn needed(self, name: &str) -> Result<&'a Value, Refused> {
        self.value(name).ok_or_else(|| {
            let method = self.method;
            let missing = format!("{method}() missing 1 required positional argument: '{name}'");
            Refused::python("TypeError", &missing)
        })
    }

    fn wrong(self, name: &str, wanted: &str) -> Refused {
        Refused::python("TypeError", &format!("{}(): {name} must be {wanted}", self.method))
    }

    /// Text that must be there.
    pub(super) fn text(self, name: &str) -> Result<&'a str, Refused> {
        self.needed(name)?.as_str().ok_or_else(|| self.wrong(name, "text"))
    }

    /// Text that may be left out.
    pub(super) fn maybe_text(self, name: &str) -> Result<Option<&'a str>, Refused> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| self.wrong(name, "text")),
        }
    }

    /// One text, or a list of them.
    pub(super) fn texts(self, name: &str) -> Result<Vec<String>, Refused> {
        texts(self.needed(name)?).ok_or_else(|| self.wrong(name, "text or a list of texts"))
    }

    /// One id, or a list of them.
    pub(super) fn ids(self, name: &str) -> Result<Vec<TaskId>, Refused> {
        Ok(self.texts(name)?.into_iter().map(TaskId::from).collect())
    }

    /// Whether it is there and true, as Python takes things for true.
    pub(super) fn flag(self, name: &str) -> bool {
        self.value(name).is_some_and(|value| match value {
            Value::Bool(truth) => *truth,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !matches!(text.as_str(), "" | "0" | "false" | "no" | "off"),
            Value::Array(items) => !items.is_empty(),
            Value::Object(map) => !map.is_empty(),
            Value::Null => false,
        })
    }

    /// A whole number that may be left out.
    pub(super) fn count(self, name: &str) -> Result<Option<usize>, Refused> {
        let number = |value: &Value| usize::try_from(value.as_u64()?).ok();
        match self.value(name) {
            None => Ok(None),
            Some(value) => {
                number(value).map(Some).ok_or_else(|| self.wrong(name, "a whole number from 0"))
            }
        }
    }

    /// A number of seconds that may be left out.
    pub(super) fn seconds(self, name: &str) -> Result<Option<std::time::Duration>, Refused> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let limit = value.as_f64().and_then(|it| std::time::Duration::try_from_secs_f64(it).ok());
        limit.map(Some).ok_or_else(|| self.wrong(name, "a number of seconds from 0"))
    }
}

/// One text, or a list of them.
pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items.iter().map(|it| it.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// A text as Python shows it: in single quotes unless it holds some and no double ones.
pub(super) fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push(quote);
    for character in text.chars() {
        match character {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            other if other == quote => shown.extend(['\\', other]),
            other => shown.push(other),
        }
    }
    shown.push(quote);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_celerys_do() {
        let unknown = Refused::python("KeyError", "no_such_command");
        assert_eq!(Value::from(unknown), json!({ "error": "KeyError('no_such_command')" }));
        let arguments = Arguments::new();
        let given = Given { method: "revoke", arguments: &arguments };
        let expected = "TypeError(\"revoke() missing 1 required positional argument: 'task_id'\")";
        assert_eq!(given.ids("task_id"), Err(Refused::new(expected)));
        assert_eq!(quoted("it's \"so\"\n\\"), r#"'it\'s "so"\n\\'"#);
    }

    #[test]
    fn arguments_are_taken_as_python_takes_them() {
        let arguments = json!({
            "one": "a", "many": ["a", "b"], "odd": ["a", 1], "yes": 1, "no": 0, "null": null,
            "n": 3, "less": -1, "half": 0.5,
        });
        let arguments = arguments.as_object().unwrap();
        let given = Given { method: "m", arguments };
        assert_eq!(given.texts("one").unwrap(), ["a"]);
        assert_eq!(given.texts("many").unwrap(), ["a", "b"]);
        assert!(given.texts("odd").is_err() && given.texts("null").is_err());
        assert_eq!(
            ["yes", "no", "null", "none"].map(|name| given.flag(name)),
            [true, false, false, false]
        );
        assert_eq!((given.count("n"), given.count("null")), (Ok(Some(3)), Ok(None)));
        assert!(given.count("less").is_err() && given.count("half").is_err());
        assert_eq!(given.seconds("half"), Ok(Some(std::time::Duration::from_millis(500))));
        assert!(given.seconds("less").is_err());
    }
}
