//! The monitor: shows what workers tell, and keeps it.
//!
//! It reads the stream of events into an index on the disk and answers from there, over HTTP. It
//! needs a broker and a folder, and nothing it shows is lost when it is killed: the stream waits,
//! and the index knows how far it was read. See `docs/decisions/0021-monitor.md`.

mod access;
mod act;
mod api;
mod change;
mod depths;
mod edit;
mod exporters;
mod failure;
mod feed;
mod flower;
mod gauges;
mod histogram;
mod http;
mod index;
mod ingest;
mod invite;
mod live;
mod operations;
mod pages;
mod record;
mod redact;
mod schedules;
mod settings;
mod state;
mod status;
mod totals;
mod transfer;
mod tree;

pub use access::{Listed, LoginsError, Tokens, Users};
pub use flower::Sender;
pub use index::IndexError;
pub(crate) use index::select::FIELDS as TASK_FIELDS;
pub use settings::{Auth, Compat, Exporter, History, Proxy, Role, Settings};
pub use state::State;
pub use status::Status;

use crate::archive::Archive;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::control::Paused;
use crate::shutdown::Shutdown;
use crate::topology::{self, DeadSettings, EventStream, Topology, names};
use access::Login;
use act::Actor;
use depths::{Depths, Pools, Watch};
use feed::Feed;
use flower::Inspector;
use gauges::Gauges;
use index::{Index, Keep, Writer};
use ingest::{Ingest, News, Source};
use operations::Operations;
use redact::Redact;
use schedules::Schedules;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

/// How often it is looked whether workers are silent.
const SWEEP: Duration = Duration::from_secs(1);

/// How often what is too old is deleted, and how many tasks of each state at once.
const PRUNE: Duration = Duration::from_secs(1);
const PRUNED: usize = 500;

/// How many times over, while there is something to delete.
const SLICES: usize = 10;

/// How many times over freed pages are given back to the disk, 32 at once: 6 MB a second at most.
const GIVEN_BACK: usize = 50;

/// A monitor.
#[derive(Debug)]
pub struct Monitor {
    /// `[monitor]`.
    pub settings: Settings,
    /// Where workers tell.
    pub broker: Broker,
    /// What keeps what they tell.
    pub events: EventStream,
    /// Where goes what was given up.
    pub dead: DeadSettings,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How it is doing, for whoever asks.
    pub status: Status,
    /// What its bundle tells of the configuration.
    pub configuration: Configuration,
    /// What sends tasks for `monitor.compat.flower_api`; without it those calls are refused.
    pub sender: Option<Sender>,
}

/// What a bundle for a ticket tells of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// All of it, with secrets masked: [`Config::masked`](crate::config::Config::masked). Empty for
    /// nothing.
    pub text: String,
    /// What it wants to be in the broker, which is compared.
    pub topology: Topology,
}

/// Why a monitor cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MonitorError {
    /// There is no stream to read.
    #[error(
        "no stream keeps events, so there is nothing to show; set events.stream, such as \"celeriac.events\""
    )]
    NoStream,
    /// Nothing says where to keep the index.
    #[error(
        "set monitor.data_dir: neither $STATE_DIRECTORY nor $XDG_STATE_HOME nor $HOME says where to keep the index"
    )]
    NoFolder,
    /// A name of what is not to be kept is no pattern.
    #[error("monitor.redact: {0}")]
    Redact(String),
    /// A file of tokens or users cannot be read.
    #[error("monitor.auth.{file}: {why}")]
    Logins {
        /// The key of the file.
        file: &'static str,
        /// What is wrong.
        why: LoginsError,
    },
    /// Others could reach the pages, and nobody would have to log in.
    #[error(
        "monitor.listen = \"{0}\" can be reached from other machines, and nobody would have to log in; \
         make a token with `celeriac token new NAME --role admin --file TOKENS` and write\n\n  \
         [monitor.auth]\n  tokens_file = \"TOKENS\"\n\nor the same with `celeriac user new` and users_file, \
         or have a proxy log people in (monitor.auth.proxy), or listen at 127.0.0.1"
    )]
    Open(String),
    /// The index fails.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Pages cannot be served.
    #[error("cannot listen at {address}: {why}; set monitor.listen")]
    Listen {
        /// The address.
        address: String,
        /// What is wrong.
        why: io::Error,
    },
}

/// How something ended that ran beside us, in the same panic if it was one.
fn joined(ended: Result<Result<(), IndexError>, JoinError>) -> Result<(), IndexError> {
    match ended {
        Ok(ended) => ended,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Ok(()),
    }
}

impl Monitor {
    /// Reads and shows until `shutdown` drains.
    ///
    /// # Errors
    /// When there is no place for the index or for the pages, or the disk takes no more.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), MonitorError> {
        if self.events.stream.is_empty() {
            return Err(MonitorError::NoStream);
        }
        let is_near = access::is_loopback(&self.settings.listen);
        if !is_near && !self.settings.auth.is_on() {
            return Err(MonitorError::Open(self.settings.listen.clone()));
        }
        let login = Login::new(&self.settings.auth, Arc::clone(&self.clock))?;
        let (names, hide_args) = (&self.settings.redact, self.settings.hide_args);
        let redact = Redact::new(names, hide_args).map_err(MonitorError::Redact)?;
        let folder = self.settings.folder().ok_or(MonitorError::NoFolder)?;
        let index = Index::open(&folder)?;
        if !self.settings.compat.metrics.is_empty() {
            self.status.want(&self.settings.compat.metrics);
            index.write(Writer::tell_of_workers).await?;
        }
        let listener = self.listen().await?;
        let (news, heard) = watch::channel(News::default());
        let archive = Archive::new(self.broker.clone(), self.dead.clone(), Arc::clone(&self.clock));
        let actor = Actor::new(self.broker.clone(), archive.clone(), Arc::clone(&self.clock));
        let operations = Operations::new(
            index.clone(),
            self.broker.clone(),
            archive.clone(),
            actor.clone(),
            Arc::clone(&self.clock),
        );
        let streams = Arc::new(Semaphore::new(self.settings.max_streams as usize));
        self.status.set_streams(Arc::clone(&streams), self.settings.max_streams);
        let depths = Depths::kept(&index, change::micros(self.clock.now())).await?;
        let paused = Paused::default();
        let feed = Feed::default();
        let watch = Watch {
            broker: self.broker.clone(),
            index: index.clone(),
            clock: Arc::clone(&self.clock),
            depths: depths.clone(),
            paused: paused.clone(),
            pools: match self.settings.compat.metrics.contains(&Exporter::CeleryExporter) {
                true => Pools::Asked,
                false => Pools::Left,
            },
        };
        let pages = http::Pages {
            settings: Arc::new(self.settings.clone()),
            index: index.clone(),
            broker: self.broker.clone(),
            archive,
            actor,
            login,
            clock: Arc::clone(&self.clock),
            status: self.status.clone(),
            news: heard.clone(),
            streams,
            depths: depths.clone(),
            feed: feed.clone(),
            operations: operations.clone(),
            paused: paused.clone(),
            schedules: Schedules::new(self.broker.clone()),
            configuration: Arc::new(self.configuration.clone()),
            sender: self.sender.clone(),
            inspector: Inspector::default(),
        };
        let topology = topology::Settings { dead: self.dead.clone(), ..Default::default() };
        let streams = [
            (Source::Events, &*self.events.stream, Topology::events(&self.events)),
            (Source::Dead, &*self.dead.stream, Topology::dead(&topology)),
            (Source::Audit, names::AUDIT, Topology::audit()),
        ];
        let [events, dead, audit] = streams.map(|(source, stream, repair)| {
            self.ingest((&index, &feed, &redact), &news, source, stream, repair)
        });
        self.status.set_address(listener.local_addr().ok());
        // It ends by itself, with nothing in hand, when `shutdown` drains.
        let mut running = JoinSet::new();
        running.spawn(operations.run(shutdown.clone()));
        let ended = tokio::select! {
            ended = async { tokio::try_join!(events.run(&shutdown), dead.run(&shutdown), audit.run(&shutdown)) } => ended.map(drop),
            () = pages.serve(listener, &shutdown) => Ok(()),
            ended = self.tidy(&index) => ended,
            () = self.invite(heard) => Ok(()),
            () = watch.run() => Ok(()),
            Some(ended) = running.join_next() => joined(ended),
            () = Box::pin(self.hear_of_pauses(&paused)) => Ok(()),
            ended = Gauges::watch(&index, &depths, &paused, (&self.status, &self.clock)) => ended,
        };
        self.status.set_address(None);
        ended?;
        Ok(running.join_next().await.map_or(Ok(()), joined)?)
    }

    /// Follows which queues are paused. Never ends.
    async fn hear_of_pauses(&self, paused: &Paused) {
        let (tell, _told) = watch::channel(false);
        paused.follow(self.broker.clone(), tell, CancellationToken::new()).await;
        std::future::pending().await
    }

    fn ingest(
        &self,
        (index, feed, redact): (&Index, &Feed, &Redact),
        news: &watch::Sender<News>,
        source: Source,
        stream: &str,
        repair: Topology,
    ) -> Ingest {
        Ingest {
            broker: self.broker.clone(),
            source,
            stream: stream.to_owned(),
            repair,
            index: index.clone(),
            feed: feed.clone(),
            redact: redact.clone(),
            clock: Arc::clone(&self.clock),
            status: self.status.clone(),
            news: news.clone(),
        }
    }

    async fn listen(&self) -> Result<TcpListener, MonitorError> {
        let address = self.settings.listen.clone();
        match TcpListener::bind(&address).await {
            Ok(listener) => {
                let at = listener.local_addr().map_or(address, |at| at.to_string());
                info!("the monitor is at http://{at}/");
                Ok(listener)
            }
            Err(why) => Err(MonitorError::Listen { address, why }),
        }
    }

    /// Finds silent workers, and deletes what is too old.
    async fn tidy(&self, index: &Index) -> Result<(), IndexError> {
        let mut sweep = tokio::time::interval(SWEEP);
        let mut prune = tokio::time::interval(PRUNE);
        loop {
            tokio::select! {
                _ = sweep.tick() => self.sweep(index).await?,
                _ = prune.tick() => self.prune(index).await?,
            }
        }
    }

    /// Nobody is silent while we do not listen.
    async fn sweep(&self, index: &Index) -> Result<(), IndexError> {
        let is_behind = self.status.lag().is_none_or(|lag| lag > Duration::from_secs(2));
        if !self.status.is_reading() || is_behind {
            return Ok(());
        }
        let now = change::micros(self.clock.now());
        for worker in index.write(move |writer| writer.sweep(now)).await? {
            info!(worker, "it says nothing any more, and is taken for lost");
        }
        Ok(())
    }

    async fn prune(&self, index: &Index) -> Result<(), IndexError> {
        let now = self.clock.now();
        let (history, dead) = (&self.settings.history, self.dead.retain.age);
        let (success, other, size) = (history.success, history.other, history.max_size);
        let keep = Keep { success, other, dead, size };
        // In slices, so that what is told meanwhile is written between them.
        for _ in 0..SLICES {
            let gone = index.write(move |writer| writer.prune(now, keep, PRUNED)).await?;
            if gone == 0 {
                break;
            }
            debug!(tasks = gone, "old tasks are deleted");
        }
        for _ in 0..GIVEN_BACK {
            if index.write(|writer| writer.give_back()).await? == 0 {
                break;
            }
        }
        Ok(())
    }
}
