//! What a call gives, bound to parameters as Python binds them.

use super::{Argument, Param};
use crate::inherit::keys_of;
use crate::protocol::{ArgumentReader, Body, DecodeError};
use serde::de::DeserializeOwned;

/// What one call gives to a task, before anybody has said which parameters there are.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    task: &'a str,
    body: &'a Body,
}

/// What one call gives, bound to parameters: positional arguments first, the others by name,
/// defaults for what may be left out, and nothing more.
#[derive(Debug)]
pub struct Bound<'a> {
    task: &'a str,
    params: &'static [Param],
    arguments: ArgumentReader<'a>,
}

/// Why a call does not fit its task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentError {
    /// One argument is of another type.
    #[error("argument `{name}`{place}: {message}")]
    Type {
        /// The parameter.
        name: &'static str,
        /// Where inside it.
        place: String,
        /// What was found and what was expected.
        message: String,
    },
    /// One argument is missing.
    #[error("{task}() is missing argument `{name}` ({kind})")]
    Missing {
        /// The task.
        task: String,
        /// The parameter.
        name: &'static str,
        /// Its type.
        kind: &'static str,
    },
    /// One argument is given by position and by name.
    #[error("{task}() got two values for argument `{name}`")]
    Twice {
        /// The task.
        task: String,
        /// The parameter.
        name: &'static str,
    },
    /// More arguments than parameters.
    #[error("{task}() takes {takes} positional arguments, {given} were given")]
    TooMany {
        /// The task.
        task: String,
        /// How many it takes.
        takes: usize,
        /// How many came.
        given: usize,
    },
    /// A name that no parameter has.
    #[error("{task}() got an unexpected keyword argument `{name}`; it takes {takes}")]
    Unexpected {
        /// The task.
        task: String,
        /// The name.
        name: String,
        /// The names it takes.
        takes: String,
    },
    /// A field of a structure is missing or of another type.
    #[error("argument {0}")]
    Field(DecodeError),
    /// The arguments cannot be looked at.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
}

impl<'a> Given<'a> {
    /// What `body` gives to the task `task`.
    pub fn new(task: &'a str, body: &'a Body) -> Self {
        Self { task, body }
    }

    /// Binds it to these parameters.
    ///
    /// # Errors
    ///
    /// When there are more arguments than parameters, or some under names that none has.
    pub fn bind(self, params: &'static [Param]) -> Result<Bound<'a>, ArgumentError> {
        let bound = Bound { task: self.task, params, arguments: self.body.arguments()? };
        bound.check_surplus()?;
        Ok(bound)
    }

    /// Reads the named arguments as the fields of one structure.
    ///
    /// # Errors
    ///
    /// When there are positional arguments, or a field is missing, unknown or of another type.
    pub fn structure<T: DeserializeOwned>(self) -> Result<T, ArgumentError> {
        let arguments = self.body.arguments()?;
        let task = || self.task.to_owned();
        let given = arguments.positional();
        if given > 0 {
            return Err(ArgumentError::TooMany { task: task(), takes: 0, given });
        }
        let keys = keys_of::<T>();
        let unknown = arguments.left().find(|name| !keys.is_empty() && !keys.contains(name));
        if let Some(name) = unknown {
            let (name, takes) = (name.to_owned(), keys.join(", "));
            return Err(ArgumentError::Unexpected { task: task(), name, takes });
        }
        self.body.kwargs().map_err(|error| ArgumentError::Field(without_root(error)))
    }
}

impl Bound<'_> {
    /// Parameter number `index`, which every call must give. Ask in the order of the parameters.
    ///
    /// # Errors
    ///
    /// When it is missing or of another type.
    pub fn required<A: Argument>(&mut self, index: usize) -> Result<A, ArgumentError> {
        let found = self.find(index)?;
        found.ok_or_else(|| {
            let Param { name, kind, .. } = self.params[index];
            ArgumentError::Missing { task: self.task.to_owned(), name, kind }
        })
    }

    /// Parameter number `index`, or its default. Ask in the order of the parameters.
    ///
    /// # Errors
    ///
    /// When it is of another type.
    pub fn or<A: Argument>(
        &mut self,
        index: usize,
        default: impl FnOnce() -> A,
    ) -> Result<A, ArgumentError> {
        Ok(self.find(index)?.unwrap_or_else(default))
    }

    fn find<A: Argument>(&mut self, index: usize) -> Result<Option<A>, ArgumentError> {
        let param = &self.params[index];
        let found = if index < self.arguments.positional() {
            A::take_next(&mut self.arguments)
        } else {
            param.names().find_map(|name| A::take(&mut self.arguments, name))
        };
        found.transpose().map_err(|error| mismatch(param, error))
    }

    /// Refuses what no parameter takes. A name counts as taken twice when its position is, too.
    fn check_surplus(&self) -> Result<(), ArgumentError> {
        let task = || self.task.to_owned();
        let (takes, given) = (self.params.len(), self.arguments.positional());
        if given > takes {
            return Err(ArgumentError::TooMany { task: task(), takes, given });
        }
        for name in self.arguments.left() {
            let known = self.params.iter().position(|param| param.names().any(|own| own == name));
            match known {
                None => {
                    let (name, takes) = (name.to_owned(), self.takes());
                    return Err(ArgumentError::Unexpected { task: task(), name, takes });
                }
                Some(index) if index < given || self.is_doubled(index, name) => {
                    let name = self.params[index].name;
                    return Err(ArgumentError::Twice { task: task(), name });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether the parameter is also there under another of its names.
    fn is_doubled(&self, index: usize, name: &str) -> bool {
        self.params[index].names().any(|other| other != name && self.arguments.has(other))
    }

    fn takes(&self) -> String {
        match self.params {
            [] => "none".to_owned(),
            params => params.iter().map(|param| param.name).collect::<Vec<_>>().join(", "),
        }
    }
}

/// `kwargs.size` is argument `size` to whoever sent it.
fn without_root(error: DecodeError) -> DecodeError {
    let place = error.place.strip_prefix("kwargs.").unwrap_or_default();
    let place = if place.is_empty() { String::new() } else { format!("`{place}`") };
    DecodeError { place, ..error }
}

/// The value of a secret argument is not told, not even in an error.
fn mismatch(param: &Param, error: DecodeError) -> ArgumentError {
    let DecodeError { place, message } = error;
    let message = match param.is_secret {
        true => format!("its value, which is secret, is no {}", param.kind),
        false => message,
    };
    let dot = if place.is_empty() || place.starts_with('[') { "" } else { "." };
    ArgumentError::Type { name: param.name, place: format!("{dot}{place}"), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Embed, Envelope, Format, Headers, Limits, Properties};
    use serde_json::{Value, json};

    const PARAMS: &[Param] = &[
        Param::new("user_id", "u64").aliased(&["uid"]),
        Param::new("template", "String").optional(),
        Param::new("token", "u8").optional().secret(),
    ];

    fn bind(format: Format, args: &Value, kwargs: &Value) -> Result<(u64, String, u8), String> {
        let bytes = Body::encode(format, args, kwargs, &Embed::default()).unwrap();
        let content_type = Some(format.content_type().to_owned());
        let envelope = Envelope {
            properties: Properties { content_type, ..Properties::default() },
            headers: Headers::new("t", "1".into()),
            body: bytes.into(),
        };
        let body = Body::parse(&envelope, &Limits::default()).unwrap();
        let read = || {
            let mut given = Given::new("mail.send", &body).bind(PARAMS)?;
            let user = given.required(0)?;
            Ok((user, given.or(1, || "plain".to_owned())?, given.or(2, || 7)?))
        };
        read().map_err(|error: ArgumentError| error.to_string())
    }

    #[test]
    fn arguments_are_bound_as_python_binds_them() {
        for format in [Format::Json, Format::MessagePack] {
            for (args, kwargs, expected) in [
                (json!([1]), json!({}), (1, "plain", 7)),
                (json!([1, "x", 2]), json!({}), (1, "x", 2)),
                (json!([1]), json!({"token": 3}), (1, "plain", 3)),
                (json!([]), json!({"uid": 1, "template": "y"}), (1, "y", 7)),
            ] {
                let (user, template, token) = bind(format, &args, &kwargs).unwrap();
                assert_eq!((user, template.as_str(), token), expected);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_told_by_the_name_of_the_argument() {
        for format in [Format::Json, Format::MessagePack] {
            for (args, kwargs, said) in [
                (json!([]), json!({}), "mail.send() is missing argument `user_id` (u64)"),
                (
                    json!([1, "x", 2, 3]),
                    json!({}),
                    "mail.send() takes 3 positional arguments, 4 were given",
                ),
                (
                    json!([1]),
                    json!({"user": 1}),
                    "mail.send() got an unexpected keyword argument `user`; \
                     it takes user_id, template, token",
                ),
                (
                    json!([1]),
                    json!({"uid": 1}),
                    "mail.send() got two values for argument `user_id`",
                ),
                (
                    json!([]),
                    json!({"uid": 1, "user_id": 1}),
                    "mail.send() got two values for argument `user_id`",
                ),
                (
                    json!([1, "x", "hunter2"]),
                    json!({}),
                    "argument `token`: its value, which is secret, is no u8",
                ),
            ] {
                assert_eq!(bind(format, &args, &kwargs).unwrap_err(), said);
            }
        }
        let wrong = bind(Format::Json, &json!(["forty-two"]), &json!({})).unwrap_err();
        assert!(
            wrong.starts_with(
                "argument `user_id`: invalid type: string \"forty-two\", expected u64"
            ),
            "{wrong}"
        );
        let wrong = bind(Format::MessagePack, &json!([1]), &json!({"template": 5})).unwrap_err();
        assert!(wrong.starts_with("argument `template`: "), "{wrong}");
    }
}
