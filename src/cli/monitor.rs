//! `celeriac monitor`

use super::exit::{Exit, OrExit};
use super::global::Global;
use super::mode::{Mode, Process};
use crate::app::App;
use crate::broker::Broker;
use crate::clock::SystemClock;
use crate::config::{Config, Loader};
use crate::monitor::{Configuration, Monitor, MonitorError, Sender, Status};
use crate::ops::{Check, Health};
use crate::topology::Topology;
use prometheus_client::collector::Collector;
use std::sync::Arc;

/// Show tasks, queues and workers, in a browser
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac monitor                        pages at http://127.0.0.1:5555
  celeriac monitor --listen 127.0.0.1:80 --data-dir /var/lib/celeriac

Signals:
  TERM, INT   stop; what workers tell meanwhile is shown after the next start")]
pub(crate) struct Arguments {
    /// The address that serves the pages
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,

    /// The folder of its index
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let loaded = global.load(loader(global, arguments))?;
    let config = loaded.config;
    let traces = super::mode::observe(&config.log)?;
    // Only who sends tasks and hears of results needs more than the broker.
    let app = match config.monitor.compat.flower_api {
        true => Some(Box::pin(App::connect(config.clone())).await.or_exit(Exit::Unreachable)?),
        false => None,
    };
    let broker = match &app {
        Some(app) => app.broker().clone(),
        None => {
            let in_flight = config.publisher.in_flight;
            Broker::connect(&config.broker, in_flight).await.or_exit(Exit::Unreachable)?
        }
    };
    let process = Process {
        name: "monitor",
        ops: config.ops.clone(),
        broker: Some(broker.clone()),
        grace: None,
        modes: vec![mode(&config, &broker, app.as_ref().map(sender))],
        traces,
    };
    let ended = process.run().await;
    broker.close().await;
    ended?;
    Ok(Exit::Done)
}

/// What sends tasks for a monitor.
pub(super) fn sender(app: &App) -> Sender {
    let client = app.client();
    Sender { publisher: client.publisher().clone(), results: Arc::clone(client.results()) }
}

/// A monitor of what happens at `broker`.
pub(super) fn mode(config: &Config, broker: &Broker, sender: Option<Sender>) -> Mode {
    let status = Status::default();
    let monitor = Monitor {
        settings: config.monitor.clone(),
        broker: broker.clone(),
        events: (&config.events).into(),
        dead: config.dead.clone(),
        clock: Arc::new(SystemClock),
        status: status.clone(),
        configuration: Configuration {
            text: config.masked(),
            topology: Topology::whole(&config.topology(), &config.worker.queues),
        },
        sender,
    };
    let health = MonitorHealth { broker: broker.clone(), status };
    Mode::new("monitor", health, |shutdown| async {
        let ended = Box::pin(monitor.run(shutdown)).await;
        let exit = match &ended {
            Err(MonitorError::Index(_)) => Exit::Internal,
            _ => Exit::Config,
        };
        ended.or_exit(exit)
    })
}

fn loader(global: &Global, arguments: &Arguments) -> Loader {
    let mut loader = global.loader();
    for (option, key, value) in [
        ("--listen", "monitor.listen", &arguments.listen),
        ("--data-dir", "monitor.data_dir", &arguments.data_dir),
    ] {
        if let Some(value) = value {
            loader = loader.set(option, key, value.as_str());
        }
    }
    loader
}

/// The health of a monitor.
#[derive(Debug)]
struct MonitorHealth {
    broker: Broker,
    status: Status,
}

impl Health for MonitorHealth {
    fn live(&self) -> Vec<Check> {
        let address = self.status.address();
        let detail = address.map_or("not served".to_owned(), |at| format!("served at {at}"));
        vec![Check::new("pages", address.is_some(), detail)]
    }

    fn ready(&self) -> Vec<Check> {
        let reads = self.status.is_reading();
        let detail = match (reads, self.broker.is_connected()) {
            (true, _) => "being read".to_owned(),
            (false, true) => "not being read".to_owned(),
            (false, false) => {
                self.broker.last_error().unwrap_or_else(|| "broker not connected".to_owned())
            }
        };
        vec![Check::new("events", reads, detail)]
    }

    fn summary(&self) -> String {
        let lag = self.status.lag().map_or_else(String::new, |lag| format!(", lag {lag:.1?}"));
        format!("{} events{lag}", self.status.events())
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.status.clone())]
    }
}
