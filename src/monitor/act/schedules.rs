//! What is done with schedules.

use super::{Actor, Answer, NotRecorded, Outcome, PATIENCE, Reply};
use crate::control::AskError;
use crate::control::leader::{self, Command, ask};
use serde_json::Value;
use std::time::SystemTime;

/// What is wanted of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Wish {
    /// A run now, besides those that are due.
    Run,
    /// Nothing until it is resumed, and why.
    Pause(String),
    /// It goes on.
    Resume,
    /// These settings on top of those of its file.
    Edit(Value),
    /// It is as in its file again.
    Reset,
    /// The runs again that were due after the one and up to the other.
    Backfill(SystemTime, SystemTime),
}

impl Wish {
    fn command(self, schedule: String, by: &str) -> Command {
        match self {
            Self::Run => Command::Run { schedule },
            Self::Pause(reason) => Command::Pause { schedule, by: by.to_owned(), reason },
            Self::Resume => Command::Resume { schedule },
            Self::Edit(settings) => {
                Command::Edit { schedule, by: by.to_owned(), settings: Box::new(settings) }
            }
            Self::Reset => Command::Reset { schedule },
            Self::Backfill(from, to) => Command::Backfill { schedule, from, to },
        }
    }
}

impl Actor {
    /// Tells the scheduler that leads.
    ///
    /// # Errors
    /// When it could not be written down; then nothing was done.
    pub(in super::super) async fn schedule(
        &self,
        by: &str,
        name: String,
        wish: Wish,
    ) -> Result<Reply, NotRecorded> {
        let command = wish.command(name.clone(), by);
        let work = async { vec![answer(ask(&self.0.broker, &command, PATIENCE).await)] };
        self.act(by, (command.action(), name), command.arguments(), work).await
    }
}

fn answer(asked: Result<leader::Answer, AskError>) -> Answer {
    let who = "scheduler";
    match asked {
        Ok(leader::Answer::Done) => Answer::done(who, "it is done, and kept"),
        Ok(leader::Answer::Sent(runs)) => match runs.as_slice() {
            [run] => Answer::done(who, format!("task {} is sent", run.id)),
            runs => Answer::done(who, format!("{} runs are sent", runs.len())),
        },
        Ok(leader::Answer::Refused(why)) => {
            // What cannot be read is what somebody wrote: settings that there are not.
            let why = why.strip_prefix("not a command: ").unwrap_or(&why);
            Answer::not(who, Outcome::Refused, why)
        }
        Ok(_) => Answer::not(who, Outcome::Error, "it answered something else"),
        Err(error @ AskError::Silence(_)) => Answer::not(who, Outcome::NoAnswer, error.to_string()),
        Err(error) => Answer::not(who, Outcome::Error, error.to_string()),
    }
}
