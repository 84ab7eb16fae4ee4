//! `celeriac worker`

use super::exit::{Exit, OrExit};
use super::global::Global;
use super::mode::{Mode, Process};
use crate::app::App;
use crate::config::Config;
use crate::events::Events;
use crate::handler::Registry;
use crate::ops::{Check, Health};
use crate::topology::QueueKind;
use crate::worker::Status;
use prometheus_client::collector::Collector;

/// Consume queues and run tasks
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac worker -c celeriac.toml              run the tasks that the file defines
  celeriac worker -Q mail,video --concurrency 8
  celeriac worker --dry-run                     show what it would do, and stop

Signals:
  TERM, INT   finish what runs, give back the rest, stop; at most worker.drain_timeout
  again       stop now and give back what runs")]
pub(crate) struct Arguments {
    /// Queues to consume, separated by commas
    #[arg(short = 'Q', long, value_name = "QUEUES", value_delimiter = ',')]
    queues: Vec<String>,

    /// How many tasks run at once: a number, or auto
    #[arg(long, value_name = "N")]
    concurrency: Option<String>,

    /// How many messages are held per queue: a number, or auto
    #[arg(long, value_name = "N")]
    prefetch: Option<String>,

    /// Tell monitors of tasks from the start, instead of once one asks for it
    #[arg(short = 'E', long)]
    events: bool,

    /// The worker's name; %h is the host, %n the mode, %p the process id
    #[arg(long)]
    name: Option<String>,

    /// How long running tasks may still take after the signal to stop
    #[arg(long, value_name = "TIME")]
    drain_timeout: Option<String>,

    /// Show what would run, and stop
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let loaded = global.load(loader(global, arguments))?;
    let config = loaded.config;
    let traces = super::mode::observe(&config.log)?;
    let registry = registry(&config)?;
    if arguments.dry_run {
        let plan = plan(&config, &registry);
        global.output.one(&plan, &plan)?;
        return Ok(Exit::Done);
    }
    let app = App::connect(config).await.or_exit(Exit::Unreachable)?;
    let process = Process {
        name: "worker",
        ops: app.config().ops.clone(),
        broker: Some(app.broker().clone()),
        grace: Some(app.config().worker.drain_timeout),
        modes: vec![mode(&app, registry)],
        traces,
    };
    let ended = process.run().await;
    app.close().await;
    ended?;
    Ok(Exit::Done)
}

/// A worker of the tasks in `registry`.
pub(super) fn mode(app: &App, registry: Registry) -> Mode {
    let worker = app.worker(registry);
    let health = WorkerHealth {
        app: app.clone(),
        status: worker.status.clone(),
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        relay: worker.relay.as_ref().map(|relay| relay.status().clone()),
    };
    Mode::new("worker", health, |shutdown| async {
        worker.run(shutdown).await.or_exit(Exit::Config)
    })
}

/// The tasks that the files define.
pub(super) fn registry(config: &Config) -> anyhow::Result<Registry> {
    let mut registry = Registry::new();
    registry.add_configured(&config.tasks).or_exit(Exit::Config)?;
    Ok(registry)
}

fn loader(global: &Global, arguments: &Arguments) -> crate::config::Loader {
    let mut loader = global.loader();
    if !arguments.queues.is_empty() {
        loader = loader.set("--queues", "worker.queues", arguments.queues.clone());
    }
    if arguments.events {
        loader = loader.set("--events", "events.tasks", "always");
    }
    for (option, key, value) in [
        ("--concurrency", "worker.concurrency", arguments.concurrency.as_deref().map(number)),
        ("--prefetch", "worker.prefetch", arguments.prefetch.as_deref().map(number)),
        ("--name", "worker.name", arguments.name.as_deref().map(Into::into)),
        (
            "--drain-timeout",
            "worker.drain_timeout",
            arguments.drain_timeout.as_deref().map(Into::into),
        ),
    ] {
        if let Some(value) = value {
            loader = loader.set(option, key, value);
        }
    }
    loader
}

/// A number as a number, anything else as text for the checks to judge.
fn number(text: &str) -> toml::Value {
    text.parse::<i64>().map_or_else(|_| text.into(), Into::into)
}

fn plan(config: &Config, registry: &Registry) -> String {
    let topology = config.topology();
    let mut lines = vec![
        format!("broker       {}", config.broker.redacted_url()),
        format!("worker       {}", crate::ids::expand_name(&config.worker.name, "worker")),
    ];
    for name in &config.worker.queues {
        let queue = topology.queues.get(name);
        let kind = match queue.kind {
            QueueKind::Quorum => "quorum",
            QueueKind::Classic => "classic",
        };
        let bound = match queue.bindings.is_empty() {
            true => String::new(),
            false => format!(", bound to {}", queue.bindings.join(", ")),
        };
        lines.push(format!("queue        {name} ({kind}{bound})"));
    }
    for task in registry.names() {
        let options = config.tasks.options(task, crate::task::TaskOptions::default());
        let retries = options.retry.max_retries.map_or("forever".to_owned(), |max| max.to_string());
        lines.push(format!("task         {task}  retries {retries}"));
    }
    lines.join("\n")
}

/// The health of a worker.
#[derive(Debug)]
struct WorkerHealth {
    app: App,
    status: Status,
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    relay: Option<crate::outbox::Status>,
}

impl Health for WorkerHealth {
    fn live(&self) -> Vec<Check> {
        let detail = if self.status.is_alive() { "turning" } else { "hanging" };
        vec![Check::new("loops", self.status.is_alive(), detail)]
    }

    fn ready(&self) -> Vec<Check> {
        let broker = self.app.broker();
        let detail = match (broker.is_connected(), broker.blocked()) {
            (false, _) => broker.last_error().unwrap_or_else(|| "not connected".to_owned()),
            (true, Some(reason)) => format!("connected, but takes no publications: {reason}"),
            (true, None) => "connected".to_owned(),
        };
        let mut checks = vec![Check::new("broker", broker.is_connected(), detail)];
        checks.extend(self.status.queues().into_iter().map(|(queue, consuming)| {
            let detail = if consuming { "consuming" } else { "not consuming" };
            Check::new(format!("queue {queue}"), consuming, detail)
        }));
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        checks.extend(self.relay.as_ref().map(super::outbox::check));
        checks
    }

    fn summary(&self) -> String {
        let (running, finished) = (self.status.running(), self.status.finished());
        let mut summary = format!("{running} running, {finished} finished");
        let dropped = self.status.events().map_or(0, Events::dropped);
        if dropped > 0 {
            summary += &format!(", {dropped} events dropped");
        }
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        if let Some(relay) = &self.relay {
            summary += &format!(", {}", super::outbox::summary(relay));
        }
        summary
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let own: Box<dyn Collector> = Box::new(self.status.clone());
        #[cfg_attr(
            not(any(feature = "postgres", feature = "sqlite")),
            expect(unused_mut, reason = "there is no outbox")
        )]
        let mut all = vec![own];
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        all.extend(self.relay.clone().map(|relay| Box::new(relay) as Box<dyn Collector>));
        all
    }
}
