//! The three pipes between us and a program.

use super::report::{Report, Summary};
use crate::handler::Progress;
use crate::handler::capture::Capture;
use std::convert::Infallible;
use std::os::fd::AsFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio_util::sync::CancellationToken;

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// No pipe of an unprivileged process holds more.
const PIPE_MAX: usize = 1024 * 1024;

/// Tells a program its input and hears what it says, however much that is, in bounded memory.
#[derive(Debug)]
pub(super) struct Conversation {
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    result: Capture,
    report: Report,
    stop: CancellationToken,
}

impl Conversation {
    /// A conversation with `child`, whose pipes it takes. A result longer than `max_output` bytes
    /// cancels `stop`.
    pub(super) fn new(
        child: &mut Child,
        progress: Progress,
        max_output: u64,
        stop: CancellationToken,
    ) -> Self {
        Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            result: Capture::new(usize::try_from(max_output).unwrap_or(usize::MAX)),
            report: Report::new(progress),
            stop,
        }
    }

    /// Talks until it is dropped. Cancel safe.
    pub(super) async fn hold(&mut self, input: Vec<u8>) -> Infallible {
        let Self { stdin, stdout, stderr, result, report, stop } = self;
        let hear_result = |bytes: &[u8]| {
            result.push(bytes);
            if result.overflowed() {
                stop.cancel();
            }
        };
        tokio::join!(
            tell(stdin.take(), input),
            listen(stdout.as_mut(), hear_result),
            listen(stderr.as_mut(), |bytes| report.push(bytes)),
        );
        std::future::pending().await
    }

    /// Takes what is left in the pipes, once the program has ended, and does not wait for more: a
    /// process that has left the group may hold them open for ever.
    pub(super) fn finish(mut self) -> (Capture, Summary) {
        drain(self.stdout, |bytes| self.result.push(bytes));
        drain(self.stderr, |bytes| self.report.push(bytes));
        (self.result, self.report.finish())
    }
}

/// Writes all of `input` and closes the pipe. A program need not read it.
async fn tell(pipe: Option<ChildStdin>, input: Vec<u8>) {
    if let Some(mut pipe) = pipe {
        pipe.write_all(&input).await.ok();
    }
}

/// Reads to the end.
async fn listen(pipe: Option<&mut (impl AsyncRead + Unpin)>, mut hear: impl FnMut(&[u8])) {
    let Some(pipe) = pipe else { return };
    let mut chunk = vec![0; CHUNK];
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        hear(&chunk[..read]);
    }
}

/// Reads what is there.
fn drain(pipe: Option<impl AsFd>, mut hear: impl FnMut(&[u8])) {
    let Some(pipe) = pipe else { return };
    let mut chunk = vec![0; CHUNK];
    let mut left = PIPE_MAX;
    while let Ok(read @ 1..) = rustix::io::retry_on_intr(|| rustix::io::read(&pipe, &mut chunk)) {
        hear(&chunk[..read]);
        left = left.saturating_sub(read);
        if left == 0 {
            return;
        }
    }
}
