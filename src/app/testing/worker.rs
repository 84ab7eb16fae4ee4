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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::prelude::*;
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// use celeriac::testing::TestWorker;
///
/// let app = App::in_memory();
/// let sum = add(1, 2).delay(&app).await?;
/// let worker = TestWorker::new(&app).register::<add>();
/// worker.drain().await;
/// assert_eq!(sum.await?, 3);
/// # Ok(())
/// # }
/// ```
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # use celeriac::config::Config;
    /// # use celeriac::topology::QueueTable;
    /// let mut config = Config::default();
    /// config.queues.insert("sums", QueueTable::default());
    /// let app = App::in_memory_with(config)?;
    /// add(1, 2).queue("sums").send(&app).await?;
    /// let report = TestWorker::new(&app).register::<add>().drain().await;
    /// assert_eq!(report.runs()[0].queue, "sums");
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// fn worker(app: &App) -> Worker {
    ///     Worker::new(app).register::<add>() // the program's own function, under test
    /// }
    ///
    /// let app = App::in_memory();
    /// add(1, 2).send(&app).await?;
    /// let report = TestWorker::of(&app, worker(&app)).drain().await;
    /// assert_eq!(report.of::<add>().succeeded(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When the app is not in memory.
    pub fn of(app: &App, worker: Worker) -> Self {
        let rehearsal = Arc::clone(app.rehearsal());
        Self { rehearsal, made: Mutex::new(Some(worker)), running: OnceLock::new() }
    }

    /// Registers the task `T`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// # let app = App::in_memory();
    /// let worker = TestWorker::new(&app).register::<add>().register::<welcome>();
    /// welcome(42).send(&app).await?;
    /// assert_eq!(worker.drain().await.of::<welcome>().succeeded(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn register<T: Run>(self) -> Self {
        self.changed(Worker::register::<T>)
    }

    /// Registers a function that takes a message.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize, Message)]
    /// #[message(name = "img.resize", output = u64)]
    /// struct Resize {
    ///     width: u64,
    /// }
    ///
    /// async fn resize(job: Resize) -> anyhow::Result<u64> {
    ///     Ok(job.width / 2)
    /// }
    ///
    /// # let app = App::in_memory();
    /// let worker = TestWorker::new(&app).handler(resize);
    /// let width = Call::<Resize>::new(Resize { width: 640 }).delay(&app).await?;
    /// worker.drain().await;
    /// assert_eq!(width.await?, 320);
    /// # Ok(())
    /// # }
    /// ```
    pub fn handler<Kind>(self, function: impl MessageHandler<Kind>) -> Self {
        self.changed(|worker| worker.handler(function))
    }

    /// Registers all that is in `set`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// # let app = App::in_memory();
    /// let shop: TaskSet = tasks![add, welcome]; // what a library exports, for instance
    /// let worker = TestWorker::new(&app).with(shop);
    /// add(1, 2).send(&app).await?;
    /// assert_eq!(worker.drain().await.of::<add>().succeeded(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with(self, set: TaskSet) -> Self {
        self.changed(|worker| worker.with(set))
    }

    /// Runs what is in `registry`, besides.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// use celeriac::handler::Registry;
    ///
    /// # let app = App::in_memory();
    /// let mut registry = Registry::new();
    /// tasks![add].add_to(&mut registry)?;
    /// let worker = TestWorker::new(&app).registry(registry);
    /// add(1, 2).send(&app).await?;
    /// assert_eq!(worker.drain().await.of::<add>().succeeded(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn registry(self, registry: Registry) -> Self {
        self.changed(|worker| Worker { registry, ..worker })
    }

    /// Supplies `State<T>` to every task that asks for it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// #[task(name = "mail.sender")]
    /// async fn sender(State(from): State<String>) -> anyhow::Result<String> {
    ///     Ok(from)
    /// }
    ///
    /// # let app = App::in_memory();
    /// let worker = TestWorker::new(&app).state("us@example.org".to_owned()).register::<sender>();
    /// let from = sender().delay(&app).await?;
    /// worker.drain().await;
    /// assert_eq!(from.await?, "us@example.org");
    /// # Ok(())
    /// # }
    /// ```
    pub fn state<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
        self.changed(|worker| worker.state(value))
    }

    /// Puts a tower layer around every task.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # use std::sync::atomic::{AtomicU32, Ordering};
    /// use celeriac::handler::{TaskRequest, TaskService};
    /// use tower::{ServiceExt, layer::layer_fn};
    ///
    /// # let app = App::in_memory();
    /// static BEGUN: AtomicU32 = AtomicU32::new(0);
    /// let counting = layer_fn(|inner: TaskService| {
    ///     inner.map_request(|request: TaskRequest| {
    ///         BEGUN.fetch_add(1, Ordering::SeqCst);
    ///         request
    ///     })
    /// });
    /// let worker = TestWorker::new(&app).register::<add>().layer(counting);
    /// add(1, 2).send(&app).await?;
    /// worker.drain().await;
    /// assert_eq!(BEGUN.load(Ordering::SeqCst), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn layer(self, layer: impl Surrounds) -> Self {
        self.changed(|worker| worker.layer(layer))
    }

    /// Consumes these queues only.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// #[task(name = "mail.welcome", queue = "mail")]
    /// async fn welcome(user: u64) -> anyhow::Result<()> {
    ///     anyhow::ensure!(user > 0, "no such user");
    ///     Ok(())
    /// }
    ///
    /// # let app = App::in_memory();
    /// let worker = TestWorker::new(&app).register::<welcome>().queues(["mail"]);
    /// welcome(42).send(&app).await?;
    /// welcome(43).queue("default").send(&app).await?;
    /// assert_eq!(worker.drain().await.of::<welcome>().attempts(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn queues<Q: Into<String>>(self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.changed(|worker| worker.queues(queues))
    }

    /// Runs everything that is due, and what follows from it, until nothing can go on before time
    /// passes: nothing is ready in the queues of any worker, nothing runs, nothing is
    /// unacknowledged. Time stands still meanwhile.
    ///
    /// A handler that does not end holds this up until its time limit, in real time.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "text.show")]
    /// # async fn show(n: i64) -> anyhow::Result<String> { Ok(n.to_string()) }
    /// # let app = App::in_memory();
    /// let worker = TestWorker::new(&app).register::<add>().register::<show>();
    /// let text = add(1, 2).then(show::partial()).delay(&app).await?;
    /// let report = worker.drain().await; // the second step follows from the first
    /// assert_eq!(report.runs().len(), 2);
    /// assert_eq!(text.await?, "3");
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # use std::time::Duration;
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// let hour = Duration::from_secs(3600);
    /// add(1, 2).countdown(hour).send(&app).await?;
    /// assert_eq!(worker.advance(hour / 2).await.of::<add>().attempts(), 0);
    /// assert_eq!(worker.advance(hour / 2).await.of::<add>().attempts(), 1);
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// add(1, 2).send(&app).await?;
    /// worker.drain().await;
    /// assert_eq!(worker.report().of::<add>().succeeded(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn report(&self) -> Report {
        Report { journal: self.rehearsal.journal.clone() }
    }

    /// Stops in order, as a worker does on its first signal.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// let worker = TestWorker::new(&app).register::<add>();
    /// worker.drain().await;
    /// worker.stop().await;
    /// add(1, 2).send(&app).await?; // waits for the next worker
    /// assert_eq!(app.broker().depth("default").await?.expect("it is there").consumers, 0);
    /// # Ok(())
    /// # }
    /// ```
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
