//! `celeriac scheduler`

use super::changes::Files;
use super::exit::{Exit, OrExit};
use super::global::Global;
use super::mode::{Mode, Process};
use crate::app::{self, App};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Loaded, Loader};
use crate::ops::{Check, Health};
use crate::scheduler::{Count, Entries, EntryErrors, Status};
use anyhow::Context;
use prometheus_client::collector::Collector;
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info, warn};

/// Send tasks when they are due; run two or more, one leads
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac scheduler -c celeriac.toml     send what the [schedules] of the file say
  celeriac scheduler --dry-run            say what it would send, and stop
  celeriac schedule list                  what the scheduler that leads knows

Signals:
  HUP         read the files again
  TERM, INT   stop; another scheduler leads at once")]
pub(crate) struct Arguments {
    /// The scheduler's name; %h is the host, %p the process id
    #[arg(long)]
    name: Option<String>,

    /// Say what it would send, and stop
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let loaded = global.load(loader(global, arguments))?;
    let config = &loaded.config;
    let traces = super::mode::observe(&config.log)?;
    let entries = entries(config).or_exit(Exit::Config)?;
    if arguments.dry_run {
        super::schedule::list_files(global, &entries)?;
        return Ok(Exit::Done);
    }
    let modes = vec![mode(global, arguments, &loaded, entries)?];
    // The scheduler's own connection is bound to its leadership; staged tasks are sent by all.
    let relaying = relaying(config).await?;
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    let modes = modes.into_iter().chain(relaying.as_ref().and_then(super::outbox::mode)).collect();
    let process = Process {
        name: "scheduler",
        ops: config.ops.clone(),
        broker: None,
        grace: None,
        modes,
        traces,
    };
    let ended = process.run().await;
    if let Some(app) = relaying {
        app.close().await;
    }
    ended?;
    Ok(Exit::Done)
}

/// The connection on which staged tasks are sent, if they are sent here.
async fn relaying(config: &Config) -> anyhow::Result<Option<App>> {
    if !(config.outbox.is_set() && config.outbox.relay.has_scheduler()) {
        return Ok(None);
    }
    App::connect(config.clone()).await.or_exit(Exit::Unreachable).map(Some)
}

/// A scheduler of `entries`, which come from `loaded` and are read again when the files change.
pub(super) fn mode(
    global: &Global,
    arguments: &Arguments,
    loaded: &Loaded,
    entries: Entries,
) -> anyhow::Result<Mode> {
    if entries.is_empty() {
        warn!("there are no schedules; add a table [schedules.NAME]");
    }
    let (sender, receiver) = watch::channel(entries);
    let scheduler = app::scheduler(&loaded.config, receiver).or_exit(Exit::Config)?;
    let health = SchedulerHealth { status: scheduler.status.clone() };
    let hangup = signal(SignalKind::hangup()).context("waiting for signals")?;
    let reloading = Reloading {
        global: global.clone(),
        arguments: arguments.clone(),
        running: loaded.config.clone(),
        files: files(global, loaded),
        sender,
    };
    Ok(Mode::new("scheduler", health, |shutdown| async {
        let ended = tokio::select! {
            ended = scheduler.run(shutdown) => ended,
            () = reloading.run(hangup) => Ok(()),
        };
        ended.or_exit(Exit::Unreachable)
    }))
}

fn loader(global: &Global, arguments: &Arguments) -> Loader {
    match &arguments.name {
        Some(name) => global.loader().set("--name", "scheduler.name", name.as_str()),
        None => global.loader(),
    }
}

/// The schedules of the files.
pub(super) fn entries(config: &Config) -> Result<Entries, EntryErrors> {
    Entries::of(&config.schedules, SystemClock.now()).map_err(EntryErrors)
}

/// Takes over schedules from files that change.
struct Reloading {
    global: Global,
    arguments: Arguments,
    running: Config,
    files: Files,
    sender: watch::Sender<Entries>,
}

impl Reloading {
    /// Reads the files again whenever they change, and when told to by HUP. Never ends.
    async fn run(mut self, mut hangup: Signal) {
        let watch = self.running.scheduler.watch;
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    self.files.look();
                    info!("reading the files again, as told");
                }
                () = self.files.changed(watch) => info!("a file has changed, reading the files again"),
            }
            self.take_over();
        }
    }

    /// Uses the schedules of the files, if they are right; goes on as before if not.
    fn take_over(&mut self) {
        let loaded = match loader(&self.global, &self.arguments).load() {
            Ok(loaded) => loaded,
            Err(report) => {
                return error!("the files have mistakes, going on as before:\n{report}");
            }
        };
        self.files.follow(files(&self.global, &loaded));
        let config = loaded.config;
        if with_schedules_of(&config, &self.running) != self.running {
            warn!("only [schedules] are taken over; restart for everything else that has changed");
        }
        match entries(&config) {
            Ok(entries) => {
                let entries = self.sender.borrow().reloaded(&entries);
                self.sender.send_replace(entries);
            }
            Err(errors) => error!("the schedules have mistakes, going on as before:\n{errors}"),
        }
    }
}

/// `config` with the schedules of `running`: equal to that when nothing else has changed.
fn with_schedules_of(config: &Config, running: &Config) -> Config {
    Config { schedules: running.schedules.clone(), ..config.clone() }
}

/// The files of the configuration, and the folders in which they come and go.
fn files(global: &Global, loaded: &Loaded) -> Files {
    Files::new(loaded.files().map(PathBuf::from).chain(global.files()))
}

/// The health of a scheduler.
#[derive(Debug)]
struct SchedulerHealth {
    status: Status,
}

impl Health for SchedulerHealth {
    fn live(&self) -> Vec<Check> {
        let alive = self.status.is_alive();
        vec![Check::new("loop", alive, if alive { "turning" } else { "hanging" })]
    }

    fn ready(&self) -> Vec<Check> {
        let detail = match (self.status.leads(), self.status.is_in_contact()) {
            (true, _) => "leading",
            (false, true) => "standing by",
            (false, false) => "not connected to the broker",
        };
        vec![Check::new("scheduler", self.status.is_in_contact(), detail)]
    }

    fn summary(&self) -> String {
        let status = &self.status;
        let role = if status.leads() { "leading" } else { "standing by" };
        format!("{role}, {} schedules, {} runs sent", status.schedules(), status.count(Count::Sent))
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.status.clone())]
    }
}
