//! `celeriac outbox`

use super::exit::{Exit, OrExit, failed};
use super::global::Global;
use super::mode::Mode;
use super::noted::Noted;
use super::output::{self, Row, counted, plain, seconds};
use super::person;
use crate::app::App;
use crate::broker::Broker;
use crate::config::Config;
use crate::ids::TaskId;
use crate::ops::{Check, Health};
use crate::outbox::{Entry, Outbox, Status, Which, Whose};
use crate::results::Backend;
use crate::secret::SecretUrl;
use crate::store::StoreError;
use anyhow::anyhow;
use prometheus_client::collector::Collector;
use serde_json::json;
use std::time::Duration;

/// How long the broker is waited for, to have in the audit what is done.
const PATIENCE: Duration = Duration::from_secs(3);

/// So many tasks are named in the audit.
const NAMED: usize = 1000;

/// Look after tasks that are staged in a database: make the table, list, retry, discard
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make the table celeriac_outbox, or print the SQL that makes it
    #[command(after_help = "\
Examples:
  celeriac outbox init -c celeriac.toml                make the table at url of [outbox]
  celeriac outbox init --print postgres >> up.sql      put it into migrations of your own
  celeriac outbox init --print sqlite

What is there already stays as it is.")]
    Init {
        /// Print the SQL for this database, and make nothing; without a name for that at url
        #[arg(long, value_name = "DATABASE", num_args = 0..=1)]
        print: Option<Option<Database>>,
    },

    /// List staged tasks that are not sent yet, oldest first
    #[command(after_help = "\
Examples:
  celeriac outbox list
  celeriac outbox list --failing       only those that could not be sent, with the reason
  celeriac outbox list -o json")]
    List {
        /// Only those that could not be sent
        #[arg(long)]
        failing: bool,
        /// At most so many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },

    /// Send tasks again at once that wait because they could not be sent
    #[command(after_help = "\
Examples:
  celeriac outbox retry 1f3a7a36-9e5d-4c56-8f0e-0a5a4c0d7f11
  celeriac outbox retry --failing      all of them

A relay sends them, as one does every other: this only ends their wait. Exit code 4 when there is none.")]
    Retry(Choice),

    /// Delete staged tasks: they are never sent
    #[command(after_help = "\
Examples:
  celeriac outbox discard 1f3a7a36-9e5d-4c56-8f0e-0a5a4c0d7f11
  celeriac outbox discard --failing    all that could not be sent

Nothing keeps them: the archive of dead letters does not have them. What a relay is just sending stays.
Who did it is in the monitor's audit, if the broker is there. Exit code 4 when there is none.")]
    Discard(Choice),
}

/// Which tasks.
#[derive(Debug, clap::Args)]
struct Choice {
    /// Their ids
    #[arg(value_name = "ID", required_unless_present = "failing")]
    ids: Vec<String>,
    /// All that could not be sent
    #[arg(long, conflicts_with = "ids")]
    failing: bool,
}

/// What is done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Retry,
    Discard,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Database {
    /// PostgreSQL
    Postgres,
    /// SQLite
    Sqlite,
}

impl Row for Entry {
    const COLUMNS: &'static [&'static str] =
        &["id", "state", "task", "routing key", "age", "attempts", "error"];

    fn cells(&self) -> Vec<String> {
        let state = match (self.is_being_sent, self.again_in) {
            (true, _) => "being sent".to_owned(),
            (false, Some(wait)) => format!("again in {}", seconds(wait)),
            (false, None) => "waiting".to_owned(),
        };
        let error = self.error.as_deref().unwrap_or_default();
        vec![
            plain(&self.task_id),
            state,
            plain(&self.task),
            plain(&self.routing_key),
            seconds(self.age),
            self.attempts.to_string(),
            plain(error),
        ]
    }
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::Init { print: Some(Some(database)) } => {
            let example = match database {
                Database::Postgres => Backend::Postgres.example(),
                Database::Sqlite => Backend::Sqlite.example(),
            };
            print(&Outbox::open(&example.into()).or_exit(Exit::Used)?)
        }
        Command::Init { print: Some(None) } => print(&open(global)?),
        Command::Init { print: None } => {
            open(global)?.create_table().await.map_err(unreachable)?;
            let text = "the table celeriac_outbox is there";
            global.output.one(&json!({ "table": "celeriac_outbox" }), text)?;
            Ok(Exit::Done)
        }
        Command::List { failing, limit } => list(global, *failing, *limit).await,
        Command::Retry(choice) => choice.each(global, Verb::Retry).await,
        Command::Discard(choice) => choice.each(global, Verb::Discard).await,
    }
}

fn print(outbox: &Outbox) -> anyhow::Result<Exit> {
    output::write(outbox.sql().as_bytes())?;
    Ok(Exit::Done)
}

async fn list(global: &Global, failing: bool, limit: u32) -> anyhow::Result<Exit> {
    let outbox = open(global)?;
    let which = if failing { Which::Failing } else { Which::All };
    let entries = outbox.list(which, limit).await.map_err(unreachable)?;
    let backlog = outbox.backlog().await.map_err(unreachable)?;
    global.output.rows(&entries)?;
    global.note(&format!(
        "{} staged, {} of them could not be sent yet",
        counted(backlog.staged, "task"),
        backlog.failing
    ));
    Ok(Exit::Done)
}

impl Verb {
    /// What it is called in the audit.
    fn action(self) -> &'static str {
        match self {
            Self::Retry => "outbox retry",
            Self::Discard => "outbox discard",
        }
    }

    /// What the tasks are afterwards.
    fn done(self) -> &'static str {
        match self {
            Self::Retry => "retried",
            Self::Discard => "discarded",
        }
    }

    async fn act(self, outbox: &Outbox, whose: &Whose) -> Result<Vec<TaskId>, StoreError> {
        match self {
            Self::Retry => outbox.retry(whose).await,
            Self::Discard => outbox.discard(whose).await,
        }
    }
}

impl Choice {
    /// Does something with each task that is meant, and says which they were.
    async fn each(&self, global: &Global, verb: Verb) -> anyhow::Result<Exit> {
        let config = configured(global)?;
        let outbox = Outbox::open(&config.outbox.url).or_exit(Exit::Config)?;
        let audit = audit(global, &config).await;
        let mut done = Vec::new();
        for whose in self.whose() {
            done.extend(noted(audit.as_ref(), verb, &outbox, &whose).await.map_err(unreachable)?);
        }
        if let Some(broker) = audit {
            broker.close().await;
        }
        if done.is_empty() {
            let none = match self.failing {
                true => anyhow!("no staged task waits because it could not be sent"),
                false => anyhow!("no such task is staged, or it is being sent: see `outbox list`"),
            };
            return Err(failed(Exit::NotFound, none));
        }
        let word = verb.done();
        for id in &done {
            global.output.one(&json!({ "id": id, word: true }), &format!("{word} {id}"))?;
        }
        let missed = !self.failing && done.len() < self.ids.len();
        Ok(if missed { Exit::Partly } else { Exit::Done })
    }

    fn whose(&self) -> Vec<Whose> {
        if self.failing {
            return vec![Whose::Failing];
        }
        self.ids.iter().map(|id| Whose::Task(id.as_str().into())).collect()
    }
}

/// The broker, which keeps the audit. It is often away when somebody looks at an outbox, and what is
/// asked for needs the database alone.
async fn audit(global: &Global, config: &Config) -> Option<Broker> {
    let connecting = Broker::connect(&config.broker, config.publisher.in_flight);
    let broker = tokio::time::timeout(PATIENCE, connecting).await.ok().and_then(Result::ok);
    if broker.is_none() {
        global.note("not in the audit: the broker cannot be reached");
    }
    broker
}

/// Acts, which is in the audit before and after.
async fn noted(
    audit: Option<&Broker>,
    verb: Verb,
    outbox: &Outbox,
    whose: &Whose,
) -> Result<Vec<TaskId>, StoreError> {
    let Some(broker) = audit else { return verb.act(outbox, whose).await };
    let target = match whose {
        Whose::Task(id) => id.as_str(),
        Whose::Failing => "all that could not be sent",
    };
    let record = Noted::begin(broker, &person::name(), (verb.action(), target), json!({})).await;
    let acted = verb.act(outbox, whose).await;
    let (outcome, detail) = match &acted {
        Ok(ids) if ids.is_empty() => ("refused", "no such task, or it is being sent".to_owned()),
        Ok(ids) => {
            let named: Vec<&str> = ids.iter().take(NAMED).map(TaskId::as_str).collect();
            let more = match ids.len() - named.len() {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            ("done", format!("{} {}{more}", verb.done(), named.join(" ")))
        }
        Err(error) => ("error", error.to_string()),
    };
    record.end(outcome, &[("outbox", outcome, &detail)]).await;
    acted
}

/// The outbox of the configuration.
fn open(global: &Global) -> anyhow::Result<Outbox> {
    Outbox::open(&configured(global)?.outbox.url).or_exit(Exit::Config)
}

/// A configuration with an outbox.
fn configured(global: &Global) -> anyhow::Result<Config> {
    let config = global.load(global.loader())?.config;
    if !config.outbox.is_set() {
        let unset = anyhow!("there is no outbox: set url in [outbox]");
        return Err(failed(Exit::Config, unset));
    }
    Ok(config)
}

fn unreachable(error: StoreError) -> anyhow::Error {
    failed(Exit::Unreachable, error)
}

/// A relay on its own, for processes without a worker.
pub(super) fn mode(app: &App) -> Option<Mode> {
    let relay = app.relay()?;
    let health = RelayHealth(relay.status().clone());
    Some(Mode::new("outbox", health, |shutdown| async {
        relay.run(shutdown).await;
        Ok(())
    }))
}

/// Whether staged tasks are sent.
pub(super) fn check(status: &Status) -> Check {
    let trouble = status.trouble();
    let detail = trouble.clone().unwrap_or_else(|| "sending what is staged".to_owned());
    Check::new("outbox", trouble.is_none(), detail)
}

/// What was sent from the outbox, in a few words.
pub(super) fn summary(status: &Status) -> String {
    let backlog = status.backlog();
    format!("{} sent from the outbox, {} staged", status.sent(), backlog.staged)
}

/// The health of a relay.
#[derive(Debug)]
struct RelayHealth(Status);

impl Health for RelayHealth {
    fn live(&self) -> Vec<Check> {
        Vec::new()
    }

    fn ready(&self) -> Vec<Check> {
        vec![check(&self.0)]
    }

    fn summary(&self) -> String {
        summary(&self.0)
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.0.clone())]
    }
}

/// What `celeriac doctor` asks: how many are staged.
pub(super) async fn backlog(config: &Config) -> Option<Result<String, StoreError>> {
    let url: &SecretUrl = &config.outbox.url;
    if !config.outbox.is_set() {
        return None;
    }
    let asked = async {
        let backlog = Outbox::open(url)?.backlog().await?;
        Ok(format!(
            "{}, {} of them failing",
            counted(backlog.staged, "staged task"),
            backlog.failing
        ))
    };
    Some(asked.await)
}
