//! What a running task may see and do.

use super::{Failure, TaskError};
use crate::canvas::Canvas;
use crate::ids::TaskId;
use crate::protocol::Headers;
use crate::traces;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The surroundings of one attempt.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// The headers of the message: id, retries, custom headers and the rest.
    pub headers: Arc<Headers>,
    /// The queue the message came from.
    pub queue: Arc<str>,
    /// Whether the broker has handed this message out before.
    pub redelivered: bool,
    /// When the hard time limit stops the attempt, if there is one.
    pub deadline: Option<Instant>,
    /// Cancelled when the task should end early: its soft limit has passed or the worker stops.
    pub cancel: CancellationToken,
    /// Where progress is reported.
    pub progress: Progress,
    pub(crate) on_thread: OnThread,
}

/// Whether a task runs on threads of its own, where nobody can stop it. It is known once it has run.
#[derive(Debug, Clone, Default)]
pub(crate) struct OnThread(Arc<AtomicBool>);

impl OnThread {
    /// It does.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is known to.
    pub(crate) fn is_known(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl TaskContext {
    /// The id of the task.
    pub fn id(&self) -> &TaskId {
        &self.headers.id
    }

    /// The surroundings of an attempt that no worker makes, for calling a task's body in a test.
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// use celeriac::prelude::*;
    ///
    /// #[task]
    /// async fn number(ctx: Ctx, factor: u32) -> anyhow::Result<u32> {
    ///     Ok(ctx.attempt() * factor)
    /// }
    /// assert_eq!(number::run(Ctx::detached("number"), 3).await.unwrap(), 3);
    /// # });
    /// ```
    pub fn detached(task: &str) -> Self {
        Self {
            headers: Arc::new(Headers::new(task, TaskId::random())),
            queue: "".into(),
            redelivered: false,
            deadline: None,
            cancel: CancellationToken::new(),
            progress: Progress::default(),
            on_thread: OnThread::default(),
        }
    }

    /// Ends the attempt, to be tried again after this long. Counts as an attempt.
    ///
    /// # Errors
    ///
    /// Always: the error is the answer, to be returned from the task.
    pub fn retry<T, E: From<Failure>>(&self, after: Duration) -> Result<T, E> {
        let error = TaskError::new("Retry", format!("asked to be tried again after {after:?}"));
        Err(Failure::Retry { after: Some(after), error }.into())
    }

    /// Ends the attempt, to come back after this long. Does not count as an attempt.
    ///
    /// # Errors
    ///
    /// Always: the error is the answer, to be returned from the task.
    pub fn snooze<T, E: From<Failure>>(&self, after: Duration) -> Result<T, E> {
        Err(Failure::Snooze { after }.into())
    }

    /// Ends the task by putting a workflow in its place: that has the task's id, and whoever waits
    /// for the task is told the workflow's result. A group gives the list of its results.
    ///
    /// ```
    /// use celeriac::canvas::group;
    /// use celeriac::handler::{Failure, TaskContext};
    /// use celeriac::protocol::Signature;
    ///
    /// async fn resize_all(cx: TaskContext, (paths,): (Vec<String>,)) -> anyhow::Result<()> {
    ///     let each = paths.iter().map(|path| Signature::call("video.resize", &(path,)));
    ///     cx.replace(group(each.collect::<Result<Vec<_>, _>>()?))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Always: the error is the answer, to be returned from the task.
    pub fn replace<T, E: From<Failure>>(&self, by: impl Into<Canvas>) -> Result<T, E> {
        Err(Failure::Replace(Box::new(by.into())).into())
    }

    /// The headers by which another program goes on with the trace of this attempt: `traceparent`, and
    /// `tracestate` if there is one. Without tracing here, what the message came with.
    pub(crate) fn trace_headers(&self) -> Vec<(&'static str, String)> {
        match traces::here() {
            Some(span) => span.carried(),
            None => self.headers.trace().headers(),
        }
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.headers.retries.saturating_add(1)
    }
}

/// Reports how far a task has come. Lossy: only the newest report counts, and reporting never
/// waits.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    reports: Option<tokio::sync::watch::Sender<Option<serde_json::Value>>>,
}

impl Progress {
    /// Reports into `reports`.
    pub fn new(reports: tokio::sync::watch::Sender<Option<serde_json::Value>>) -> Self {
        Self { reports: Some(reports) }
    }

    /// Reports any value; it becomes the result of state `PROGRESS`.
    pub fn report(&self, value: serde_json::Value) {
        if let Some(reports) = &self.reports {
            reports.send_replace(Some(value));
        }
    }

    /// Reports a share from 0 to 1 with a word about it.
    pub fn share(&self, share: f64, message: &str) {
        self.report(serde_json::json!({ "progress": share, "message": message }));
    }
}
