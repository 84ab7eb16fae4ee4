//! `celeriac queue pause` and `resume`

use super::super::exit::{Exit, OrExit, failed};
use super::super::global::Global;
use super::super::noted::Noted;
use super::super::output::{Row, counted, in_text, minute, plain};
use super::super::person;
use crate::app::App;
use crate::clock::{Clock, SystemClock};
use crate::control::{self, Caller, Heeded, Pause, PauseError, Told};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

/// What is said of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// It is not to be consumed, and why.
    Pause(&'a str),
    /// It may be consumed again.
    Resume,
}

impl Word<'_> {
    /// What it is called in the audit.
    fn action(self) -> &'static str {
        match self {
            Self::Pause(_) => "pause",
            Self::Resume => "resume",
        }
    }

    fn how(self) -> Value {
        match self {
            Self::Pause(reason) => json!({ "reason": reason }),
            Self::Resume => json!({}),
        }
    }
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Answer {
    queue: String,
    state: &'static str,
    by: String,
    since: String,
    reason: String,
    workers: Vec<Line>,
    /// Consumers that nobody has accounted for.
    unknown_consumers: u32,
}

/// What one worker says.
#[derive(Debug, Serialize)]
struct Line {
    worker: String,
    outcome: &'static str,
    said: String,
}

impl Row for Line {
    const COLUMNS: &'static [&'static str] = &["worker", "outcome", "said"];

    fn cells(&self) -> Vec<String> {
        vec![plain(&self.worker), self.outcome.to_owned(), plain(&self.said)]
    }
}

/// Says it to the broker and to workers, and waits for them at most for `patience` each.
pub(super) async fn say(
    global: &Global,
    app: &App,
    queue: &str,
    word: Word<'_>,
    patience: Duration,
) -> anyhow::Result<Exit> {
    let mut caller = Caller::open(app.broker()).await.or_exit(Exit::Unreachable)?;
    let reason = if let Word::Pause(reason) = word { reason } else { "" };
    let pause = Pause::new(&person::name(), SystemClock.now(), reason);
    let noted = Noted::begin(app.broker(), &pause.by, (word.action(), queue), word.how()).await;
    let told = match word {
        Word::Pause(_) => control::pause(&mut caller, queue, pause, patience).await,
        Word::Resume => control::resume(&mut caller, queue, pause, patience).await,
    };
    caller.close().await;
    let told = match told {
        Ok(told) => told,
        Err(error) => {
            noted.end("refused", &[(queue, "refused", &error.to_string())]).await;
            return Err(refused(error));
        }
    };
    let answer = Answer::new(queue, word, &told);
    let is_done = answer.unknown_consumers == 0
        && told.workers.values().all(|it| matches!(it, Heeded::Done(_) | Heeded::UntilRestart(_)));
    let says = answer.workers.iter();
    let says: Vec<_> = says.map(|it| (it.worker.as_str(), it.outcome, it.said.as_str())).collect();
    noted.end(if is_done { "done" } else { "partial" }, &says).await;
    global.output.one(&answer, &answer.text(word, &told))?;
    Ok(if is_done { Exit::Done } else { Exit::Partly })
}

fn refused(error: PauseError) -> anyhow::Error {
    let exit = match &error {
        PauseError::NotPaused(_) => Exit::No,
        PauseError::Unread(_) => Exit::TimedOut,
        _ => Exit::Unreachable,
    };
    failed(exit, error)
}

impl Answer {
    fn new(queue: &str, word: Word<'_>, told: &Told) -> Self {
        let Pause { by, at, reason } = &told.pause;
        Self {
            queue: queue.to_owned(),
            state: if word == Word::Resume { "resumed" } else { "paused" },
            by: by.clone(),
            since: crate::clock::to_iso(*at),
            reason: reason.clone(),
            workers: told.workers.iter().map(Line::new).collect(),
            unknown_consumers: told.unknown_consumers,
        }
    }

    fn text(&self, word: Word<'_>, told: &Told) -> String {
        let queue = plain(&self.queue);
        let whose = plain(&said(&told.pause));
        let first = match word {
            Word::Resume => format!("{queue} is resumed; it was paused {whose}"),
            Word::Pause(_) if told.was_paused => format!("{queue} was paused already, {whose}"),
            Word::Pause(_) => {
                format!("{queue} is paused until `celeriac queue resume {queue}`")
            }
        };
        let workers = match self.workers.as_slice() {
            [] => "no worker consumes it now\n".to_owned(),
            workers => in_text(workers),
        };
        let unknown = match self.unknown_consumers {
            0 => String::new(),
            many => {
                format!("{} of it answered no command and may go on\n", counted(many, "consumer"))
            }
        };
        format!("{first}\n{workers}{unknown}")
    }
}

impl Line {
    fn new((worker, heeded): (&String, &Heeded)) -> Self {
        let (outcome, said) = match heeded {
            Heeded::Done(said) => ("done", said.clone()),
            Heeded::UntilRestart(said) => {
                ("done", format!("{said}; it reads no pauses, and forgets this when it restarts"))
            }
            Heeded::Refused(why) => ("refused", why.clone()),
            Heeded::Silent => ("no answer", "it is there, and has not answered in time".to_owned()),
        };
        Self { worker: worker.clone(), outcome, said }
    }
}

/// Who paused it, since when, and why.
pub(in crate::cli) fn said(pause: &Pause) -> String {
    let Pause { by, at, reason } = pause;
    let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    format!("by {by} since {}{why}", minute(*at))
}
