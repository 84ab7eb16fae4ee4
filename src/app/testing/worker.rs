//! A worker that a test drives.

use super::super::{App, rehearsal::Rehearsal};
use super::Report;
use crate::broker::{Hold, Memory};
use crate::handler::{MessageHandler, Registry, Run, Surrounds, TaskSet};
use crate::shutdown::Shutdown;
use crate::worker::{Worker, WorkerError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::SetOnce;
use tokio::task::JoinSet;

/// A worker of an app [in memory](App::in_memory). It is put together like a
/// [`Worker`], starts with the first [`drain`](Self::drain) or [`advance`](Self::advance), and runs
/// while a test waits for that or for anything else.
///
/// Several may be made for one app; each waits until all have come to rest. Dropping one stops it.
#[derive(Debug)]
#[must_use = "a test worker does nothing until `drain` or `advance`"]
pub struct TestWorker {
    rehearsal: Arc<Rehearsal>,
    made: Mutex<Option<Worker>>,
    running: OnceLock<Running>,
}

/// A worker that was started.
#[derive(Debug)]
struct Running {
    start: Arc<Start>,
    shutdown: Shutdown,
    tasks: JoinSet<()>,
}

/// Whether a worker consumes all its queues, or has ended.
#[derive(Debug)]
struct Start {
    memory: Memory,
    queues: Vec<String>,
    /// Set once what waits is handed out.
    opened: SetOnce<()>,
    ended: SetOnce<Result<(), WorkerError>>,
}

impl TestWorker {
    /// A worker without tasks yet, of all queues that the app knows.
    ///
    /// # Panics
    ///
    /// When the app is not in memory.
    pub fn new(app: &App) -> Self {
        let queues = app.config().topology().queues;
        Self::of(app, Worker::new(app).queues(queues.names()))
    }

    /// One that was put together otherwise: from [`Worker::new`] or [`App::worker`].
    ///
    /// # Panics
    ///
    /// When the app is not in memory.
    pub fn of(app: &App, worker: Worker) -> Self {
        let rehearsal = Arc::clone(app.rehearsal());
        Self { rehearsal, made: Mutex::new(Some(worker)), running: OnceLock::new() }
    }

    /// Registers the task `T`.
    pub fn register<T: Run>(self) -> Self {
        self.changed(Worker::register::<T>)
    }

    /// Registers a function that takes a message.
    pub fn handler<Kind>(self, function: impl MessageHandler<Kind>) -> Self {
        self.changed(|worker| worker.handler(function))
    }

    /// Registers all that is in `set`.
    pub fn with(self, set: TaskSet) -> Self {
        self.changed(|worker| worker.with(set))
    }

    /// Runs what is in `registry`, besides.
    pub fn registry(self, registry: Registry) -> Self {
        self.changed(|worker| Worker { registry, ..worker })
    }

    /// Supplies `State<T>` to every task that asks for it.
    pub fn state<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
        self.changed(|worker| worker.state(value))
    }

    /// Puts a tower layer around every task.
    pub fn layer(self, layer: impl Surrounds) -> Self {
        self.changed(|worker| worker.layer(layer))
    }

    /// Consumes these queues only.
    pub fn queues<Q: Into<String>>(self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.changed(|worker| worker.queues(queues))
    }

    /// Runs everything that is due, and what follows from it, until nothing can go on before time
    /// passes: nothing is ready in the queues of any worker, nothing runs, nothing is
    /// unacknowledged. Time stands still meanwhile.
    ///
    /// A handler that does not end holds this up until its time limit, in real time.
    ///
    /// # Panics
    ///
    /// When the worker could not start, or outside a Tokio runtime.
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
        let Some(mut running) = self.running.take() else { return };
        running.shutdown.drain();
        while running.tasks.join_next().await.is_some() {}
    }

    async fn started(&self) {
        let running = self.running.get_or_init(|| {
            let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).take();
            Running::start(&self.rehearsal, made.expect("a worker is started once"))
        });
        running.start.opened.wait().await;
        if let Some(ended) = running.start.ended.get() {
            panic!("the test worker does not run: {ended:?}");
        }
    }

    fn changed(self, change: impl FnOnce(Worker) -> Worker) -> Self {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).take();
        Self { made: Mutex::new(made.map(change)), ..self }
    }
}

impl Running {
    fn start(rehearsal: &Rehearsal, worker: Worker) -> Self {
        let start = Arc::new(Start {
            memory: rehearsal.memory.clone(),
            queues: worker.settings.queues.clone(),
            opened: SetOnce::new(),
            ended: SetOnce::new(),
        });
        // What waits is handed out once all queues are consumed, so that its order is kept.
        let hold = rehearsal.lane.hold();
        let shutdown = Shutdown::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(start_up(Arc::clone(&start), hold));
        tasks.spawn(work(worker, shutdown.clone(), Arc::clone(&start)));
        Self { start, shutdown, tasks }
    }
}

async fn start_up(start: Arc<Start>, hold: Hold) {
    tokio::select! {
        () = start.consumed() => {}
        _ = start.ended.wait() => {}
    }
    drop(hold);
    // Nobody else sets it, nor the other.
    let _ = start.opened.set(());
}

async fn work(worker: Worker, shutdown: Shutdown, start: Arc<Start>) {
    let _ = start.ended.set(worker.run(shutdown).await);
}

impl Start {
    /// Completes when every queue is consumed.
    async fn consumed(&self) {
        loop {
            let changed = self.memory.changed();
            let is_consumed =
                |queue: &String| self.memory.depth(queue).is_some_and(|depth| depth.consumers > 0);
            if self.queues.iter().all(is_consumed) {
                return;
            }
            changed.await;
        }
    }
}
