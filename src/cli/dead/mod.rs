//! `celeriac dead`

mod act;
mod carry;
mod look;

use super::exit::{Exit, OrExit};
use super::global::Global;
use super::send;
use crate::app::App;
use crate::archive::{Archive, ArchiveError, DeadLetter, Filter};
use crate::clock::{Clock, SystemClock};
use crate::units::Rate;
use std::sync::Arc;

/// Look at what was given up, give it back, or set it aside
#[derive(Debug, clap::Args)]
#[command(after_help = FILTERS)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const FILTERS: &str = "\
Filters:
  queue:mail,video task:mail.*   a list has alternatives; * matches any text; :~ finds a part
  reason:poison                  exhausted, time_limit, rejected, unreadable, unknown, expired,
                                 poison, undeliverable, overflow, other
  error:\"timed out\"              the error contains this
  id:4f0c                        the task id, or its beginning
  since:6h until:30m             as long ago, or 2026-11-25, or 2026-11-25T13:00:00Z
  state:open                     open (unless a state is named), requeued, discarded, all
  (queue:mail OR task:video.*) NOT error:timeout
                                 OR, NOT and parentheses; what stands side by side must all hold,
                                 but several about the same field are alternatives";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List dead letters, newest first; changes nothing
    #[command(after_help = "\
Examples:
  celeriac dead list
  celeriac dead list 'queue:mail error:\"timed out\" since:6h'
  celeriac dead list '(queue:mail OR task:video.*) NOT reason:expired'
  celeriac dead list state:all -o json")]
    List {
        /// Which letters: see `celeriac dead --help`
        #[arg(value_name = "FILTER")]
        filter: Vec<String>,
        /// At most so many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },

    /// Show one letter with its attempts, headers and body
    #[command(after_help = "\
Examples:
  celeriac dead show 4f0c1c3e
  celeriac dead show 4f0c1c3e -o json")]
    Show {
        /// The task id, or its beginning
        id: String,
    },

    /// Publish letters again, each to the queue it came from
    #[command(after_help = "\
Examples:
  celeriac dead requeue 'queue:mail error:\"timed out\" since:6h' --dry-run
  celeriac dead requeue queue:mail --rate 20/s
  celeriac dead requeue id:4f0c1c3e
  celeriac dead requeue state:open --yes             all of them

A letter is published, confirmed, and then marked. If the program dies in between, the letter
looks open although it is out; requeued again, its task runs twice.")]
    Requeue(act::Requeue),

    /// Set letters aside: they stay in the archive, and are not open any more
    #[command(after_help = "\
Examples:
  celeriac dead discard 'task:report.* until:7d' --dry-run
  celeriac dead discard id:4f0c1c3e --yes")]
    Discard(act::Discard),

    /// Write letters with their messages to standard output, one JSON document per line
    #[command(after_help = "\
Example:
  celeriac dead export queue:mail > mail.jsonl")]
    Export {
        /// Which letters: see `celeriac dead --help`
        #[arg(value_name = "FILTER")]
        filter: Vec<String>,
    },

    /// Put exported letters into the archive
    #[command(after_help = "\
Examples:
  celeriac dead import mail.jsonl
  celeriac dead import - < mail.jsonl")]
    Import {
        /// A file that `celeriac dead export` wrote; - for standard input
        file: String,
    },
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::List { filter, limit } => look::list(global, filter, *limit).await,
        Command::Show { id } => look::show(global, id).await,
        Command::Requeue(how) => act::requeue(global, how).await,
        Command::Discard(how) => act::discard(global, how).await,
        Command::Export { filter } => carry::export(global, filter).await,
        Command::Import { file } => carry::import(global, file).await,
    }
}

/// The archive of the configuration, with what has arrived for it taken over.
async fn open(global: &Global) -> anyhow::Result<(App, Archive)> {
    let app = send::connect(global).await?;
    let dead = app.config().dead.clone();
    let archive = Archive::new(app.broker().clone(), dead, Arc::new(SystemClock));
    archive.collect_now().await;
    Ok((app, archive))
}

/// The letters that a filter means, oldest first.
async fn find(archive: &Archive, filter: &[String]) -> anyhow::Result<Vec<DeadLetter>> {
    let filter = parse(filter)?;
    archive.survey(&filter).await.map_err(failed)
}

fn parse(filter: &[String]) -> anyhow::Result<Filter> {
    Filter::parse(&filter.join(" "), SystemClock.now()).or_exit(Exit::Invalid)
}

/// An archive error with the exit code that fits it.
fn failed(error: ArchiveError) -> anyhow::Error {
    let exit = match &error {
        ArchiveError::Missing(_) => Exit::NotFound,
        ArchiveError::Unreadable(error) if error.is_forbidden() => Exit::Refused,
        ArchiveError::Unreadable(_) => Exit::Unreachable,
    };
    super::exit::failed(exit, error)
}

fn rate(text: &str) -> Result<Rate, String> {
    text.parse()
}
