//! Puts the parts together as a configuration asks for them.

mod rehearsal;
pub mod testing;

use crate::broker::{Broker, ConnectError, DeclareError};
use crate::client::Client;
use crate::client::ResultHandle;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, Loader};
use crate::events::{Events, Telling};
use crate::handler::{Registry, TaskSet};
use crate::ids::TaskId;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::outbox::{Outbox, Relay};
use crate::publisher::Publisher;
use crate::results::{self, OpenError};
use crate::scheduler::{Entries, EntryErrors, Making, Scheduler, Status};
use crate::security::{Security, SecurityError};
use crate::store::StoreError;
use crate::topology::{BadPattern, Router};
use crate::worker::Worker;
use rehearsal::Rehearsal;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// A configuration with its connection to the broker. Cloning is cheap.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use celeriac::app::App;
/// use celeriac::config::Config;
/// use celeriac::publisher::SendOptions;
///
/// let app = App::connect(Config::default()).await?;
/// let call = app.client().call("shop.add", &(1, 2), &(), SendOptions::default()).await?;
/// let sum: i64 = call.result().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct App {
    config: Arc<Config>,
    client: Client,
    clock: Arc<dyn Clock>,
    /// What there is besides when there is no broker.
    rehearsal: Option<Arc<Rehearsal>>,
    entries: Arc<watch::Sender<Entries>>,
    /// What tells monitors of the tasks that are sent, if anything does.
    telling: Option<Arc<Telling>>,
    security: Security,
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    outbox: Option<Outbox>,
}

/// Why an [`App`] could not connect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The broker cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The configuration has mistakes; each is told with its line.
    #[error(transparent)]
    Config(#[from] config::Report),
    /// A pattern in `[routes]` cannot be read.
    #[error("[routes]: {0}")]
    Route(#[from] BadPattern),
    /// The result backend cannot be had.
    #[error(transparent)]
    Results(#[from] OpenError),
    /// The configuration asks a broker in memory for what no broker would give.
    #[error(transparent)]
    Declare(#[from] DeclareError),
    /// Messages cannot be signed or verified.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The database of staged tasks cannot be had.
    #[error("[outbox]: {0}")]
    Outbox(#[source] StoreError),
    /// Schedules cannot be kept.
    #[error(transparent)]
    Schedules(#[from] EntryErrors),
}

impl App {
    /// Connects to the broker that a configuration, or a URL alone, names.
    ///
    /// ```no_run
    /// # use celeriac::prelude::*;
    /// # async fn example() -> anyhow::Result<()> {
    /// use celeriac::config::Config;
    /// use std::time::Duration;
    ///
    /// let app = App::connect("amqp://localhost").await?;
    ///
    /// let mut config = Config::from("amqps://rabbit.example.org/shop");
    /// config.publisher.deadline = Duration::from_secs(5);
    /// let shop = App::connect(config).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the broker cannot be reached now, or the result backend cannot be had. Later losses are
    /// repaired, and a store for results need not be there yet.
    pub async fn connect(config: impl Into<Config>) -> Result<Self, AppError> {
        let config = config.into();
        // What is wrong with the configuration is said before anybody is bothered.
        Router::from_settings(&config.topology())?;
        let broker = Broker::connect(&config.broker, config.publisher.in_flight).await?;
        Self::on(broker, config, Arc::new(SystemClock), None)
    }

    fn on(
        broker: Broker,
        config: Config,
        clock: Arc<dyn Clock>,
        rehearsal: Option<Arc<Rehearsal>>,
    ) -> Result<Self, AppError> {
        let topology = config.topology();
        let router = Router::from_settings(&topology)?;
        let entries = Entries::of(&config.schedules, clock.now()).map_err(EntryErrors)?;
        let security = Security::open(&config.security, clock.now())?;
        let deadline = config.publisher.deadline;
        let results = results::open(&config.results, &broker, deadline)?;
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        let outbox = open_outbox(&config)?;
        let events = Events::of_sender(&config.events, &clock).filter(|_| !broker.is_in_memory());
        let telling = events
            .as_ref()
            .map(|events| Arc::new(Telling::start(events.clone(), &topology, &broker)));
        let publisher = Publisher::new(
            broker,
            config.publisher.clone(),
            topology,
            config.tasks.clone(),
            router,
            Arc::clone(&clock),
        );
        let publisher = publisher.telling(events).signing(security.clone());
        let client = Client::new(publisher, results);
        let (config, entries) = (Arc::new(config), Arc::new(watch::Sender::new(entries)));
        Ok(Self {
            config,
            client,
            clock,
            rehearsal,
            entries,
            telling,
            security,
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            outbox,
        })
    }

    /// Connects to the broker that the configuration in this file names. Environment variables
    /// (`CELERIAC_BROKER_URL` and the like) win over the file.
    ///
    /// ```no_run
    /// # use celeriac::prelude::*;
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// # async fn example() -> anyhow::Result<()> {
    /// let app = App::from_config("/etc/shop/celeriac.toml").await?;
    /// welcome(42).send(&app).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the configuration has mistakes, or the broker cannot be reached now.
    pub async fn from_config(path: impl Into<PathBuf>) -> Result<Self, AppError> {
        let loader = Loader::new().files([path.into()]).environment(std::env::vars());
        Self::connect(loader.load()?.config).await
    }

    /// Connects to the broker that the environment and the files in the usual places name: see
    /// [`Loader::standard_files`].
    ///
    /// ```no_run
    /// # use celeriac::prelude::*;
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// #[tokio::main]
    /// async fn main() -> anyhow::Result<()> {
    ///     let app = App::from_env().await?;
    ///     let signal = async { drop(tokio::signal::ctrl_c().await) };
    ///     Ok(Worker::new(&app).register::<welcome>().run_until(signal).await?)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// When the configuration has mistakes, or the broker cannot be reached now.
    pub async fn from_env() -> Result<Self, AppError> {
        let loader = Loader::new().standard_files().environment(std::env::vars());
        Self::connect(loader.load()?.config).await
    }

    /// The configuration.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::app::App;
    /// # use celeriac::config::Config;
    /// let mut config = Config::default();
    /// config.worker.queues = vec!["mail".to_owned()];
    /// let app = App::in_memory_with(config)?;
    /// assert_eq!(app.config().worker.queues, ["mail"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Sends tasks and waits for results.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// let options = SendOptions::default().queue("default");
    /// let sent = app.client().send("report.daily", &(42,), &(), options).await?;
    /// assert_eq!(app.all_sent()[0].id(), &sent.id);
    /// # Ok(())
    /// # }
    /// ```
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The result of a task by its id: its state, its value, now or when it comes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// let handle = add(1, 2).id("sum-1").delay(&app).await?;
    /// # worker.drain().await;
    /// let sum: i64 = app.result("sum-1").wait().await?;
    /// assert_eq!(sum, 3);
    /// # drop(handle);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// With backend `rpc` only tasks of this app that are still waited for are known; a store keeps
    /// the results of all.
    pub fn result<T>(&self, id: impl Into<TaskId>) -> ResultHandle<T> {
        self.client.result(id)
    }

    /// The broker.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// let app = App::in_memory();
    /// welcome(42).send(&app).await?;
    /// let queue = app.broker().depth("default").await?.expect("the queue is there");
    /// assert_eq!((queue.ready, queue.consumers), (1, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn broker(&self) -> &Broker {
        self.client.broker()
    }

    /// A worker that runs what is in `registry`.
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
    /// let worker = app.worker(registry); // with a broker: `.run(shutdown)`
    /// let worker = TestWorker::of(&app, worker);
    /// add(1, 2).send(&app).await?;
    /// assert_eq!(worker.drain().await.of::<add>().succeeded(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker(&self, registry: Registry) -> Worker {
        let config = &self.config;
        let worker = Worker {
            broker: self.broker().clone(),
            publisher: self.client.publisher().clone(),
            results: Arc::clone(self.client.results()),
            reporting: (&config.results).into(),
            registry,
            set: TaskSet::new(),
            settings: config.worker.clone(),
            tasks: config.tasks.clone(),
            events: config.events.clone(),
            topology: config.topology(),
            limits: (&config.limits).into(),
            security: self.security.clone(),
            clock: Arc::clone(&self.clock),
            status: Worker::status(&config.worker),
            journal: None,
            chance: fastrand::f64,
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            relay: self.relay().filter(|_| config.outbox.relay.has_worker()).map(Box::new),
        };
        match &self.rehearsal {
            Some(rehearsal) => rehearsal.direct(worker),
            None => worker,
        }
    }

    /// Begins a schedule in code; [`App::scheduler`] runs it, beside those of the configuration.
    ///
    /// ```no_run
    /// # async fn example() -> anyhow::Result<()> {
    /// # use celeriac::{app::App, config::Config, shutdown::Shutdown};
    /// let app = App::connect(Config::default()).await?;
    /// app.schedule("nightly")
    ///     .cron("30 2 * * *")
    ///     .timezone("Europe/Berlin")
    ///     .call("report.daily", &(42,), &())?;
    /// app.scheduler()?.run(Shutdown::new()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn schedule(&self, name: impl Into<String>) -> Making<'_> {
        Making::new(name, &self.entries).written_in(self.config.publisher.serializer.format())
    }

    /// A scheduler of the schedules in the configuration and in code. It connects by itself when it
    /// runs, with a connection of its own.
    ///
    /// ```no_run
    /// # use celeriac::prelude::*;
    /// # async fn example(app: App) -> anyhow::Result<()> {
    /// use celeriac::shutdown::Shutdown;
    ///
    /// let shutdown = Shutdown::new();
    /// let running = tokio::spawn(app.scheduler()?.run(shutdown.clone()));
    /// tokio::signal::ctrl_c().await?;
    /// shutdown.drain();
    /// running.await??;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When a pattern in `[routes]` cannot be read, or the key in `[security]`.
    pub fn scheduler(&self) -> Result<Scheduler, AppError> {
        scheduler(&self.config, self.entries.subscribe())
    }

    /// What sends staged tasks, as `[outbox]` says; `None` when that names no database. A worker for
    /// which `[outbox] relay` is set has one of its own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::app::App;
    /// # use celeriac::config::Config;
    /// let mut config = Config::default();
    /// assert!(App::in_memory_with(config.clone())?.relay().is_none());
    /// config.outbox.url = "sqlite:shop.db".into();
    /// let relay = App::in_memory_with(config)?.relay().expect("a database is named");
    /// # let _ = relay;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub fn relay(&self) -> Option<Relay> {
        let outbox = self.outbox.clone()?;
        let (publisher, results) = (self.client.publisher().clone(), self.client.results());
        Some(Relay::new(outbox, publisher, Arc::clone(results), self.config.outbox.clone()))
    }

    /// Closes the connections in order.
    ///
    /// ```no_run
    /// # use celeriac::prelude::*;
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// # async fn example() -> anyhow::Result<()> {
    /// let app = App::connect("amqp://localhost").await?;
    /// welcome(42).send(&app).await?;
    /// app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close(&self) {
        if let Some(telling) = &self.telling {
            telling.end().await;
        }
        self.broker().close().await;
    }
}

/// The outbox of a configuration, if it has one.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn open_outbox(config: &Config) -> Result<Option<Outbox>, AppError> {
    let url = &config.outbox.url;
    config.outbox.is_set().then(|| Outbox::open(url)).transpose().map_err(AppError::Outbox)
}

/// A scheduler of `entries`, which may change while it runs. It needs no [`App`].
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use celeriac::config::Config;
/// use celeriac::scheduler::{Entries, EntryErrors};
/// use celeriac::shutdown::Shutdown;
/// use std::time::SystemTime;
/// use tokio::sync::watch;
///
/// let config = Config::from("amqp://localhost");
/// let entries = Entries::of(&config.schedules, SystemTime::now()).map_err(EntryErrors)?;
/// let (changes, entries) = watch::channel(entries);
/// celeriac::app::scheduler(&config, entries)?.run(Shutdown::new()).await?;
/// # drop(changes);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When a pattern in `[routes]` cannot be read, or the key in `[security]`.
pub fn scheduler(
    config: &Config,
    entries: watch::Receiver<Entries>,
) -> Result<Scheduler, AppError> {
    let topology = config.topology();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Ok(Scheduler {
        name: crate::ids::expand_name(&config.scheduler.name, "scheduler"),
        settings: config.scheduler.clone(),
        broker: config.broker.clone(),
        publisher: config.publisher.clone(),
        security: Security::open(&config.security, clock.now())?,
        router: Router::from_settings(&topology)?,
        topology,
        tasks: config.tasks.clone(),
        entries,
        events: Events::of_sender(&config.events, &clock),
        clock,
        status: Status::default(),
    })
}

impl AsRef<Client> for App {
    fn as_ref(&self) -> &Client {
        &self.client
    }
}

impl Worker {
    /// A worker as the app's configuration wants it, without tasks yet.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// # let app = App::in_memory();
    /// let worker = Worker::new(&app).register::<welcome>().queues(["mail"]);
    /// assert_eq!(worker.set.names(), ["mail.welcome"]);
    /// assert_eq!(worker.settings.queues, ["mail"]);
    /// ```
    pub fn new(app: &App) -> Self {
        app.worker(Registry::new())
    }
}
