//! One call as a program or an HTTP service is told of it.

use super::{Failure, TaskContext};
use crate::protocol::{Body, DecodeError};
use serde_json::{Map, Value, json};

/// What an attempt was called with, as JSON values.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Given {
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Given by name.
    pub kwargs: Map<String, Value>,
}

impl Given {
    /// The arguments in `body`.
    pub(super) fn decode(body: &Body) -> Result<Self, Failure> {
        let unreadable = |error: DecodeError| Failure::argument(error.to_string());
        Ok(Self {
            args: body.args_json().map_err(unreadable)?,
            kwargs: body.kwargs_json().map_err(unreadable)?,
        })
    }
}

/// An attempt and its arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// The attempt.
    pub cx: &'a TaskContext,
    /// What it was called with.
    pub arguments: &'a Given,
}

impl Call<'_> {
    /// The whole call as one JSON document.
    pub(super) fn document(&self) -> Value {
        json!({
            "task": self.cx.headers.task,
            "id": self.cx.id().as_str(),
            "attempt": self.cx.attempt(),
            "args": self.arguments.args,
            "kwargs": self.arguments.kwargs,
        })
    }
}
