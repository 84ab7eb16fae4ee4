//! A worker that a test drives.

use super::super::{App, rehearsal::Rehearsal};
use super::Report;
use crate::handler::Registry;
use crate::shutdown::Shutdown;
use crate::worker::{Worker, WorkerError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// A worker of an app [in memory](App::in_memory). It runs while a test waits in
/// [`drain`](Self::drain) or [`advance`](Self::advance), or for anything else.
///
/// Several may be made for one app; each waits until all have come to rest. Dropping one stops it.
#[derive(Debug)]
pub struct TestWorker {
    rehearsal: Arc<Rehearsal>,
    queues: Vec<String>,
    ended: Arc<Ended>,
    shutdown: Shutdown,
    running: JoinSet<()>,
}

/// How a worker ended.
#[derive(Debug, Default)]
struct Ended {
    how: OnceLock<Result<(), WorkerError>>,
    changed: Notify,
}

impl TestWorker {
    /// A worker that runs what is in `registry`, of all queues that the configuration defines.
    ///
    /// # Panics
    ///
    /// When the app is not in memory, or outside a Tokio runtime.
    pub fn new(app: &App, registry: Registry) -> Self {
        let mut worker = app.worker(registry);
        let defined = app.config().queues.names().map(str::to_owned);
        worker.settings.queues.extend(defined);
        worker.settings.queues.sort();
        worker.settings.queues.dedup();
        Self::run(app, worker)
    }

    /// The same with a worker that was put together otherwise: from [`App::worker`], with other
    /// queues or settings.
    ///
    /// # Panics
    ///
    /// When the app is not in memory, or outside a Tokio runtime.
    pub fn run(app: &App, worker: Worker) -> Self {
        let rehearsal = Arc::clone(app.rehearsal());
        let queues = worker.settings.queues.clone();
        let (ended, shutdown) = (Arc::<Ended>::default(), Shutdown::new());
        let mut running = JoinSet::new();
        let (end, stop) = (Arc::clone(&ended), shutdown.clone());
        running.spawn(async move {
            let how = worker.run(stop).await;
            // Nobody else sets it.
            let _ = end.how.set(how);
            end.changed.notify_waiters();
        });
        Self { rehearsal, queues, ended, shutdown, running }
    }

    /// Runs everything that is due, and what follows from it, until nothing can go on before time
    /// passes: nothing is ready in the queues of any worker, nothing runs, nothing is
    /// unacknowledged. Time stands still meanwhile.
    ///
    /// A handler that does not end holds this up until its time limit, in real time.
    ///
    /// # Panics
    ///
    /// When the worker could not start or has been stopped.
    pub async fn drain(&self) -> Report {
        self.started().await;
        self.rehearsal.rest().await;
        self.report()
    }

    /// Drains, then lets time pass and runs what comes due on the way, each at its own time.
    ///
    /// # Panics
    ///
    /// As [`TestWorker::drain`].
    pub async fn advance(&self, time: Duration) -> Report {
        self.started().await;
        self.rehearsal.pass(time).await;
        self.report()
    }

    /// What ran so far.
    pub fn report(&self) -> Report {
        Report { journal: self.rehearsal.journal.clone() }
    }

    /// Stops in order, as a worker does on its first signal.
    pub async fn stop(mut self) {
        self.shutdown.drain();
        self.running.join_next().await;
    }

    /// Completes when every queue is consumed.
    async fn started(&self) {
        loop {
            let declared = self.rehearsal.memory.changed();
            let ended = self.ended.changed.notified();
            match self.ended.how.get() {
                None => {}
                Some(Err(error)) => panic!("the test worker could not start: {error}"),
                Some(Ok(())) => panic!("the test worker has been stopped"),
            }
            if self.queues.iter().all(|queue| self.is_consumed(queue)) {
                return;
            }
            tokio::select! {
                () = declared => {}
                () = ended => {}
            }
        }
    }

    fn is_consumed(&self, queue: &str) -> bool {
        self.rehearsal.memory.depth(queue).is_some_and(|depth| depth.consumers > 0)
    }
}
