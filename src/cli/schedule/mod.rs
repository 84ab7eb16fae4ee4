//! `celeriac schedule`

mod act;
mod look;

pub(super) use look::list_files;

use super::exit::{Exit, OrExit, failed};
use super::global::Global;
use crate::app::App;
use crate::clock::{Clock, SystemClock, parse_iso};
use crate::config::Config;
use crate::control::leader::ask;
use crate::control::{AskError, Standbys, standbys};
use crate::scheduler::{Answer, Command as Told, Entries, Entry, EntryErrors};
use anyhow::anyhow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long the scheduler may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Look at schedules, change them, run them now
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the schedules with their next runs
    #[command(after_help = "\
Examples:
  celeriac schedule list
  celeriac schedule list -o json

What is in the files comes from here; when the last run was and what is paused tells the scheduler
that leads.")]
    List,

    /// Show everything about one schedule
    #[command(after_help = "\
Example:
  celeriac schedule show nightly-report")]
    Show {
        /// The schedule
        name: String,
    },

    /// Show when a schedule is due next; asks nobody
    #[command(after_help = "\
Examples:
  celeriac schedule next nightly-report --count 20
  celeriac schedule next nightly-report --after 2026-03-28T00:00:00Z    over a change of the clock")]
    Next {
        /// The schedule
        name: String,
        /// How many runs
        #[arg(short = 'n', long, value_name = "N", default_value_t = 5)]
        count: usize,
        /// From when on, instead of now
        #[arg(long, value_name = "WHEN", value_parser = when)]
        after: Option<SystemTime>,
    },

    /// Send a schedule's task now, besides its runs
    #[command(after_help = "\
Example:
  celeriac schedule run nightly-report")]
    Run {
        /// The schedule
        name: String,
    },

    /// Send nothing of a schedule until it is resumed
    #[command(after_help = "\
Example:
  celeriac schedule pause nightly-report --reason 'database moves'")]
    Pause {
        /// The schedule
        name: String,
        /// Why, for others to read
        #[arg(long, default_value = "")]
        reason: String,
    },

    /// Go on with a schedule; what was due meanwhile is left out
    #[command(after_help = "\
Example:
  celeriac schedule resume nightly-report")]
    Resume {
        /// The schedule
        name: String,
    },

    /// Change a schedule without changing its file
    #[command(after_help = "\
Examples:
  celeriac schedule edit nightly-report 'cron = \"0 4 * * *\"'
  celeriac schedule edit nightly-report 'expires = \"1h\"' 'kwargs = { format = \"csv\" }'
  celeriac schedule edit nightly-report --reset       as in the file again

The change is kept in the broker, over restarts and for every scheduler, until it is reset. Each edit
replaces the one before.")]
    Edit(act::Edit),

    /// Send the runs that were due in a span of time
    #[command(after_help = "\
Examples:
  celeriac schedule backfill nightly-report --from 2026-11-01T00:00:00Z --dry-run
  celeriac schedule backfill nightly-report --from 2026-11-01T00:00:00Z --to 2026-11-08T00:00:00Z

A run has the id it had when it was due, so what was sent already is recognisably the same.")]
    Backfill(act::Backfill),

    /// Check the schedules, and that the broker has their queues
    #[command(after_help = "\
Example:
  celeriac schedule check")]
    Check,
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let config = global.load(global.loader())?.config;
    let at = Schedules::of(global, config)?;
    match &arguments.command {
        Command::List => at.list().await,
        Command::Show { name } => at.show(name).await,
        Command::Next { name, count, after } => at.next(name, *count, *after),
        Command::Run { name } => at.send_now(name).await,
        Command::Pause { name, reason } => at.pause(name, reason).await,
        Command::Resume { name } => at.resume(name).await,
        Command::Edit(edit) => at.edit(edit).await,
        Command::Backfill(backfill) => at.backfill(backfill).await,
        Command::Check => at.check().await,
    }
}

/// The schedules of the files, and who may be asked about them.
struct Schedules<'a> {
    global: &'a Global,
    config: Config,
    entries: Entries,
    now: SystemTime,
}

impl<'a> Schedules<'a> {
    fn of(global: &'a Global, config: Config) -> anyhow::Result<Self> {
        let now = SystemClock.now();
        let entries = Entries::of(&config.schedules, now).map_err(EntryErrors);
        Ok(Self { global, entries: entries.or_exit(Exit::Config)?, config, now })
    }

    fn entry(&self, name: &str) -> anyhow::Result<&Arc<Entry>> {
        let found = self.entries.get(name);
        let known: Vec<&str> = self.entries.iter().map(|entry| entry.name.as_str()).collect();
        let known = match known.as_slice() {
            [] => "there is none in the files".to_owned(),
            known => format!("there are {}", known.join(", ")),
        };
        found.ok_or_else(|| anyhow!("no schedule `{name}`; {known}")).or_exit(Exit::NotFound)
    }

    async fn app(&self) -> anyhow::Result<App> {
        App::connect(self.config.clone()).await.or_exit(Exit::Unreachable)
    }

    /// Asks the scheduler that leads what it knows, and those that stand by who they are.
    async fn ask_all(&self) -> anyhow::Result<(Answer, Standbys)> {
        let app = self.app().await?;
        let broker = app.broker();
        let (answer, standbys) =
            tokio::join!(ask(broker, &Told::Status, PATIENCE), standbys(broker));
        app.close().await;
        Ok((answer.map_err(unanswered)?, standbys.unwrap_or_default()))
    }
}

fn unanswered(error: AskError) -> anyhow::Error {
    match error {
        AskError::Silence(_) => failed(Exit::TimedOut, error),
        error => failed(Exit::Unreachable, error),
    }
}

fn when(text: &str) -> Result<SystemTime, String> {
    parse_iso(text).ok_or_else(|| "write it like 2026-11-25T18:00:00Z".to_owned())
}
