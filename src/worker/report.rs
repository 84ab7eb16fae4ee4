//! What the caller is told: documents for the result backend.

use super::attempt::Attempt;
use super::context::Context;
use crate::canvas::follow::Unreached;
use crate::handler::{Output, TaskError};
use crate::protocol::{EncodeError, StoredException, StoredResult, TaskState, Value};
use crate::results::Document;
use serde::Serialize;
use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;
use tokio::sync::watch;
use tracing::debug;

/// What a running task says about its progress.
pub(super) type Reports = watch::Receiver<Option<serde_json::Value>>;

/// At most one report of progress per this long is passed on.
const PACE: Duration = Duration::from_millis(200);

/// A value that the task returned, and what it has sent.
pub(super) fn success(
    attempt: &Attempt,
    output: &Output,
    children: Vec<Value>,
    cx: &Context,
) -> Result<Document, EncodeError> {
    let id = attempt.headers.id.clone();
    let result = StoredResult::success(id, output, cx.clock.now());
    document(attempt, StoredResult { children, ..result }, cx)
}

/// That the task begins.
pub(super) fn started(attempt: &Attempt, cx: &Context) -> Result<Document, EncodeError> {
    #[derive(Serialize)]
    struct Where<'a> {
        pid: u32,
        hostname: &'a str,
    }
    let id = attempt.headers.id.clone();
    let place = Where { pid: std::process::id(), hostname: &cx.name };
    document(attempt, StoredResult::state(id, TaskState::Started, place), cx)
}

/// An error that ends the task, or that it is tried again after.
pub(super) fn error(
    attempt: &Attempt,
    state: TaskState,
    error: &TaskError,
    cx: &Context,
) -> Result<Document, EncodeError> {
    let id = attempt.headers.id.clone();
    let (exception, detail) = exception(attempt, error);
    let mut result = StoredResult::failure(id, exception, detail, cx.clock.now());
    if !state.is_ready() {
        result.date_done = None;
    }
    result.state = state;
    document(attempt, result, cx)
}

/// The error of a task that comes before another, as the end of that one.
pub(super) fn unreached(
    attempt: &Attempt,
    task: &Unreached,
    state: TaskState,
    error: &TaskError,
    cx: &Context,
) -> Result<Document, EncodeError> {
    let (exception, detail) = exception(attempt, error);
    let mut result = StoredResult::failure(task.id.clone(), exception, detail, cx.clock.now());
    result.group_id.clone_from(&task.group);
    result.state = state;
    let format = cx.reporting.format.unwrap_or_else(|| attempt.body.format());
    Ok(Document {
        task_id: task.id.clone(),
        reply_to: task.reply_to.clone(),
        format,
        body: result.encode(format)?.into(),
        state: result.state,
    })
}

/// An error as Python raises it, and its traceback.
fn exception(attempt: &Attempt, error: &TaskError) -> (StoredException, Option<String>) {
    let module = module(&error.kind);
    // Python makes a sentence of the exception's name and the task's.
    if error.kind == NOT_REGISTERED && attempt.known.is_none() {
        let exception = StoredException::new(&error.kind, attempt.headers.task.as_str(), module);
        return (exception, Some(error.message.clone()));
    }
    (StoredException::new(&error.kind, error.message.as_str(), module), error.detail.clone())
}

/// Passes reports of progress on until the task has ended. Never completes. Lossy: what is not
/// stored is replaced by the next report.
pub(super) async fn forward(attempt: &Attempt, reports: Option<Reports>, cx: &Context) {
    let Some(mut reports) = reports else { return pending().await };
    while reports.changed().await.is_ok() {
        let report = reports.borrow_and_update().clone();
        let id = attempt.headers.id.clone();
        let result = StoredResult::state(id, TaskState::progress(), report);
        if let Ok(document) = document(attempt, result, cx)
            && let Err(error) = cx.results.store(&document).await
        {
            debug!(%error, "progress not passed on");
        }
        tokio::time::sleep(PACE).await;
    }
    pending().await
}

/// A document in the configured format, or else that of the message, which its sender can read.
fn document<R: Serialize>(
    attempt: &Attempt,
    mut result: StoredResult<R>,
    cx: &Context,
) -> Result<Document, EncodeError> {
    result.group_id = attempt.headers.group.clone();
    result.parent_id = attempt.headers.parent_id.clone();
    if cx.reporting.extended {
        result.extra = extended(attempt, cx);
    }
    let format = cx.reporting.format.unwrap_or_else(|| attempt.body.format());
    Ok(Document {
        task_id: attempt.headers.id.clone(),
        reply_to: attempt.properties.reply_to.clone(),
        format,
        body: result.encode(format)?.into(),
        state: result.state,
    })
}

/// What Celery adds with `result_extended`. `queue` is the routing key, as there.
fn extended(attempt: &Attempt, cx: &Context) -> BTreeMap<String, Value> {
    let fields = [
        ("name", attempt.headers.task.as_str().into()),
        ("args", attempt.body.args().unwrap_or(Value::Nil)),
        ("kwargs", attempt.body.kwargs().unwrap_or(Value::Nil)),
        ("worker", cx.name.as_str().into()),
        ("retries", attempt.headers.retries.into()),
        ("queue", attempt.routing_key.as_str().into()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Celery's name of the error of a task that no worker knows.
pub(super) const NOT_REGISTERED: &str = "NotRegistered";

/// The Python module of an exception that Celery's clients know, so that they raise that one.
fn module(kind: &str) -> Option<&'static str> {
    match kind {
        NOT_REGISTERED
        | "TaskRevokedError"
        | "Reject"
        | "ChordError"
        | "MaxRetriesExceededError" => Some("celery.exceptions"),
        "TimeLimitExceeded" | "SoftTimeLimitExceeded" | "WorkerLostError" | "Terminated" => {
            Some("billiard.exceptions")
        }
        "ArithmeticError"
        | "AssertionError"
        | "AttributeError"
        | "ConnectionError"
        | "EOFError"
        | "Exception"
        | "FileNotFoundError"
        | "IndexError"
        | "InterruptedError"
        | "KeyError"
        | "LookupError"
        | "MemoryError"
        | "NotImplementedError"
        | "OSError"
        | "OverflowError"
        | "PermissionError"
        | "RecursionError"
        | "RuntimeError"
        | "TimeoutError"
        | "TypeError"
        | "UnicodeError"
        | "ValueError"
        | "ZeroDivisionError" => Some("builtins"),
        _ => None,
    }
}
