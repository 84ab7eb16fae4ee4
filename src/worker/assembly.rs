//! A worker put together in code: tasks, state, layers, queues; and the check before it starts.

use super::{Worker, WorkerError};
use crate::handler::{CheckReport, Definition, Finding, MessageHandler, Run, Surrounds, TaskSet};
use crate::shutdown::Shutdown;
use crate::task::Isolation;
use crate::topology::{QueueTable, Target, names};
use std::future::pending;

/// How alike two names must be for one to be taken for a slip of the other.
const ALIKE: f64 = 0.8;

impl Worker {
    /// Registers the task `T`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task]
    /// # async fn double(n: i64) -> anyhow::Result<i64> { Ok(2 * n) }
    /// # let app = App::in_memory();
    /// let worker = Worker::new(&app).register::<add>().register::<double>();
    /// assert_eq!(worker.set.names().len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn register<T: Run>(self) -> Self {
        self.changed(TaskSet::register::<T>)
    }

    /// Registers the task `T`, changed by `change`: usually by layers of its own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{handler::TaskService, prelude::*};
    /// # use tower::layer::layer_fn;
    /// # #[task(name = "sms.send")]
    /// # async fn send_sms(to: String) -> anyhow::Result<()> { Ok(()) }
    /// # let app = App::in_memory();
    /// let around = layer_fn(|inner: TaskService| inner); // or any layer of tower
    /// let worker = Worker::new(&app).register_with::<send_sms>(|task| task.layer(around));
    /// assert!(worker.check().is_ok());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn register_with<T: Run>(self, change: impl FnOnce(Definition) -> Definition) -> Self {
        self.changed(|set| set.register_with::<T>(change))
    }

    /// Registers a function that takes a message. See [`MessageHandler`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{prelude::*, testing::TestWorker};
    /// #[derive(serde::Serialize, serde::Deserialize, Message)]
    /// #[message(name = "img.rotate", output = u32)]
    /// struct Rotate { degrees: u32 }
    ///
    /// async fn rotate(job: Rotate) -> anyhow::Result<u32> {
    ///     Ok(job.degrees % 360)
    /// }
    ///
    /// # let app = App::in_memory();
    /// let worker = Worker::new(&app).handler(rotate);
    /// # let worker = TestWorker::of(&app, worker);
    /// let angle = Call::<Rotate>::new(Rotate { degrees: 450 }).delay(&app).await?;
    /// # worker.drain().await;
    /// assert_eq!(angle.await?, 90);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn handler<Kind>(self, function: impl MessageHandler<Kind>) -> Self {
        self.changed(|set| set.handler(function))
    }

    /// Registers all that is in `set`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// mod mail {
    ///     # use celeriac::prelude::*;
    ///     #[task(name = "mail.bounce")]
    ///     async fn bounce(to: String) -> anyhow::Result<()> {
    ///         # drop(to);
    ///         Ok(())
    ///     }
    ///
    ///     pub fn tasks() -> TaskSet {
    ///         tasks![bounce]
    ///     }
    /// }
    ///
    /// # let app = App::in_memory();
    /// let worker = Worker::new(&app).with(mail::tasks());
    /// assert_eq!(worker.set.names(), ["mail.bounce"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with(self, set: TaskSet) -> Self {
        self.changed(|own| own.with(set))
    }

    /// Registers every `#[task]` that is linked into the program. See [`TaskSet::linked`] for the
    /// trap in it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// #[task(name = "mail.found")]
    /// async fn found() -> anyhow::Result<()> {
    ///     Ok(())
    /// }
    ///
    /// # let app = App::in_memory();
    /// let worker = Worker::new(&app).auto_register();
    /// assert!(worker.set.names().contains(&"mail.found"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn auto_register(self) -> Self {
        self.with(TaskSet::linked())
    }

    /// Supplies `State<T>` to every task that asks for it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{prelude::*, testing::TestWorker};
    /// #[task(name = "shop.price")]
    /// async fn price(State(coin): State<&'static str>, amount: u64) -> anyhow::Result<String> {
    ///     Ok(format!("{amount} {coin}"))
    /// }
    ///
    /// # let app = App::in_memory();
    /// let worker = Worker::new(&app).register::<price>().state("EUR");
    /// # let worker = TestWorker::of(&app, worker);
    /// let shown = price(5).delay(&app).await?;
    /// # worker.drain().await;
    /// assert_eq!(shown.await?, "5 EUR");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
        self.changed(|set| set.state(value))
    }

    /// Puts a tower layer around every task. Each task is given a layer of its own: a limit in it
    /// holds per task.
    ///
    /// ```
    /// use celeriac::handler::TaskService;
    /// use celeriac::prelude::*;
    ///
    /// fn watched(worker: Worker) -> Worker {
    ///     worker.layer(tower::layer::layer_fn(|inner: TaskService| {
    ///         tower::ServiceExt::map_request(inner, |request: celeriac::handler::TaskRequest| {
    ///             tracing::info!(id = %request.cx.id(), "about to run");
    ///             request
    ///         })
    ///     }))
    /// }
    /// ```
    #[must_use]
    pub fn layer(self, layer: impl Surrounds) -> Self {
        self.changed(|set| set.layer(layer))
    }

    /// Consumes these queues, instead of those in `[worker] queues`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// let worker = Worker::new(&app).queues(["mail", "bulk"]);
    /// assert_eq!(worker.settings.queues, ["mail", "bulk"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn queues<Q: Into<String>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.settings.queues = queues.into_iter().map(Into::into).collect();
        for queue in &self.settings.queues {
            if !self.topology.queues.is_defined(queue) {
                self.topology.queues.insert(queue.clone(), QueueTable::default());
            }
        }
        self.status = Self::status(&self.settings);
        self
    }

    /// Runs at most this many tasks at once, instead of `[worker] concurrency`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{prelude::*, units::Count};
    /// # let app = App::in_memory();
    /// let worker = Worker::new(&app).concurrency(16);
    /// assert_eq!(worker.settings.concurrency, Count::from(16));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn concurrency(mut self, tasks: u32) -> Self {
        self.settings.concurrency = tasks.into();
        self
    }

    /// Looks for what would go wrong later: a task that needs a state the worker was not given,
    /// two tasks of one name, a task whose queue nobody knows. Asks the broker nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[derive(Clone)]
    /// # struct Mailer;
    /// # #[task(name = "mail.greet")]
    /// async fn greet(State(mailer): State<Mailer>, to: String) -> anyhow::Result<()> {
    /// #     drop((mailer, to));
    ///     Ok(())
    /// }
    ///
    /// # let app = App::in_memory();
    /// let worker = Worker::new(&app).register::<greet>();
    /// assert!(worker.check().unwrap_err().to_string().contains("add `.state(..)`"));
    /// assert!(worker.state(Mailer).check().is_ok());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// All that is wrong, at once.
    pub fn check(&self) -> Result<(), CheckReport> {
        let mut findings = self.set.findings(&self.registry);
        findings.extend(self.set.distinct().filter_map(|task| self.unknown_queue(task)));
        findings.extend(self.set.distinct().filter_map(|task| self.shared_memory(task)));
        if findings.is_empty() { Ok(()) } else { Err(CheckReport(findings)) }
    }

    /// Checks, then runs tasks until `stop` completes. What runs then may finish within
    /// `[worker] drain_timeout`; after that it is given back.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// let app = App::from_env().await?;
    /// let stop = async { drop(tokio::signal::ctrl_c().await) };
    /// Worker::new(&app).register::<add>().run_until(stop).await?;
    /// app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Only before the first task: when the check finds something, or a queue cannot be declared.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), WorkerError> {
        let shutdown = Shutdown::new();
        let drain_timeout = self.settings.drain_timeout;
        let stopping = async {
            tokio::select! {
                () = stop => {}
                // A remote command has drained it.
                () = shutdown.draining() => {}
            }
            shutdown.drain();
            tokio::time::sleep(drain_timeout).await;
            shutdown.abort();
            pending().await
        };
        tokio::select! {
            ended = Box::pin(self.run(shutdown.clone())) => ended,
            never = stopping => never,
        }
    }

    /// Checks, and registers what was put together.
    pub(super) fn assemble(&mut self) -> Result<(), CheckReport> {
        self.check()?;
        std::mem::take(&mut self.set).add_to(&mut self.registry)
    }

    fn changed(mut self, change: impl FnOnce(TaskSet) -> TaskSet) -> Self {
        self.set = change(self.set);
        self
    }

    /// The queue that calls of a task go to, if neither the configuration nor this worker knows it.
    fn unknown_queue(&self, task: &Definition) -> Option<Finding> {
        let options = self.tasks.options(task.name(), task.options().clone());
        let router = self.publisher.router();
        let queue = router.route(task.name(), options.queue.as_deref(), &Target::default()).queue?;
        let known = self.topology.queues.is_defined(&queue) || queue == names::DEFAULT_QUEUE;
        (!known).then(|| Finding::UnknownQueue {
            task: task.name().to_owned(),
            hint: self.hint(&queue),
            queue,
        })
    }

    /// A limit that would have no effect.
    fn shared_memory(&self, task: &Definition) -> Option<Finding> {
        let is_limited = self.tasks.table(task.name())?.max_memory.is_some_and(|bytes| bytes > 0);
        let is_shared = task.options().isolation == Isolation::None;
        (is_limited && is_shared).then(|| Finding::SharedMemory { task: task.name().to_owned() })
    }

    /// What to do about an unknown queue.
    fn hint(&self, queue: &str) -> String {
        let alike = |known: &&str| strsim::jaro_winkler(known, queue) >= ALIKE;
        match self.topology.queues.names().find(alike) {
            Some(known) => format!("; did you mean `{known}`?"),
            None => format!("; define it as [queues.{queue}], or consume it with `.queues(..)`"),
        }
    }
}
