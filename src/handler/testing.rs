//! What the tests of handlers share.

use super::call::Given;
use super::{Failure, OnThread, Output, Progress, TaskContext, TaskError};
use crate::protocol::{Body, Embed, Envelope, Format, Headers, Limits, Properties};
use crate::task::{HttpSettings, ProgramSettings, TaskSettings};
use serde_json::Value;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The first attempt of a task from queue `media`.
pub(super) fn context(task: &str, id: &str) -> TaskContext {
    TaskContext {
        headers: Arc::new(Headers::new(task, id.into())),
        queue: "media".into(),
        redelivered: false,
        deadline: None,
        cancel: CancellationToken::new(),
        progress: Progress::default(),
        on_thread: OnThread::default(),
    }
}

/// Given from a JSON array and a JSON object.
pub(super) fn arguments(args: Value, kwargs: Value) -> Given {
    Given {
        args: serde_json::from_value(args).unwrap(),
        kwargs: serde_json::from_value(kwargs).unwrap(),
    }
}

/// What a handler's value looks like from outside.
pub(super) fn value(ended: Result<Output, Failure>) -> Value {
    serde_json::to_value(ended.unwrap()).unwrap()
}

/// The error inside a failure that the policy judges.
pub(super) fn error(ended: Result<Output, Failure>) -> TaskError {
    match ended.unwrap_err() {
        Failure::Error(error) => error,
        other => panic!("not left to the policy: {other:?}"),
    }
}

/// The error inside a rejection.
pub(super) fn rejection(ended: Result<Output, Failure>) -> TaskError {
    match ended.unwrap_err() {
        Failure::Reject(error) => error,
        other => panic!("not rejected: {other:?}"),
    }
}

/// The settings of a program from the lines of its table.
pub(super) fn program_settings(table: &str) -> ProgramSettings {
    let settings: TaskSettings = toml::from_str(table).unwrap();
    settings.program().unwrap()
}

/// The settings of an HTTP call from the lines of its table.
pub(super) fn http_settings(table: &str) -> HttpSettings {
    toml::from_str(table).unwrap()
}

/// A directory of its own for one test, removed when dropped.
#[derive(Debug)]
pub(super) struct TempDir(std::path::PathBuf);

impl TempDir {
    /// A new, empty directory.
    pub(super) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("celeriac-test-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// The path of `name` in it, as text.
    pub(super) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// The body of a message with these arguments.
pub(super) fn body(format: Format, args: &Value, kwargs: &Value) -> Arc<Body> {
    let bytes = Body::encode(format, args, kwargs, &Embed::default()).unwrap();
    let properties = Properties {
        content_type: Some(format.content_type().to_owned()),
        ..Properties::default()
    };
    let headers = Headers::new("t", "1".into());
    let envelope = Envelope { properties, headers, body: bytes.into() };
    Arc::new(Body::parse(&envelope, &Limits::default()).unwrap())
}
