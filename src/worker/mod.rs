//! The worker: consumes queues and runs what comes.
//!
//! Each queue has a loop ([`queue`]) that hands every delivery to a process of its own, which takes
//! it through its whole life ([`process`]). How many run at once is decided by [`slots`], how many
//! are at hand by the prefetch. Rules are pure functions ([`decide`], [`admit`]); effects are in
//! [`settle`].

mod adjust;
mod admit;
mod assembly;
mod attempt;
mod builtin;
mod context;
mod decide;
mod follow;
mod heartbeat;
mod here;
mod journal;
mod metrics;
mod outcome;
mod process;
mod queue;
mod rate;
mod remote;
mod report;
mod roster;
mod run;
mod settings;
mod settle;
mod slots;
mod status;
mod tell;
mod trace;
mod withdraw;

pub use journal::{Ending, Journal, Run};
pub use settings::{Acknowledge, Settings};
pub use status::Status;

use crate::archive::Archive;
use crate::broker::{Broker, DeclareError};
use crate::clock::Clock;
use crate::control::{Paused, Revoked, caught_up};
use crate::events::{self, Events};
use crate::handler::exec::Watcher;
use crate::handler::{CheckReport, Registry, TaskSet, is_isolated, serve};
use crate::ids;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::outbox::Relay;
use crate::protocol::Limits;
use crate::publisher::Publisher;
use crate::results::{self, Reporting, ResultBackend};
use crate::security::Security;
use crate::shutdown::Shutdown;
use crate::task::Tasks;
use crate::topology::{self, Topology, names};
use context::{Context, known_tasks};
use here::Here;
use remote::Remote;
use roster::{Change, Roster};
use slots::Slots;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// So many changes of its queues may be asked for at once.
const CHANGES: usize = 16;

/// How long a worker that has stopped goes on telling what it has left to tell.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// What a worker is made of.
///
/// ```no_run
/// use celeriac::prelude::*;
///
/// #[task(name = "mail.welcome", max_retries = 5)]
/// async fn welcome(State(from): State<String>, to: String) -> anyhow::Result<()> {
///     anyhow::ensure!(to.contains('@'), "{from} cannot write to {to}");
///     Ok(())
/// }
///
/// # async fn example() -> anyhow::Result<()> {
/// let app = App::connect("amqp://localhost").await?;
/// Worker::new(&app)
///     .state("us@example.org".to_owned())
///     .register::<welcome>()
///     .run_until(async { drop(tokio::signal::ctrl_c().await) })
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Worker {
    /// The broker it consumes from.
    pub broker: Broker,
    /// How it publishes retries and follow-ups.
    pub publisher: Publisher,
    /// Where results go.
    pub results: Arc<dyn ResultBackend>,
    /// How they are written.
    pub reporting: Reporting,
    /// What it can run.
    pub registry: Registry,
    /// What else it can run once it starts, put together in code: see [`Worker::register`].
    pub set: TaskSet,
    /// `[worker]`.
    pub settings: Settings,
    /// `[tasks]`.
    pub tasks: Tasks,
    /// `[events]`.
    pub events: events::Settings,
    /// Exchanges and queues.
    pub topology: topology::Settings,
    /// Bounds on what is read.
    pub limits: Limits,
    /// Whose messages it takes.
    pub security: Security,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// What it tells about itself; make it with [`Worker::status`].
    pub status: Status,
    /// Where it writes down what it ran, if anybody reads it: for tests.
    pub journal: Option<Journal>,
    /// Random numbers from 0 to 1, for jitter.
    pub chance: fn() -> f64,
    /// What sends staged tasks beside it, if anything does.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub relay: Option<Box<Relay>>,
}

/// Why a worker could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// What it consumes could not be declared.
    #[error(transparent)]
    Declare(#[from] DeclareError),
    /// Its tasks do not fit together.
    #[error(transparent)]
    Check(#[from] CheckReport),
    /// It would do nothing.
    #[error("no queue to consume: set `queues` in [worker] or give -Q")]
    NoQueue,
}

impl Worker {
    /// A status for a worker of these settings.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// let worker = Worker::new(&app).queues(["mail"]);
    /// let status = worker.status.clone(); // keep it: `run` takes the worker
    /// assert_eq!(status.queues(), [("mail".to_owned(), false)]);
    /// assert_eq!((status.running(), status.finished()), (0, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(settings: &Settings) -> Status {
        Status::new(&settings.queues)
    }

    /// Declares what is needed, then consumes and runs tasks until `shutdown` drains and all that
    /// runs has ended, or `shutdown` aborts and it was given back.
    ///
    /// In a process that was started for one [isolated](crate::task::Isolation::Process) task it
    /// runs that and returns.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{prelude::*, shutdown::Shutdown};
    /// # #[task]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// let app = App::from_env().await?;
    /// let shutdown = Shutdown::new();
    /// let working = Worker::new(&app).register::<add>().run(shutdown.clone());
    /// let stopping = async {
    ///     tokio::signal::ctrl_c().await.ok();
    ///     shutdown.drain(); // what runs may finish
    ///     tokio::signal::ctrl_c().await.ok();
    ///     shutdown.abort(); // it has not, and goes back to its queue
    ///     std::future::pending().await
    /// };
    /// tokio::select! { ended = working => ended?, () = stopping => {} }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Only before the first task: when [`Worker::check`] finds something, or a queue cannot be
    /// declared.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), WorkerError> {
        if self.settings.queues.is_empty() {
            return Err(WorkerError::NoQueue);
        }
        self.assemble()?;
        if is_isolated() {
            if let Err(error) = serve(&self.registry).await {
                warn!(%error, "the worker of this isolated task does not answer");
            }
            return Ok(());
        }
        if self.security.refuses_its_own() {
            warn!(
                "unsigned messages are refused here and what is sent from here is not signed: set \
                 key_file and cert_file in [security], or chains end at the next such worker"
            );
        }
        self.declare().await?;
        let name = ids::expand_name(&self.settings.name, "worker");
        let slots = self.slot_count();
        // Ends with this function.
        let mut beside = JoinSet::new();
        beside.spawn(self.collect_dead_letters(shutdown.clone()));
        beside.spawn(self.purge_results(shutdown.clone()));
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        let mut relaying = self.relay_staged(&shutdown);
        let context = Arc::new(self.context(name.clone(), slots, shutdown));
        let (changes, mut changed) = mpsc::channel(CHANGES);
        let drained = CancellationToken::new();
        let mut remote = JoinSet::new();
        self.hear_of_what_was_said(&context, &mut remote, &drained).await;
        let telling = self.tell(&context);
        if self.settings.remote_control && !self.broker.is_in_memory() {
            remote.spawn(self.remote(&context, changes).run(drained.clone()));
        }
        let mut roster = Roster::new(&self, &context);
        info!(
            worker = %name, queues = %self.settings.queues.join(","), slots,
            tasks = self.registry.names().len(), "ready"
        );
        roster.run(&mut changed).await;
        drained.cancel();
        while remote.join_next().await.is_some() {}
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        while relaying.join_next().await.is_some() {}
        debug!(finished = self.status.finished(), free = context.slots.free(), "drained");
        self.fall_silent(&context, telling).await;
        Ok(())
    }

    /// What answers remote commands.
    fn remote(&self, context: &Arc<Context>, changes: mpsc::Sender<Change>) -> Remote {
        Remote {
            node: ids::node_name(&context.name),
            broker: self.broker.clone(),
            context: Arc::clone(context),
            settings: self.settings.clone(),
            changes,
        }
    }

    /// Declares the queues, the archive and the delay ladder, or checks that they exist.
    async fn declare(&self) -> Result<(), DeclareError> {
        let settings = &self.topology;
        let dead = Topology::dead(settings);
        let work = Topology::work(settings, &self.settings.queues);
        if !settings.declare {
            return self.broker.verify(&dead.and(work)).await;
        }
        self.broker.declare(&dead).await?;
        self.broker.declare(&Topology::revocations().and(Topology::pauses())).await?;
        if let Err(error) = self.broker.declare(&Topology::events(&settings.events)).await {
            warn!(%error, "monitors may not be told of tasks");
        }
        self.broker.declare_ladder(&Topology::ladder(settings)).await?;
        self.broker.declare(&work).await?;
        // Where Celery's workers have declared their ladder, what its producers delay comes by it.
        let ends = Topology::celery_ends(&self.settings.queues);
        self.broker.declare_beside(names::CELERY_DELAY_EXIT, &ends).await
    }

    /// Takes what the broker gives up by itself into the archive.
    fn collect_dead_letters(&self, shutdown: Shutdown) -> impl Future<Output = ()> + use<> {
        let dead = self.topology.dead.clone();
        let archive = Archive::new(self.broker.clone(), dead, Arc::clone(&self.clock));
        async move { archive.collect(&shutdown).await }
    }

    /// Follows what is revoked and which queues are paused, and waits until what was said earlier is
    /// known.
    async fn hear_of_what_was_said(
        &self,
        context: &Context,
        beside: &mut JoinSet<()>,
        drained: &CancellationToken,
    ) {
        if self.broker.is_in_memory() {
            return;
        }
        let mut revoked = None;
        if self.can_follow(&Topology::revocations(), "revoked tasks will run").await {
            let (tell, told) = watch::channel(false);
            let (known, broker) = (context.revoked.clone(), self.broker.clone());
            let drained = drained.clone();
            beside.spawn(async move { known.follow(broker, tell, drained).await });
            revoked = Some(told);
        }
        if self.can_follow(&Topology::pauses(), "paused queues will be consumed").await {
            let (tell, told) = watch::channel(false);
            let (known, broker) = (context.paused.clone(), self.broker.clone());
            let drained = drained.clone();
            beside.spawn(async move { known.follow(broker, tell, drained).await });
            tokio::select! {
                () = context.shutdown.draining() => {}
                () = context.paused.caught_up(&self.broker, told) => {}
            }
        }
        if let Some(told) = revoked {
            caught_up(told).await;
        }
    }

    /// Whether a stream is there to be followed, in a worker that declares nothing.
    async fn can_follow(&self, stream: &Topology, otherwise: &str) -> bool {
        if self.topology.declare {
            return true;
        }
        let found = self.broker.verify(stream).await;
        if let Err(error) = &found {
            warn!(%error, "{otherwise}: run `celeriac topology apply`");
        }
        found.is_ok()
    }

    /// Publishes events, beginning with that of the worker itself. In memory there is nobody to
    /// hear them.
    fn tell(&self, context: &Arc<Context>) -> JoinSet<()> {
        let mut telling = JoinSet::new();
        if self.broker.is_in_memory() {
            context.events.switch().disable();
            return telling;
        }
        let (events, broker) = (context.events.clone(), self.broker.clone());
        let topology = &self.topology;
        let repair = topology.declare.then(|| Topology::events(&topology.events));
        telling.spawn(async move { events.publish(&broker, repair).await });
        telling.spawn(heartbeat::beat(Arc::clone(context)));
        telling
    }

    /// Tells that the worker stops, and waits a moment until all was published.
    async fn fall_silent(&self, context: &Context, mut telling: JoinSet<()>) {
        heartbeat::last(context);
        context.events.close();
        let silent = async { while telling.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_EVENTS, silent).await.is_err() {
            debug!("the broker does not take the last events");
        }
    }

    /// Sends what is staged, where this worker is to do so, until it drains.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    fn relay_staged(&mut self, shutdown: &Shutdown) -> JoinSet<()> {
        self.relay.take().map(|relay| relay.run(shutdown.clone())).into_iter().collect()
    }

    /// Removes expired results from stores that do not do it by themselves.
    fn purge_results(&self, shutdown: Shutdown) -> impl Future<Output = ()> + use<> {
        let backend = Arc::clone(&self.results);
        async move { results::purge(&*backend, &shutdown).await }
    }

    fn slot_count(&self) -> usize {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.settings.concurrency.unwrap_or(u32::try_from(cpus).unwrap_or(1)).max(1) as usize
    }

    fn context(&self, name: String, slots: usize, shutdown: Shutdown) -> Context {
        let watcher = (!self.broker.is_in_memory()).then(|| Arc::new(Watcher::new()));
        let events = Events::new(&ids::node_name(&name), &self.events, Arc::clone(&self.clock));
        self.status.tells(events.clone());
        let mut tasks = known_tasks(&self.registry, &self.tasks, &self.clock, watcher.as_ref());
        builtin::add(&mut tasks, &self.publisher, &self.results, &self.clock);
        Context {
            name,
            publisher: self.publisher.clone(),
            results: Arc::clone(&self.results),
            reporting: self.reporting,
            clock: Arc::clone(&self.clock),
            limits: self.limits.clone(),
            security: self.security.clone(),
            shutdown,
            slots: Slots::new(slots, []),
            tasks,
            consumes_default: self
                .settings
                .queues
                .iter()
                .any(|queue| queue == names::DEFAULT_QUEUE),
            dead_exchange: self.topology.dead.exchange.clone(),
            unknown_grace: self.settings.unknown_grace,
            delivery_limits: RwLock::default(),
            status: self.status.clone(),
            here: Here::default(),
            revoked: Revoked::default(),
            paused: Paused::default(),
            events,
            journal: self.journal.clone(),
            chance: self.chance,
        }
    }
}
