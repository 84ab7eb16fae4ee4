//! `celeriac schedule run`, `pause`, `resume`, `edit` and `backfill`

use super::super::exit::{Exit, OrExit, failed};
use super::super::noted::Noted;
use super::super::output::Row;
use super::super::person;
use super::super::send;
use super::{PATIENCE, Schedules, unanswered, when};
use crate::app::App;
use crate::control::AskError;
use crate::control::leader::{PastRun, ask};
use crate::publisher::SendError;
use crate::scheduler::{Answer, Command, ScheduleSettings};
use anyhow::anyhow;
use serde::Serialize;
use std::time::SystemTime;

/// Who answers for what the leader is told.
const WHO: &str = "scheduler";

/// Who answers for what is sent from here.
const BROKER: &str = "broker";

/// Options of `celeriac schedule edit`.
#[derive(Debug, clap::Args)]
pub(super) struct Edit {
    /// The schedule
    name: String,

    /// What is different, as lines of its table
    #[arg(value_name = "KEY = VALUE", required_unless_present = "reset")]
    lines: Vec<String>,

    /// Use what the file says again
    #[arg(long, conflicts_with = "lines")]
    reset: bool,
}

/// Options of `celeriac schedule backfill`.
#[derive(Debug, clap::Args)]
pub(super) struct Backfill {
    /// The schedule
    name: String,

    /// Runs that were due after this
    #[arg(long, value_name = "WHEN", value_parser = when)]
    from: SystemTime,

    /// Runs that were due up to this; now, if not given
    #[arg(long, value_name = "WHEN", value_parser = when)]
    to: Option<SystemTime>,

    /// Show what would be sent, and stop
    #[arg(long)]
    dry_run: bool,

    /// Send no more than this many; more is an error
    #[arg(long, value_name = "N", default_value_t = 1000)]
    most: usize,
}

/// A run that was sent, or would be.
#[derive(Debug, Serialize)]
struct Filled {
    #[serde(flatten)]
    run: PastRun,
    task: String,
}

impl Row for Filled {
    const COLUMNS: &'static [&'static str] = &["id", "due", "task"];

    fn cells(&self) -> Vec<String> {
        vec![self.run.id.clone(), self.run.due.clone(), self.task.clone()]
    }
}

impl Schedules<'_> {
    pub(super) async fn send_now(&self, name: &str) -> anyhow::Result<Exit> {
        let entry = self.entry(name)?;
        let app = self.app().await?;
        let command = Command::Run { schedule: name.to_owned() };
        let publisher = app.client().publisher();
        let sending = entry.send_now(publisher, self.now, publisher.deadline());
        let sent = noted(&app, name, &command, async { Ok(vec![sending.await?]) }).await;
        app.close().await;
        let id = &sent?[0].id;
        self.global.output.one(&serde_json::json!({ "id": id, "task": entry.task }), id)?;
        Ok(Exit::Done)
    }

    pub(super) async fn pause(&self, name: &str, reason: &str) -> anyhow::Result<Exit> {
        let by = person::name();
        let (schedule, reason) = (name.to_owned(), reason.to_owned());
        self.change(name, Command::Pause { schedule, by, reason }).await
    }

    pub(super) async fn resume(&self, name: &str) -> anyhow::Result<Exit> {
        self.change(name, Command::Resume { schedule: name.to_owned() }).await
    }

    pub(super) async fn edit(&self, edit: &Edit) -> anyhow::Result<Exit> {
        let (name, schedule) = (&edit.name, edit.name.clone());
        if edit.reset {
            return self.change(name, Command::Reset { schedule }).await;
        }
        let settings: ScheduleSettings = toml::from_str(&edit.lines.join("\n"))
            .map_err(|error| anyhow!("{}", error.to_string().trim()))
            .or_exit(Exit::Invalid)?;
        self.entry(name)?;
        if let Err(errors) = self.entries.edited(name, &settings, self.now) {
            return Err(failed(Exit::Invalid, crate::scheduler::EntryErrors(errors)));
        }
        let (by, settings) = (person::name(), Box::new(settings));
        self.change(name, Command::Edit { schedule, by, settings }).await
    }

    /// Tells the leader, and says what it answers.
    async fn change(&self, name: &str, command: Command) -> anyhow::Result<Exit> {
        let app = self.app().await?;
        let target = (command.action(), name);
        let record = Noted::begin(app.broker(), &person::name(), target, command.arguments()).await;
        let answer = ask(app.broker(), &command, PATIENCE).await;
        let (outcome, detail) = match &answer {
            Ok(Answer::Done) => ("done", "it is done, and kept".to_owned()),
            Ok(Answer::Refused(why)) => ("refused", why.clone()),
            Ok(_) => ("error", "it answered something else".to_owned()),
            Err(error @ AskError::Silence(_)) => ("no_answer", error.to_string()),
            Err(error) => ("error", error.to_string()),
        };
        record.end(outcome, &[(WHO, outcome, &detail)]).await;
        app.close().await;
        match answer.map_err(unanswered)? {
            Answer::Done => {
                self.global.output.one(&"done", "done")?;
                Ok(Exit::Done)
            }
            Answer::Refused(why) => Err(anyhow!(why)).or_exit(Exit::NotFound),
            _ => Err(anyhow!("the scheduler answered something else")),
        }
    }

    pub(super) async fn backfill(&self, backfill: &Backfill) -> anyhow::Result<Exit> {
        let entry = self.entry(&backfill.name)?;
        let (from, to) = (backfill.from, backfill.to.unwrap_or(self.now).min(self.now));
        let dues = entry.dues(from, to, backfill.most);
        let dues = dues.map_err(|error| anyhow!("{error}; raise --most")).or_exit(Exit::Invalid)?;
        let runs = match backfill.dry_run {
            true => dues.iter().map(|due| entry.run_of(*due)).collect(),
            false => {
                let app = self.app().await?;
                let command = Command::Backfill { schedule: backfill.name.clone(), from, to };
                let publisher = app.client().publisher();
                let sending = entry.send_again(publisher, &dues, publisher.deadline());
                let sent = noted(&app, &backfill.name, &command, sending).await;
                app.close().await;
                sent?
            }
        };
        let filled = |run| Filled { run, task: entry.task.clone() };
        let rows: Vec<Filled> = runs.into_iter().map(filled).collect();
        self.global.output.rows(&rows)?;
        Ok(Exit::Done)
    }
}

/// Sends runs, which is in the audit before and after.
async fn noted(
    app: &App,
    schedule: &str,
    command: &Command,
    sending: impl Future<Output = Result<Vec<PastRun>, SendError>>,
) -> anyhow::Result<Vec<PastRun>> {
    let target = (command.action(), schedule);
    let record = Noted::begin(app.broker(), &person::name(), target, command.arguments()).await;
    let sent = sending.await;
    let (outcome, detail) = match &sent {
        Ok(runs) => match runs.as_slice() {
            [run] => ("done", format!("task {} is sent", run.id)),
            runs => ("done", format!("{} runs are sent", runs.len())),
        },
        Err(error) => ("error", format!("not all is sent: {error}")),
    };
    record.end(outcome, &[(BROKER, outcome, &detail)]).await;
    sent.map_err(send::failed)
}
