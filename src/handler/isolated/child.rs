//! The process's side: this program again, started for one attempt.

use super::wire::{Answer, Ended, Job, Order, frames, write};
use crate::handler::{Failure, OnThread, Output, Progress, Registry, TaskContext, panic_text};
use crate::protocol::{Body, Envelope, Format, Limits, Properties, Value};
use crate::traces::{self, Span};
use futures::{FutureExt, StreamExt};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Holds the process id of the worker that started this process. A program that the task itself
/// starts inherits it and is no child of that worker.
pub(super) const PARENT: &str = "CELERIAC_ISOLATED_BY";

/// Whether this process was started for one isolated task.
pub fn is_isolated() -> bool {
    let parent = rustix::process::getppid().map(rustix::process::Pid::as_raw_pid);
    let named = std::env::var(PARENT).ok().and_then(|pid| pid.parse().ok());
    named.is_some() && named == parent
}

/// Runs the attempt that this process was started for, with the handler of `registry`.
///
/// # Errors
///
/// When the worker cannot be heard or told.
pub(crate) async fn serve(registry: &Registry) -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    let (reader, mut writer) = tokio::net::UnixStream::from_std(socket)?.into_split();
    let mut orders = std::pin::pin!(frames::<Order>(reader));
    let Some(Order::Run(job)) = orders.next().await.transpose()? else { return Ok(()) };
    let cancel = CancellationToken::new();
    let (sender, mut reports) = watch::channel(None);
    let mut running = std::pin::pin!(run(registry, *job, cancel.clone(), Progress::new(sender)));
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended,
            order = orders.next() => match order.transpose()? {
                Some(_) => cancel.cancel(),
                None => {
                    debug!("the worker is gone, and with it the task");
                    return Ok(());
                }
            },
            Ok(()) = reports.changed() => {
                let report = reports.borrow_and_update().clone();
                if let Some(report) = report.and_then(|report| to_value(&report).ok()) {
                    write(&mut writer, &Answer::Progress(report)).await?;
                }
            }
        }
    };
    write(&mut writer, &Answer::Ended(Box::new(ended))).await
}

async fn run(
    registry: &Registry,
    job: Job,
    cancel: CancellationToken,
    progress: Progress,
) -> Ended {
    let Job { headers, queue, redelivered, left, content_type, body } = job;
    let Some(registered) = registry.get(&headers.task) else {
        let text = format!("the program did not register `{}` this time", headers.task);
        return Ended::Failed(Failure::error("NotRegistered", text).into());
    };
    let properties = Properties { content_type: Some(content_type), ..Properties::default() };
    let named = crate::protocol::Headers::new(headers.task.clone(), headers.id.clone());
    let envelope = Envelope { properties, headers: named, body: body.into() };
    // The worker has read it within its limits.
    let limits =
        &Limits { max_body: usize::MAX, max_decompressed: usize::MAX, max_depth: Limits::DEEPEST };
    let body = match Body::parse(&envelope, limits) {
        Ok(body) => Arc::new(body),
        Err(error) => return Ended::Failed(Failure::argument(error.to_string()).into()),
    };
    let trace = Span::elsewhere(headers.trace());
    let cx = TaskContext {
        headers: Arc::new(headers),
        queue: queue.into(),
        redelivered,
        deadline: left.map(|left| Instant::now() + left),
        cancel,
        progress,
        on_thread: OnThread::default(),
    };
    let handler = Arc::clone(&registered.handler);
    let call = async move { handler.call(cx, body).await };
    match AssertUnwindSafe(traces::within(trace.as_ref(), call)).catch_unwind().await {
        Ok(Ok(output)) => value(&output),
        Ok(Err(failure)) => Ended::Failed(failure.into()),
        Err(panic) => Ended::Panicked(panic_text(&*panic)),
    }
}

fn value(output: &Output) -> Ended {
    match to_value(output) {
        Ok(value) => Ended::Done(value),
        Err(error) => Ended::Failed(Failure::error("EncodeError", error).into()),
    }
}

fn to_value(value: &impl serde::Serialize) -> Result<Value, String> {
    let bytes = Format::MessagePack.encode(value).map_err(|error| error.to_string())?;
    Format::MessagePack.decode(&bytes).map_err(|error| error.to_string())
}
