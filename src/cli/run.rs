//! `celeriac run`

use super::exit::{Exit, OrExit};
use super::global::Global;
use super::mode::Process;
use super::{scheduler, worker};
use crate::app::App;

/// Run worker, scheduler and monitor in one process, for small installs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac run -c celeriac.toml                 tasks, schedules, and pages at http://127.0.0.1:5555
  celeriac run --modes worker,scheduler
  celeriac health --mode run --ready            whether all of them do their work

They have one connection for worker and monitor, one log, and one /livez, /readyz and /metrics. When
one of them fails, all end, with its reason. Where a part has to go on while another is replaced, start
it by itself: celeriac worker, scheduler, monitor.

Signals:
  HUP         read the schedules again
  TERM, INT   finish what runs, give back the rest, stop; at most worker.drain_timeout
  again       stop now and give back what runs")]
pub(crate) struct Arguments {
    /// What to run, separated by commas
    #[arg(long, value_name = "MODES", value_delimiter = ',', default_value = DEFAULT)]
    modes: Vec<Part>,
}

#[cfg(feature = "monitor")]
const DEFAULT: &str = "worker,scheduler,monitor";
#[cfg(not(feature = "monitor"))]
const DEFAULT: &str = "worker,scheduler";

/// What can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Run tasks
    Worker,
    /// Send tasks when they are due
    Scheduler,
    /// Show everything
    #[cfg(feature = "monitor")]
    Monitor,
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let loaded = global.load(global.loader())?;
    let traces = super::mode::observe(&loaded.config.log)?;
    let registry = worker::registry(&loaded.config)?;
    let entries = scheduler::entries(&loaded.config).or_exit(Exit::Config)?;
    let app = App::connect(loaded.config.clone()).await.or_exit(Exit::Unreachable)?;
    let wants = |part| arguments.modes.contains(&part);
    let mut modes = Vec::new();
    if wants(Part::Worker) {
        modes.push(worker::mode(&app, registry));
    }
    if wants(Part::Scheduler) {
        let named = scheduler::Arguments::default();
        modes.push(scheduler::mode(global, &named, &loaded, entries)?);
    }
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    if wants(Part::Scheduler) && loaded.config.outbox.relay.has_scheduler() {
        let has_one = wants(Part::Worker) && loaded.config.outbox.relay.has_worker();
        modes.extend(super::outbox::mode(&app).filter(|_| !has_one));
    }
    #[cfg(feature = "monitor")]
    if wants(Part::Monitor) {
        modes.push(super::monitor::mode(
            &loaded.config,
            app.broker(),
            Some(super::monitor::sender(&app)),
        ));
    }
    let process = Process {
        name: "run",
        ops: loaded.config.ops.clone(),
        broker: Some(app.broker().clone()),
        grace: Some(loaded.config.worker.drain_timeout),
        modes,
        traces,
    };
    let ended = process.run().await;
    app.close().await;
    ended?;
    Ok(Exit::Done)
}
