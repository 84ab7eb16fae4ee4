//! Tasks in a process of their own.
//!
//! A function in Rust that blocks cannot be stopped from outside, and what it allocates is its
//! program's. An isolated task runs in another process of the same program: that can be killed at
//! its time limit, has a memory limit of its own, and takes nobody with it when it crashes.
//!
//! The worker starts its own program again, with the same arguments and environment. `main` runs up
//! to [`Worker::run`](crate::worker::Worker::run), which sees why it was started
//! ([`is_isolated`]), takes one attempt from the socket that is its standard input, answers, and
//! returns. Decision 0020 has the states and what happens when either side dies.

mod child;
mod wire;

pub use child::is_isolated;
pub(crate) use child::serve;

use super::exec::{Running, Watcher};
use super::{Failure, Handler, Output, TaskContext};
use crate::protocol::Body;
use crate::traces;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::unix::OwnedWriteHalf;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use wire::{Answer, Ended, Job, Order, frames, write};

/// This very program, also after its file was replaced by a newer one.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// What a process wrote before it ended is here by then.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A task that runs in a process of its own.
#[derive(Debug, Clone)]
pub(crate) struct Isolated {
    max_memory: Option<u64>,
    watcher: Arc<Watcher>,
}

impl Isolated {
    /// With at most this much memory, in bytes. `watcher` kills what a killed worker leaves.
    pub(crate) fn new(max_memory: Option<u64>, watcher: Arc<Watcher>) -> Self {
        Self { max_memory, watcher }
    }

    async fn run(self, cx: TaskContext, body: Arc<Body>) -> Result<Output, Failure> {
        let (mut running, socket) =
            self.start().map_err(|error| Failure::error("ProcessNotStarted", error.to_string()))?;
        match self.talk(&mut running, socket, &cx, &body).await {
            Ok(Some(Ended::Done(value))) => Ok(Output::new(value)),
            Ok(Some(Ended::Failed(failed))) => {
                Err(failed.try_into().unwrap_or_else(|bad: crate::canvas::BadCanvas| {
                    Failure::argument(bad.to_string())
                }))
            }
            Ok(Some(Ended::Panicked(message))) => std::panic::resume_unwind(Box::new(message)),
            Ok(None) => Err(self.lost(running).await),
            Err(error) => {
                let text = format!("the process of the task cannot be talked to: {error}");
                Err(Failure::error("WorkerLostError", text))
            }
        }
    }

    /// Starts the program again.
    fn start(&self) -> io::Result<(Running, tokio::net::UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let arguments: Vec<OsString> = std::env::args_os().collect();
        // Dropped at the end: then only the process itself holds its end of the socket.
        let mut command = Command::new(OWN_PROGRAM);
        command
            .args(arguments.iter().skip(1))
            .env(child::PARENT, std::process::id().to_string())
            .stdin(OwnedFd::from(theirs));
        if let Some(name) = arguments.first() {
            command.arg0(name);
        }
        let mut running = Running::spawn(&mut command, &self.watcher)?;
        if let Some(bytes) = self.max_memory {
            limit_memory(running.child().id(), bytes)?;
        }
        Ok((running, tokio::net::UnixStream::from_std(ours)?))
    }

    /// Has the attempt run. `None` when the process ends without an answer.
    async fn talk(
        &self,
        running: &mut Running,
        socket: tokio::net::UnixStream,
        cx: &TaskContext,
        body: &Body,
    ) -> io::Result<Option<Ended>> {
        let (reader, mut writer) = socket.into_split();
        let mut headers = (*cx.headers).clone();
        if let Some(span) = traces::here() {
            headers.set_trace(&span);
        }
        let job = Job {
            headers,
            queue: cx.queue.to_string(),
            redelivered: cx.redelivered,
            left: cx.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())),
            content_type: body.format().content_type().to_owned(),
            body: body.bytes().to_vec(),
        };
        let mut answers = std::pin::pin!(frames::<Answer>(reader));
        if write(&mut writer, &Order::Run(Box::new(job))).await.is_err() {
            return Ok(None);
        }
        let never = CancellationToken::new();
        tokio::select! {
            biased;
            ended = answer(&mut answers, &mut writer, cx) => ended,
            ended = running.ended(&never, Duration::ZERO) => {
                ended?;
                let rest = answer(&mut answers, &mut writer, cx);
                tokio::time::timeout(LAST_WORDS, rest).await.unwrap_or(Ok(None))
            }
        }
    }

    /// What to say of a process that ended before its task.
    async fn lost(&self, running: Running) -> Failure {
        let how = match running.collect().await {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit code {code}"),
                (None, signal) => format!("signal {}", signal.unwrap_or_default()),
            },
            Err(error) => error.to_string(),
        };
        let limit = self.max_memory.map_or_else(String::new, |bytes| {
            format!("; it may use {} of memory", bytesize::ByteSize(bytes))
        });
        let text = format!("the process of the task ended with {how} before the task did{limit}");
        Failure::error("WorkerLostError", text)
    }
}

impl Handler for Isolated {
    fn call(
        &self,
        cx: TaskContext,
        body: Arc<Body>,
    ) -> BoxFuture<'static, Result<Output, Failure>> {
        let isolated = self.clone();
        Box::pin(async move { isolated.run(cx, body).await })
    }
}

/// Passes on what the process says until it says how the attempt ended, and tells it to end early.
async fn answer(
    answers: &mut (impl Stream<Item = io::Result<Answer>> + Unpin),
    writer: &mut OwnedWriteHalf,
    cx: &TaskContext,
) -> io::Result<Option<Ended>> {
    let mut is_told = false;
    loop {
        tokio::select! {
            biased;
            answer = answers.next() => match answer.transpose()? {
                Some(Answer::Progress(report)) => {
                    if let Ok(report) = serde_json::to_value(report) {
                        cx.progress.report(report);
                    }
                }
                Some(Answer::Ended(ended)) => return Ok(Some(*ended)),
                None => return Ok(None),
            },
            () = cx.cancel.cancelled(), if !is_told => {
                is_told = true;
                // A process that is gone is noticed by its silence.
                write(writer, &Order::Cancel).await.ok();
            }
        }
    }
}

/// Bounds what a process may allocate: its private writable memory (`RLIMIT_DATA`). What it asks
/// for beyond that is refused, and a program in Rust then aborts.
pub(super) fn limit_memory(process: Option<u32>, bytes: u64) -> io::Result<()> {
    let pid = process.and_then(|id| Pid::from_raw(id.cast_signed()));
    let pid = pid.ok_or_else(|| io::Error::other("the process has no id"))?;
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    prlimit(Some(pid), Resource::Data, limit)?;
    Ok(())
}
