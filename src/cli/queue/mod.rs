//! `celeriac queue`

mod pause;

pub(super) use pause::said;

use super::exit::{Exit, OrExit, failed};
use super::global::Global;
use super::output::{ask, counted, plain};
use super::send;
use super::status::{QueueState, configured, queues};
use crate::app::App;
use crate::broker::DeclareError;
use crate::control::{self, Pauses};
use anyhow::anyhow;
use pause::{Word, say};
use serde_json::json;
use std::io::IsTerminal;
use std::time::Duration;

/// Look at queues, pause them, or delete what waits in one
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List queues: those of the configuration, and others that are named
    #[command(after_help = "\
Examples:
  celeriac queue list
  celeriac queue list video celeriac.dead
  celeriac queue list -o json

Over AMQP nobody can be asked which queues there are; `celeriac status` also has those that a worker
consumes.")]
    List {
        /// More queues
        #[arg(value_name = "QUEUE")]
        queues: Vec<String>,
    },

    /// Show one queue
    #[command(after_help = "\
Examples:
  celeriac queue show mail
  celeriac queue show mail -o json

Exit code 4 when there is no such queue.")]
    Show {
        /// The queue
        queue: String,
    },

    /// Let nobody consume a queue until it is resumed
    #[command(after_help = "\
Examples:
  celeriac queue pause email --reason 'smtp down'
  celeriac queue pause email --reason 'smtp down' -o json

What runs goes on to its end; what was handed out and has not begun goes back. The broker keeps the
pause: workers that start later obey it, too, and it outlives the broker's restart. Celery's workers are
told to stop consuming, and forget that when they restart; the answer names them. What is sent to the
queue waits in it.

Exit code 3 when a worker refused, or did not answer.")]
    Pause {
        /// The queue
        queue: String,
        /// Why, for others to read
        #[arg(long)]
        reason: String,
        /// How long to wait for the broker, and for workers
        #[arg(long, value_name = "TIME", default_value = "5s", value_parser = send::duration)]
        timeout: Duration,
    },

    /// Let a paused queue be consumed again
    #[command(after_help = "\
Examples:
  celeriac queue resume email

Exit codes: 1 when it is not paused, 3 when a worker refused, or did not answer.")]
    Resume {
        /// The queue
        queue: String,
        /// How long to wait for the broker, and for workers
        #[arg(long, value_name = "TIME", default_value = "5s", value_parser = send::duration)]
        timeout: Duration,
    },

    /// Delete what waits in a queue
    #[command(after_help = "\
Examples:
  celeriac queue purge mail             asks for the name of the queue
  celeriac queue purge mail --yes

The messages are gone: they are not in the archive of dead letters. What a worker has, and what is
delayed, stays.")]
    Purge {
        /// The queue
        queue: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let app = send::connect(global).await?;
    let ended = match &arguments.command {
        Command::List { queues } => list(global, &app, queues).await,
        Command::Show { queue } => show(global, &app, queue).await,
        Command::Pause { queue, reason, timeout } => {
            say(global, &app, queue, Word::Pause(reason), *timeout).await
        }
        Command::Resume { queue, timeout } => {
            say(global, &app, queue, Word::Resume, *timeout).await
        }
        Command::Purge { queue, yes } => {
            let asks = if *yes { Asks::Nothing } else { Asks::ForTheName };
            purge(global, &app, queue, asks).await
        }
    };
    app.close().await;
    ended
}

async fn list(global: &Global, app: &App, more: &[String]) -> anyhow::Result<Exit> {
    let pauses = paused(app).await?;
    let names = configured(app.config()).into_iter().chain(more.iter().cloned()).collect();
    let found = queues(app.broker(), names, &pauses).await.or_exit(Exit::Unreachable)?;
    global.output.rows(&found)?;
    Ok(Exit::Done)
}

async fn show(global: &Global, app: &App, name: &str) -> anyhow::Result<Exit> {
    let queue = find(app, name).await?.unless_paused(&paused(app).await?);
    let number = |number: Option<u32>| number.map_or("–".to_owned(), |it| it.to_string());
    let text = format!(
        "{}  {}\n  ready      {}\n  consumers  {}\n",
        plain(name),
        plain(&queue.state_line()),
        number(queue.ready),
        number(queue.consumers)
    );
    global.output.one(&queue, &text)?;
    Ok(Exit::Done)
}

/// Which queues are paused.
async fn paused(app: &App) -> anyhow::Result<Pauses> {
    control::pauses(app.broker()).await.or_exit(Exit::Unreachable)
}

/// A queue that is there.
async fn find(app: &App, name: &str) -> anyhow::Result<QueueState> {
    let depth = app.broker().depth(name).await.map_err(refused)?;
    depth.map(|depth| QueueState::of(name, depth)).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> anyhow::Error {
    let error = anyhow!("there is no queue `{name}`; `celeriac queue list` has those of the files");
    failed(Exit::NotFound, error)
}

fn refused(error: DeclareError) -> anyhow::Error {
    let exit = match &error {
        DeclareError::Forbidden { .. } | DeclareError::Locked(_) => Exit::Refused,
        DeclareError::Missing(_) => Exit::NotFound,
        DeclareError::Interrupted(_) => Exit::Unreachable,
        _ => Exit::No,
    };
    failed(exit, error)
}

/// What is asked before messages are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nothing,
    ForTheName,
}

async fn purge(global: &Global, app: &App, name: &str, asks: Asks) -> anyhow::Result<Exit> {
    let ready = find(app, name).await?.ready.unwrap_or_default();
    if asks == Asks::ForTheName {
        confirm(name, ready)?;
    }
    let purged = app.broker().purge_queue(name).await.map_err(refused)?;
    let answer = json!({ "queue": name, "purged": purged });
    global
        .output
        .one(&answer, &format!("{} deleted from {}", counted(purged, "message"), plain(name)))?;
    Ok(Exit::Done)
}

/// Has somebody write the name of the queue.
fn confirm(name: &str, ready: u32) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        let why = anyhow!(
            "{} would be deleted from {name}; confirm it with --yes",
            counted(ready, "message")
        );
        return Err(failed(Exit::Used, why));
    }
    let messages = counted(ready, "message");
    match ask(format_args!("Delete {messages} from {}? Write its name", plain(name)))? == name {
        true => Ok(()),
        false => Err(failed(Exit::No, anyhow!("that is not its name; nothing was deleted"))),
    }
}
