//! Runs the handler of an attempt under its time limits.

use super::attempt::Attempt;
use super::context::{Context, Known};
use super::outcome::Outcome;
use super::report;
use crate::clock::Clock;
use crate::handler::{Progress, TaskContext, panic_text};
use futures::FutureExt;
use std::any::Any;
use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long a task that was asked to stop, because the worker aborts or it was revoked, is given to end by itself.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs one attempt to its end. A panic is an outcome like any other.
pub(super) async fn run(attempt: &Attempt, known: &Known, cx: &Context) -> Outcome {
    let (soft, hard) = attempt.limits();
    let cancel = CancellationToken::new();
    let (progress, reports) = progress(attempt, cx);
    let task = TaskContext {
        headers: Arc::clone(&attempt.headers),
        queue: Arc::clone(&attempt.queue),
        redelivered: attempt.redelivered,
        deadline: hard.map(|limit| Instant::now() + limit),
        cancel: cancel.clone(),
        progress,
        on_thread: known.on_thread.clone(),
    };
    // A handler may panic before it has made its future, too.
    let call = || known.handler.call(task, Arc::clone(&attempt.body));
    let handler = match std::panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(handler) => handler,
        Err(panic) => return Outcome::Panicked(panic_text(&*panic)),
    };
    let handler = match attempt.span.get() {
        Some(span) => span.around(handler),
        None => handler,
    };
    let mut handler = AssertUnwindSafe(handler).catch_unwind();
    // What ends without waiting needs no limits.
    if let Poll::Ready(ended) = futures::poll!(&mut handler) {
        return judge(ended);
    }
    let limits = Limits { soft, hard, cancel };
    Box::pin(supervise(attempt, handler, limits, reports, cx)).await
}

/// When a running task is told to end, and through what.
struct Limits {
    soft: Option<Duration>,
    hard: Option<Duration>,
    cancel: CancellationToken,
}

/// Waits for a handler within its limits, passing on what it reports.
async fn supervise(
    attempt: &Attempt,
    mut handler: impl Future<Output = Ended> + Unpin,
    limits: Limits,
    reports: Option<report::Reports>,
    cx: &Context,
) -> Outcome {
    let Limits { soft, hard, cancel } = limits;
    let mut soft_limit = std::pin::pin!(after(soft, &*cx.clock));
    let mut hard_limit = std::pin::pin!(after(hard, &*cx.clock));
    let running = cx.revoked.running(&attempt.headers);
    let mut reporting = std::pin::pin!(report::forward(attempt, reports, cx));
    loop {
        tokio::select! {
            biased;
            ended = &mut handler => return judge(ended),
            () = cx.shutdown.aborting() => break,
            () = running.stop.cancelled() => break,
            () = &mut hard_limit => return Outcome::TimedOut(hard.unwrap_or_default()),
            () = &mut soft_limit, if !cancel.is_cancelled() => cancel.cancel(),
            () = &mut reporting => {}
        }
    }
    cancel.cancel();
    match tokio::time::timeout(LAST_WORDS, handler).await {
        Ok(Ok(Ok(output))) => Outcome::Done(output),
        _ if running.stop.is_cancelled() => Outcome::Terminated,
        _ => Outcome::Interrupted,
    }
}

type Ended = Result<Result<crate::handler::Output, crate::handler::Failure>, Box<dyn Any + Send>>;

fn judge(ended: Ended) -> Outcome {
    match ended {
        Ok(Ok(output)) => Outcome::Done(output),
        Ok(Err(failure)) => Outcome::Failed(failure),
        Err(panic) => Outcome::Panicked(panic_text(&*panic)),
    }
}

fn after(limit: Option<Duration>, clock: &dyn Clock) -> impl Future<Output = ()> + use<> {
    let sleep = limit.map(|limit| clock.allow(limit));
    async move {
        match sleep {
            Some(sleep) => sleep.await,
            None => pending().await,
        }
    }
}

/// Where the task reports progress; nowhere when nobody would learn of it.
fn progress(attempt: &Attempt, cx: &Context) -> (Progress, Option<report::Reports>) {
    if !attempt.wants_result(cx) {
        return (Progress::default(), None);
    }
    let (sender, reports) = watch::channel(None);
    (Progress::new(sender), Some(reports))
}
