//! What a call gives, read into what a task takes.

use super::bound::Bound;
use super::{Task, listed};
use crate::protocol::{Body, DecodeError};

/// What one call gives to a task, before anybody has said which parameters there are.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    pub(super) task: &'a str,
    pub(super) body: &'a Body,
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

    /// Reads the arguments of `T`, bound as Python binds them: by position first, the others by
    /// name, defaults for what may be left out, and nothing more.
    ///
    /// # Errors
    ///
    /// When they do not fit; the error names the argument.
    pub fn read<T: Task>(self) -> Result<T::Args, ArgumentError> {
        match listed::read::<T>(self.body) {
            Some(args) => Ok(args),
            None => self.read_bound::<T>(),
        }
    }

    /// Reads argument by argument, which finds out what does not fit.
    #[inline(never)]
    fn read_bound<T: Task>(self) -> Result<T::Args, ArgumentError> {
        let mut bound = Bound::new(self, T::PARAMS)?;
        let args = T::read(&mut bound)?;
        bound.finish().map(|()| args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Embed, Envelope, Format, Headers, Limits, Properties};
    use crate::task::{Param, ReadArguments, TaskOptions, Written};
    use serde_json::{Value, json};

    struct Mail;

    impl Task for Mail {
        const NAME: &'static str = "mail.send";
        const PARAMS: &'static [Param] = &[
            Param::new("user_id", "u64").aliased(&["uid"]),
            Param::new("template", "String").optional(),
            Param::new("token", "u8").optional().secret(),
        ];
        type Args = (u64, String, u8);
        type Output = ();

        fn options() -> TaskOptions {
            TaskOptions::default()
        }

        fn write(_: &Self::Args) -> Written<'_> {
            Written::Positional(Vec::new())
        }

        fn read<R: ReadArguments>(from: &mut R) -> Result<Self::Args, R::Error> {
            let user = from.required(0)?;
            Ok((user, from.or(1, || "plain".to_owned())?, from.or(2, || 7)?))
        }
    }

    fn body(format: Format, args: &Value, kwargs: &Value) -> Body {
        let bytes = Body::encode(format, args, kwargs, &Embed::default()).unwrap();
        let content_type = Some(format.content_type().to_owned());
        let envelope = Envelope {
            properties: Properties { content_type, ..Properties::default() },
            headers: Headers::new("t", "1".into()),
            body: bytes.into(),
        };
        Body::parse(&envelope, &Limits::default()).unwrap()
    }

    fn read(format: Format, args: &Value, kwargs: &Value) -> Result<(u64, String, u8), String> {
        let body = body(format, args, kwargs);
        let given = Given::new(Mail::NAME, &body);
        let (read, bound) = (given.read::<Mail>(), given.read_bound::<Mail>());
        assert_eq!(read, bound, "the fast way and the way that explains itself differ");
        read.map_err(|error| error.to_string())
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
                let (user, template, token) = read(format, &args, &kwargs).unwrap();
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
                assert_eq!(read(format, &args, &kwargs).unwrap_err(), said);
            }
        }
        let wrong = read(Format::Json, &json!(["forty-two"]), &json!({})).unwrap_err();
        assert!(
            wrong.starts_with(
                "argument `user_id`: invalid type: string \"forty-two\", expected u64"
            ),
            "{wrong}"
        );
        let wrong = read(Format::MessagePack, &json!([1]), &json!({"template": 5})).unwrap_err();
        assert!(wrong.starts_with("argument `template`: "), "{wrong}");
    }
    /// Asks for its parameters from the last to the first.
    struct Backwards;

    impl Task for Backwards {
        const NAME: &'static str = "backwards";
        const PARAMS: &'static [Param] = &[Param::new("a", "u8"), Param::new("b", "u8")];
        type Args = (u8, u8);
        type Output = ();

        fn options() -> TaskOptions {
            TaskOptions::default()
        }

        fn write(_: &Self::Args) -> Written<'_> {
            Written::Positional(Vec::new())
        }

        fn read<R: ReadArguments>(from: &mut R) -> Result<Self::Args, R::Error> {
            let last = from.required(1)?;
            Ok((from.required(0)?, last))
        }
    }

    #[test]
    fn arguments_are_not_exchanged_by_who_asks_for_them_in_another_order() {
        for format in [Format::Json, Format::MessagePack] {
            let body = body(format, &json!([1, 2]), &json!({}));
            assert_eq!(Given::new("backwards", &body).read::<Backwards>(), Ok((1, 2)));
        }
    }
}
