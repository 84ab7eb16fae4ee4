//! A mode is a part of the program that runs until it is told to stop: its name, its health, its
//! run. The commands `worker`, `scheduler` and `monitor` run one of them, `run` any of them at once,
//! all in the same way: one set of signals, one place that answers for their health.

use super::exit::{Exit, OrExit};
use super::stop;
use crate::broker::Broker;
use crate::ops::{self, Check, Health, Ops};
use crate::shutdown::Shutdown;
use crate::telemetry::{self, Traces};
use anyhow::Context;
use futures::future::BoxFuture;
use prometheus_client::collector::Collector;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tracing::{error, info};

/// A part of the program.
pub(super) struct Mode {
    name: &'static str,
    health: Box<dyn Health>,
    run: Run,
}

type Run = Box<dyn FnOnce(Shutdown) -> BoxFuture<'static, anyhow::Result<()>> + Send>;

/// Modes that live and end together.
#[derive(Debug)]
pub(super) struct Process {
    /// In the name of the socket that `celeriac health` asks.
    pub(super) name: &'static str,
    pub(super) ops: ops::Settings,
    /// The connection that the modes share, if they do.
    pub(super) broker: Option<Broker>,
    /// What runs is given so long once it is told to stop; `None` where nothing has to end.
    pub(super) grace: Option<Duration>,
    pub(super) modes: Vec<Mode>,
    /// What they trace.
    pub(super) traces: Traces,
}

impl Mode {
    /// A mode that is healthy as `health` says and runs as `run` does.
    pub(super) fn new<F>(
        name: &'static str,
        health: impl Health,
        run: impl FnOnce(Shutdown) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        Self { name, health: Box::new(health), run: Box::new(|shutdown| Box::pin(run(shutdown))) }
    }
}

/// Sets up the log and the traces of this process.
pub(super) fn observe(settings: &telemetry::Settings) -> anyhow::Result<Traces> {
    telemetry::start(settings).context("setting up the log").or_exit(Exit::Config)?;
    telemetry::trace(&settings.otlp).context("setting up traces").or_exit(Exit::Config)
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mode").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Process {
    /// Runs all modes. The first that ends, by itself, by a signal or by a remote command, ends the
    /// others in order.
    ///
    /// # Errors
    /// The reason of the first mode that failed.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Self { name, ops, broker, grace, modes, traces } = self;
        let shutdown = Shutdown::new();
        let are_several = modes.len() > 1;
        let (parts, runs): (Vec<_>, Vec<_>) =
            modes.into_iter().map(|mode| ((mode.name, mode.health), (mode.name, mode.run))).unzip();
        let ops = Ops::new(ops, name, Arc::new(Together { parts, broker }));
        let mut beside = JoinSet::new();
        beside.spawn(ops.run(shutdown.clone()));
        beside.spawn(stop::on_signal(shutdown.clone(), grace)?);
        let mut running = JoinSet::new();
        for (name, run) in runs {
            let run = run(shutdown.clone());
            running.spawn(async move {
                let ended = run.await;
                if are_several {
                    ended.with_context(|| format!("the {name} has failed"))
                } else {
                    ended
                }
            });
        }
        let mut outcome = Ok(());
        while let Some(joined) = running.join_next().await {
            let ended = joined.context("a part of the program has panicked").flatten();
            if let (Err(error), true) = (&ended, are_several) {
                error!("{error:#}; ending the others");
            }
            outcome = outcome.and(ended);
            shutdown.drain();
        }
        shutdown.abort();
        beside.abort_all();
        traces.close().await;
        if outcome.is_ok() {
            info!("stopped");
        }
        outcome
    }
}

/// The health of several modes: that of each.
#[derive(Debug)]
struct Together {
    parts: Vec<(&'static str, Box<dyn Health>)>,
    broker: Option<Broker>,
}

impl Together {
    /// The checks of all; where there are several modes, with whose they are.
    fn checks(&self, of: impl Fn(&dyn Health) -> Vec<Check>) -> Vec<Check> {
        let mut all = Vec::new();
        for (name, health) in &self.parts {
            let checks = of(&**health).into_iter();
            all.extend(checks.map(|check| match self.parts.len() {
                1 => check,
                _ => Check { name: format!("{name}: {}", check.name), ..check },
            }));
        }
        all
    }
}

impl Health for Together {
    fn live(&self) -> Vec<Check> {
        self.checks(|health| health.live())
    }

    fn ready(&self) -> Vec<Check> {
        self.checks(|health| health.ready())
    }

    fn summary(&self) -> String {
        match self.parts.as_slice() {
            [(_, health)] => health.summary(),
            parts => {
                let each =
                    parts.iter().map(|(name, health)| format!("{name}: {}", health.summary()));
                each.collect::<Vec<_>>().join("; ")
            }
        }
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let mut all: Vec<_> =
            self.parts.iter().flat_map(|(_, health)| health.collectors()).collect();
        // Once, however many share it.
        all.extend(self.broker.clone().map(|broker| Box::new(broker) as Box<dyn Collector>));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::{Exit, Failed, failed};

    #[derive(Debug)]
    struct Fixed(bool);

    impl Health for Fixed {
        fn live(&self) -> Vec<Check> {
            vec![Check::new("loop", self.0, "")]
        }

        fn ready(&self) -> Vec<Check> {
            Vec::new()
        }

        fn summary(&self) -> String {
            format!("{}", self.0)
        }

        fn collectors(&self) -> Vec<Box<dyn Collector>> {
            Vec::new()
        }
    }

    fn process(modes: Vec<Mode>) -> Process {
        let ops = ops::Settings { listen: String::new(), socket: String::new() };
        Process { name: "run", ops, broker: None, grace: None, modes, traces: Traces::default() }
    }

    /// A mode that works until it is told to stop, and then reports that it did.
    fn patient(told: tokio::sync::oneshot::Sender<()>) -> Mode {
        Mode::new("worker", Fixed(true), |shutdown| async move {
            shutdown.draining().await;
            told.send(()).unwrap();
            Ok(())
        })
    }

    #[tokio::test]
    async fn the_failure_of_one_ends_the_others_in_order_and_is_the_reason() {
        let (told, mut was_told) = tokio::sync::oneshot::channel();
        let failing = Mode::new("monitor", Fixed(true), |_| async {
            Err(failed(Exit::Config, anyhow::anyhow!("no folder")))
        });
        let error = process(vec![patient(told), failing]).run().await.unwrap_err();
        assert_eq!(format!("{error:#}"), "the monitor has failed: no folder");
        assert_eq!(error.downcast_ref::<Failed>().unwrap().exit, Exit::Config);
        was_told.try_recv().unwrap();
    }

    #[tokio::test]
    async fn a_panic_ends_the_others_too() {
        let (told, mut was_told) = tokio::sync::oneshot::channel();
        let panicking = Mode::new("monitor", Fixed(true), |_| async { panic!("on purpose") });
        process(vec![patient(told), panicking]).run().await.unwrap_err();
        was_told.try_recv().unwrap();
    }

    #[test]
    fn of_several_modes_each_check_says_whose_it_is() {
        let both: Vec<(_, Box<dyn Health>)> =
            vec![("worker", Box::new(Fixed(true))), ("monitor", Box::new(Fixed(false)))];
        let together = Together { parts: both, broker: None };
        let names: Vec<_> = together.live().into_iter().map(|it| (it.name, it.ok)).collect();
        assert_eq!(names, [("worker: loop".to_owned(), true), ("monitor: loop".to_owned(), false)]);
        assert_eq!(together.summary(), "worker: true; monitor: false");
        let one = Together { parts: vec![("worker", Box::new(Fixed(true)))], broker: None };
        assert_eq!(one.live()[0].name, "loop");
    }
}
