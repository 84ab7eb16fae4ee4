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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// use celeriac::prelude::*;
///
/// #[task]
/// async fn export(ctx: Ctx, rows: u32) -> anyhow::Result<u32> {
///     for row in 0..rows {
///         if ctx.cancel.is_cancelled() {
///             return Ok(row); // as far as it got
///         }
///     }
///     Ok(rows)
/// }
///
/// let ctx = Ctx::detached("export");
/// assert_eq!(export::run(ctx.clone(), 10).await?, 10);
/// ctx.cancel.cancel();
/// assert_eq!(export::run(ctx, 10).await?, 0);
/// # Ok(())
/// # }
/// ```
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{prelude::*, testing::TestWorker};
    /// #[task(name = "my.id")]
    /// async fn my_id(ctx: Ctx) -> anyhow::Result<String> {
    ///     Ok(ctx.id().to_string())
    /// }
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<my_id>();
    /// let told = my_id().id("order-17").delay(&app).await?;
    /// # worker.drain().await;
    /// assert_eq!(told.await?, "order-17");
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{prelude::*, testing::TestWorker};
    /// # use std::time::Duration;
    /// #[task(name = "api.fetch")]
    /// async fn fetch(ctx: Ctx) -> anyhow::Result<u32> {
    ///     if ctx.attempt() == 1 {
    ///         return ctx.retry(Duration::from_secs(90)); // as the server asked for
    ///     }
    ///     Ok(ctx.attempt())
    /// }
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<fetch>();
    /// let attempts = fetch().delay(&app).await?;
    /// worker.advance(Duration::from_secs(90)).await;
    /// assert_eq!(attempts.await?, 2);
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{prelude::*, testing::TestWorker};
    /// # use std::time::Duration;
    /// #[task(name = "shop.deliver", max_retries = 0)]
    /// async fn deliver(ctx: Ctx, State(is_open): State<bool>) -> anyhow::Result<()> {
    ///     if is_open { Ok(()) } else { ctx.snooze(Duration::from_secs(3600)) }
    /// }
    ///
    /// # let app = App::in_memory();
    /// let worker = TestWorker::new(&app).register::<deliver>().state(false);
    /// deliver().send(&app).await?;
    /// let report = worker.advance(Duration::from_secs(7200)).await;
    /// assert_eq!(report.of::<deliver>().attempts(), 3);
    /// assert_eq!(report.of::<deliver>().given_up(), 0);
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{prelude::*, testing::TestWorker};
    /// # use std::time::Duration;
    /// #[task(name = "api.third")]
    /// async fn third(ctx: Ctx) -> anyhow::Result<u32> {
    ///     anyhow::ensure!(ctx.attempt() == 3, "not yet");
    ///     Ok(ctx.attempt())
    /// }
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<third>();
    /// let attempt = third().delay(&app).await?;
    /// worker.advance(Duration::from_secs(60)).await;
    /// assert_eq!(attempt.await?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn attempt(&self) -> u32 {
        self.headers.retries.saturating_add(1)
    }
}

/// Reports how far a task has come. Lossy: only the newest report counts, and reporting never
/// waits.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// use celeriac::prelude::*;
///
/// #[task]
/// async fn encode(#[extract] progress: Progress, frames: u32) -> anyhow::Result<()> {
///     for frame in 0..frames {
///         progress.share(f64::from(frame) / f64::from(frames), "encoding");
///     }
///     Ok(())
/// }
///
/// encode::run(Progress::default(), 24).await?; // nobody listens
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Progress {
    reports: Option<tokio::sync::watch::Sender<Option<serde_json::Value>>>,
}

impl Progress {
    /// Reports into `reports`.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// let (reports, told) = tokio::sync::watch::channel(None);
    /// Progress::new(reports).share(0.5, "half");
    /// assert_eq!(told.borrow().as_ref().unwrap()["message"], "half");
    /// ```
    pub fn new(reports: tokio::sync::watch::Sender<Option<serde_json::Value>>) -> Self {
        Self { reports: Some(reports) }
    }

    /// Reports any value; it becomes the result of state `PROGRESS`.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # use serde_json::json;
    /// # let (reports, told) = tokio::sync::watch::channel(None);
    /// # let mut ctx = Ctx::detached("import");
    /// # ctx.progress = Progress::new(reports);
    /// ctx.progress.report(json!({ "rows": 1200, "rejected": 3 }));
    /// assert_eq!(*told.borrow(), Some(json!({ "rows": 1200, "rejected": 3 })));
    /// ```
    pub fn report(&self, value: serde_json::Value) {
        if let Some(reports) = &self.reports {
            reports.send_replace(Some(value));
        }
    }

    /// Reports a share from 0 to 1 with a word about it.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # let (reports, told) = tokio::sync::watch::channel(None);
    /// # let mut ctx = Ctx::detached("render");
    /// # ctx.progress = Progress::new(reports);
    /// ctx.progress.share(0.25, "page 1 of 4");
    /// assert_eq!(told.borrow().as_ref().unwrap()["progress"], 0.25);
    /// ```
    pub fn share(&self, share: f64, message: &str) {
        self.report(serde_json::json!({ "progress": share, "message": message }));
    }
}
