//! One run of a program, from the call to the outcome.

use super::Checked;
use super::codes::Meaning;
use super::conversation::Conversation;
use super::process::Running;
use super::report::Summary;
use super::surroundings::{self, ProgramMissing};
use crate::handler::call::{Call, Given};
use crate::handler::isolated::limit_memory;
use crate::handler::{Failure, Output, TaskContext, TaskError};
use crate::task::Stdin;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use tokio::process::Command;

/// Where programs are sought when there is no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The longest last line of a program that is quoted in the one-line message.
const QUOTED: usize = 200;

impl Checked {
    /// Runs one attempt. Dropping the future kills the program and all it started.
    pub(super) async fn run(&self, cx: &TaskContext, arguments: &Given) -> Result<Output, Failure> {
        let call = Call { cx, arguments };
        let mut process = self.process(call)?;
        let started = Running::spawn(&mut process, &self.watcher);
        let mut running = started.map_err(|error| self.not_started(&error))?;
        if let Some(bytes) = self.settings.max_memory {
            limit_memory(running.child().id(), bytes).map_err(|error| self.not_started(&error))?;
        }

        let stop = cx.cancel.child_token();
        let mut conversation = Conversation::new(
            running.child(),
            cx.progress.clone(),
            self.settings.max_output,
            stop.clone(),
        );
        let ended = tokio::select! {
            biased;
            ended = running.ended(&stop, self.settings.grace) => ended,
            // Cancel safe: what was read is in the conversation, and the pipe holds the rest.
            never = conversation.hold(self.input(call)) => match never {},
        };
        let collected = match ended {
            Ok(()) => running.collect().await,
            Err(error) => Err(error),
        };
        let status = collected.map_err(|error| self.lost(&error))?;
        let (result, summary) = conversation.finish();
        if result.overflowed() {
            return Err(self.too_large(&summary));
        }
        match self.judge(status, cx, &summary) {
            Some(failure) => Err(failure),
            None => Ok(result.into_output()),
        }
    }

    /// What the program reads.
    fn input(&self, call: Call<'_>) -> Vec<u8> {
        match self.settings.stdin {
            Stdin::Json => call.document().to_string().into_bytes(),
            Stdin::None => Vec::new(),
        }
    }

    /// The process to start.
    fn process(&self, call: Call<'_>) -> Result<Command, Failure> {
        let environment = self.environment();
        let path = self
            .locate(&environment)
            .map_err(|missing| Failure::error("ProgramNotFound", missing.to_string()))?;
        let mut process = Command::new(path);
        for (index, template) in self.command.arguments.iter().enumerate() {
            let argument = template.render(call, String::push_str)?;
            if argument.contains('\0') {
                let index = index + 1;
                return Err(Failure::argument(format!(
                    "part {index} of the command would hold a NUL character"
                )));
            }
            process.arg(argument);
        }
        let cx = call.cx;
        process
            .env_clear()
            .envs(environment)
            .env("CELERIAC_TASK_ID", cx.id().as_str())
            .env("CELERIAC_TASK", &cx.headers.task)
            .env("CELERIAC_ATTEMPT", cx.attempt().to_string())
            .env("CELERIAC_QUEUE", &*cx.queue)
            .envs(cx.trace_headers().into_iter().map(|(name, value)| (name.to_uppercase(), value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(workdir) = &self.settings.workdir {
            process.current_dir(workdir);
        }
        Ok(process)
    }

    pub(super) fn environment(&self) -> Vec<(OsString, OsString)> {
        surroundings::environment(std::env::vars_os(), &self.settings.env)
    }

    pub(super) fn locate(
        &self,
        environment: &[(OsString, OsString)],
    ) -> Result<PathBuf, ProgramMissing> {
        let path = environment.iter().rfind(|(name, _)| name == "PATH");
        let path = path.map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value);
        surroundings::locate(&self.command.program, self.settings.workdir.as_deref(), path)
    }

    /// What the way the program ended means; `None` for success.
    fn judge(&self, status: ExitStatus, cx: &TaskContext, summary: &Summary) -> Option<Failure> {
        let (kind, how) = match (status.code(), status.signal()) {
            (Some(code), _) => (format!("ExitStatus({code})"), format!("exit code {code}")),
            (None, signal) => {
                let signal = signal.unwrap_or_default();
                (format!("Signal({signal})"), format!("signal {signal}"))
            }
        };
        let meaning = status.code().map_or(Meaning::Error, |code| self.command.codes.meaning(code));
        let after = summary.after;
        let error = if meaning == Meaning::Error && cx.cancel.is_cancelled() {
            let message =
                format!("`{}` was asked to stop and ended with {how}", self.command.program);
            explained("SoftTimeLimitExceeded", message, summary)
        } else {
            explained(kind, format!("`{}` ended with {how}", self.command.program), summary)
        };
        self.command.codes.failure(meaning, after, error)
    }

    fn too_large(&self, summary: &Summary) -> Failure {
        let limit = self.settings.max_output;
        let message = format!(
            "`{}` wrote a result of more than {limit} bytes; raise max_output, or write a file \
             and return its name",
            self.command.program
        );
        Failure::Error(explained("OutputTooLarge", message, summary))
    }

    /// The system refused. Some refusals are the call's fault, and no repetition helps.
    fn not_started(&self, error: &io::Error) -> Failure {
        let message = format!("`{}` could not be started: {error}", self.command.program);
        match error.kind() {
            io::ErrorKind::ArgumentListTooLong | io::ErrorKind::InvalidInput => {
                Failure::argument(message)
            }
            _ => Failure::error("ProgramNotStarted", message),
        }
    }

    fn lost(&self, error: &io::Error) -> Failure {
        let message = format!("how `{}` ended cannot be known: {error}", self.command.program);
        Failure::error("ProgramLost", message)
    }
}

/// An error with what the program said last.
fn explained(kind: impl Into<String>, message: String, summary: &Summary) -> TaskError {
    let last = summary.tail.iter().rfind(|line| !line.trim().is_empty());
    let Some(last) = last else { return TaskError::new(kind, message) };
    let quoted: String = last.trim().chars().take(QUOTED).collect();
    TaskError::new(kind, format!("{message}: {quoted}")).with_detail(summary.tail.join("\n"))
}
