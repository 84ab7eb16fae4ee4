//! `celeriac schedule run`, `pause`, `resume`, `edit` and `backfill`

use super::super::exit::{Exit, OrExit, failed};
use super::super::output::Row;
use super::super::person;
use super::super::send;
use super::{Schedules, when};
use crate::control::leader::PastRun;
use crate::scheduler::{Answer, Command, ScheduleSettings};
use anyhow::anyhow;
use serde::Serialize;
use std::time::SystemTime;

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
        let publisher = app.client().publisher();
        let sent = entry.send_now(publisher, self.now, publisher.deadline()).await;
        app.close().await;
        let id = sent.map_err(send::failed)?.id;
        self.global.output.one(&serde_json::json!({ "id": id, "task": entry.task }), &id)?;
        Ok(Exit::Done)
    }

    pub(super) async fn pause(&self, name: &str, reason: &str) -> anyhow::Result<Exit> {
        let by = person::name();
        let (schedule, reason) = (name.to_owned(), reason.to_owned());
        self.change(Command::Pause { schedule, by, reason }).await
    }

    pub(super) async fn edit(&self, edit: &Edit) -> anyhow::Result<Exit> {
        let schedule = edit.name.clone();
        if edit.reset {
            return self.change(Command::Reset { schedule }).await;
        }
        let settings: ScheduleSettings = toml::from_str(&edit.lines.join("\n"))
            .map_err(|error| anyhow!("{}", error.to_string().trim()))
            .or_exit(Exit::Invalid)?;
        self.entry(&schedule)?;
        if let Err(errors) = self.entries.edited(&schedule, &settings, self.now) {
            return Err(failed(Exit::Invalid, crate::scheduler::EntryErrors(errors)));
        }
        self.change(Command::Edit { schedule, by: person::name(), settings: Box::new(settings) })
            .await
    }

    /// Tells the leader, and says what it answers.
    pub(super) async fn change(&self, command: Command) -> anyhow::Result<Exit> {
        match self.ask(&command).await? {
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
        let to = backfill.to.unwrap_or(self.now).min(self.now);
        let dues = entry.dues(backfill.from, to, backfill.most);
        let dues = dues.map_err(|error| anyhow!("{error}; raise --most")).or_exit(Exit::Invalid)?;
        let runs = match backfill.dry_run {
            true => dues.iter().map(|due| entry.run_of(*due)).collect(),
            false => {
                let app = self.app().await?;
                let publisher = app.client().publisher();
                let sent = entry.send_again(publisher, &dues, publisher.deadline()).await;
                app.close().await;
                sent.map_err(send::failed)?
            }
        };
        let filled = |run| Filled { run, task: entry.task.clone() };
        let rows: Vec<Filled> = runs.into_iter().map(filled).collect();
        self.global.output.rows(&rows)?;
        Ok(Exit::Done)
    }
}
