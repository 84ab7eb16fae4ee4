//! What the caller is told: documents for the result backend.

use super::attempt::Attempt;
use super::context::Context;
use crate::handler::{Output, TaskError};
use crate::protocol::{EncodeError, Format, StoredException, StoredResult, TaskState};
use crate::results::Document;
use serde::Serialize;
use std::future::pending;
use std::time::Duration;
use tokio::sync::watch;
use tracing::debug;

/// What a running task says about its progress.
pub(super) type Reports = watch::Receiver<Option<serde_json::Value>>;

/// At most one report of progress per this long is passed on.
const PACE: Duration = Duration::from_millis(200);

/// A value that the task returned.
pub(super) fn success(
    attempt: &Attempt,
    output: &Output,
    cx: &Context,
) -> Result<Document, EncodeError> {
    let id = attempt.headers.id.clone();
    document(attempt, StoredResult::success(id, output, cx.clock.now()))
}

/// An error that ends the task, or that it is tried again after.
pub(super) fn error(
    attempt: &Attempt,
    state: TaskState,
    error: &TaskError,
    cx: &Context,
) -> Result<Document, EncodeError> {
    let id = attempt.headers.id.clone();
    let exception = StoredException::new(&error.kind, error.message.as_str(), module(&error.kind));
    let mut result = StoredResult::failure(id, exception, error.detail.clone(), cx.clock.now());
    if !state.is_ready() {
        result.date_done = None;
    }
    result.state = state;
    document(attempt, result)
}

/// Passes reports of progress on until the task has ended. Never completes. Lossy: what is not
/// stored is replaced by the next report.
pub(super) async fn forward(attempt: &Attempt, reports: Option<Reports>, cx: &Context) {
    let Some(mut reports) = reports else { return pending().await };
    while reports.changed().await.is_ok() {
        let report = reports.borrow_and_update().clone();
        let id = attempt.headers.id.clone();
        let result = StoredResult::state(id, TaskState::progress(), report);
        if let Ok(document) = document(attempt, result)
            && let Err(error) = cx.results.store(document).await
        {
            debug!(%error, "progress not passed on");
        }
        tokio::time::sleep(PACE).await;
    }
    pending().await
}

/// A document in the format of the message, which its sender can read.
fn document<R: Serialize>(
    attempt: &Attempt,
    mut result: StoredResult<R>,
) -> Result<Document, EncodeError> {
    result.group_id = attempt.headers.group.clone();
    result.parent_id = attempt.headers.parent_id.clone();
    let format: Format = attempt.body.format();
    Ok(Document {
        task_id: attempt.headers.id.clone(),
        reply_to: attempt.properties.reply_to.clone(),
        format,
        body: result.encode(format)?.into(),
    })
}

/// The Python module of an exception that Celery's clients know, so that they raise that one.
fn module(kind: &str) -> Option<&'static str> {
    match kind {
        "NotRegistered"
        | "TaskRevokedError"
        | "Reject"
        | "ChordError"
        | "MaxRetriesExceededError" => Some("celery.exceptions"),
        "TimeLimitExceeded" | "SoftTimeLimitExceeded" | "WorkerLostError" | "Terminated" => {
            Some("billiard.exceptions")
        }
        _ => None,
    }
}
