//! The relay: takes what is staged, sends it, and forgets it once the broker has confirmed.
//!
//! It goes round in turns: claim a batch for a while, publish all of it at once, delete what was
//! confirmed, put off what cannot be sent, give back the rest. Whoever dies in between leaves rows
//! that are claimed for no longer than the lease.

use super::pace::{Fate, Pace, Went};
use super::row::{Claimed, Content};
use super::wake::Wake;
use super::{Outbox, Settings, Status};
use crate::backoff::Backoff;
use crate::ids::TaskId;
use crate::publisher::Publisher;
use crate::results::{NewChord, ResultBackend};
use crate::shutdown::Shutdown;
use crate::store::StoreError;
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, StreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, error, info, warn};

/// The waits of a row that cannot be sent.
const AGAIN: Backoff = Backoff {
    first: Duration::from_secs(5),
    factor: 2.0,
    max: Duration::from_secs(600),
    jitter: 0.2,
};

/// The waits while the database or the broker is away.
const PAUSES: Backoff = Backoff {
    first: Duration::from_millis(200),
    factor: 2.0,
    max: Duration::from_secs(10),
    jitter: 0.5,
};

/// How often it is counted what is staged.
const COUNTING: Duration = Duration::from_secs(10);

/// So many chords are begun at once.
const BEGINNING: usize = 50;

/// Sends staged tasks. Any number may run at once, on the same table.
///
/// A worker and a scheduler have one when `[outbox]` says so; a program that has neither runs one by
/// itself:
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use celeriac::{app::App, shutdown::Shutdown};
///
/// let app = App::from_config("celeriac.toml").await?; // with `url` in [outbox]
/// let shutdown = Shutdown::new();
/// if let Some(relay) = app.relay() {
///     relay.run(shutdown).await;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Relay {
    outbox: Outbox,
    publisher: Publisher,
    results: Arc<dyn ResultBackend>,
    settings: Settings,
    status: Status,
    /// Tells its claims from those of others.
    token: String,
}

/// What came of sending everything that was due.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::outbox::{Flushed, Outbox};
/// # use celeriac::{config::Config, prelude::*};
/// # #[task(name = "mail.welcome")]
/// # async fn welcome(user: u64) -> anyhow::Result<()> { Ok(()) }
/// # let folder = tempfile::tempdir()?;
/// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
/// # let mut config = Config::default();
/// # config.outbox.url = url.as_str().into();
/// # let app = App::in_memory_with(config)?;
/// # let outbox = Outbox::open(&url.as_str().into())?;
/// # outbox.create_table().await?;
/// # let relay = app.relay().expect("there is an outbox");
/// let flushed = relay.flush().await?;
/// assert_eq!(flushed, Flushed::default()); // nothing was staged
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flushed {
    /// So many tasks were sent.
    pub sent: usize,
    /// So many could not be sent and wait to be tried again.
    pub failed: usize,
}

/// Why not everything that was due was looked at.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The table cannot be read or written.
    #[error("staged tasks are not sent: {0}")]
    Store(#[from] StoreError),
    /// The broker is away.
    #[error("staged tasks are not sent: {0}")]
    Away(String),
}

/// What one turn came to.
struct Turn {
    flushed: Flushed,
    /// How many rows it had.
    rows: usize,
    went: Went,
    /// Why the broker is away, if it is.
    reason: Option<String>,
}

impl Relay {
    /// A relay of what is staged in `outbox`. Chords begin in `results`.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{app::App, outbox::{Outbox, Relay, Settings}};
    /// # let app = App::from_env().await?;
    /// let outbox = Outbox::open(&"sqlite:shop.db".into())?;
    /// let (publisher, results) = (app.client().publisher(), app.client().results());
    /// let relay = Relay::new(outbox, publisher.clone(), results.clone(), Settings::default());
    /// # drop(relay);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(
        outbox: Outbox,
        publisher: Publisher,
        results: Arc<dyn ResultBackend>,
        settings: Settings,
    ) -> Self {
        let (status, token) = (Status::default(), TaskId::random().to_string());
        Self { outbox, publisher, results, settings, status, token }
    }

    /// What it tells about itself.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::outbox::{Outbox, sqlx};
    /// # use celeriac::{config::Config, prelude::*};
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { Ok(()) }
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    /// # let mut config = Config::default();
    /// # config.outbox.url = url.as_str().into();
    /// # let app = App::in_memory_with(config)?;
    /// # let outbox = Outbox::open(&url.as_str().into())?;
    /// # outbox.create_table().await?;
    /// # let database = sqlx::SqlitePool::connect(&url).await?;
    /// # let relay = app.relay().expect("there is an outbox");
    /// let status = relay.status().clone(); // keep it: `run` takes the relay
    /// drop(welcome(42).stage(&app, &mut *database.acquire().await?).await?);
    /// relay.flush().await?;
    /// assert_eq!((status.sent(), status.failed()), (1, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Sends what is staged until `shutdown` drains. What is on its way then is awaited, unless it
    /// aborts: then another relay sends it when the lease is over, and it may be sent twice.
    ///
    /// Whatever is away is waited for; it never fails.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{app::App, shutdown::Shutdown};
    /// # let app = App::from_env().await?;
    /// let (relay, shutdown) = (app.relay().expect("[outbox] has a url"), Shutdown::new());
    /// let stop = async {
    ///     tokio::signal::ctrl_c().await.ok();
    ///     shutdown.drain();
    /// };
    /// tokio::join!(relay.run(shutdown.clone()), stop);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run(self, shutdown: Shutdown) {
        tokio::select! {
            () = self.turns(&shutdown) => {}
            () = shutdown.aborting() => debug!("the relay is stopped in the middle of a batch"),
        }
    }

    /// Sends everything that is due now, and returns. For tests, and for programs that send at
    /// moments of their own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::outbox::{Flushed, Outbox, sqlx};
    /// # use celeriac::{config::Config, prelude::*};
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { Ok(()) }
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    /// # let mut config = Config::default();
    /// # config.outbox.url = url.as_str().into();
    /// # let app = App::in_memory_with(config)?;
    /// # let outbox = Outbox::open(&url.as_str().into())?;
    /// # outbox.create_table().await?;
    /// # let database = sqlx::SqlitePool::connect(&url).await?;
    /// # let relay = app.relay().expect("there is an outbox");
    /// drop(welcome(42).stage(&app, &mut *database.acquire().await?).await?);
    /// assert_eq!(relay.flush().await?, Flushed { sent: 1, failed: 0 });
    /// assert_eq!(app.sent::<welcome>(), [(42,)]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the database or the broker is away. What was sent until then is sent.
    pub async fn flush(&self) -> Result<Flushed, RelayError> {
        let mut pace = self.pace();
        let mut all = Flushed::default();
        loop {
            let turn = self.turn(&mut pace).await?;
            all.sent += turn.flushed.sent;
            all.failed += turn.flushed.failed;
            match turn.went {
                Went::Away => return Err(RelayError::Away(turn.reason.unwrap_or_default())),
                Went::Well if turn.rows == 0 => return Ok(all),
                Went::Well | Went::Broken => {}
            }
        }
    }

    async fn turns(&self, shutdown: &Shutdown) {
        let mut pace = self.pace();
        let mut wake = Wake::new(self.settings.poll);
        let mut losses = 0;
        let mut counted = None;
        info!(batch = self.settings.batch, "sending what is staged in the outbox");
        while !shutdown.is_draining() {
            let pause = match self.turn(&mut pace).await {
                Ok(Turn { went: Went::Away, reason, .. }) => {
                    Some(reason.unwrap_or_else(|| "the broker is away".to_owned()))
                }
                Err(error) => Some(error.to_string()),
                Ok(turn) => {
                    losses = 0;
                    self.recovered();
                    self.count(&mut counted).await;
                    if turn.rows == 0 {
                        tokio::select! {
                            () = wake.wait(&self.outbox) => {}
                            () = shutdown.draining() => {}
                        }
                    }
                    None
                }
            };
            if let Some(reason) = pause {
                let wait = PAUSES.random_wait(losses);
                losses = losses.saturating_add(1);
                self.lost(reason, wait);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = shutdown.draining() => {}
                }
            }
        }
    }

    /// Claims a batch, sends it, and writes down what became of it.
    async fn turn(&self, pace: &mut Pace) -> Result<Turn, StoreError> {
        let claimed = self.outbox.claim(&self.token, self.settings.lease, pace.batch()).await?;
        let mut fates = self.send(&claimed).await;
        let reason = fates.iter().find_map(|fate| match fate {
            Fate::Away(why) => Some(why.clone()),
            _ => None,
        });
        let went = pace.judge(&mut fates);
        let flushed = self.settle(&claimed, &fates).await?;
        self.status.note(flushed.sent, flushed.failed);
        Ok(Turn { flushed, rows: claimed.len(), went, reason })
    }

    /// Publishes all at once, in order.
    async fn send(&self, claimed: &[Claimed]) -> Vec<Fate> {
        let unbegun = self.begin(claimed).await;
        let deadline = self.publisher.deadline().min(self.settings.lease / 2);
        let mut sending: Vec<BoxFuture<'_, Fate>> = Vec::with_capacity(claimed.len());
        for row in claimed {
            sending.push(self.send_one(row, &unbegun, deadline).boxed());
        }
        join_all(sending).await
    }

    async fn send_one(
        &self,
        row: &Claimed,
        unbegun: &BTreeMap<&str, Fate>,
        deadline: Duration,
    ) -> Fate {
        let content = match &row.content {
            Ok(content) => content,
            Err(damaged) => return Fate::Failed(damaged.to_string()),
        };
        let group = |chord: &NewChord| unbegun.get(chord.group_id.as_str());
        if let Some(fate) = content.chords.iter().find_map(group) {
            return fate.clone();
        }
        match self.publisher.send_parcel(&content.parcel, deadline).await {
            Ok(()) => Fate::Sent,
            Err(error) => Fate::from(&error),
        }
    }

    /// Begins the chords whose members are sent, each once. Gives those that could not be begun.
    async fn begin<'a>(&self, claimed: &'a [Claimed]) -> BTreeMap<&'a str, Fate> {
        let readable = claimed.iter().filter_map(|row| row.content.as_ref().ok());
        let chords = readable.flat_map(|Content { chords, .. }| chords);
        let chords: BTreeMap<&str, &NewChord> =
            chords.map(|chord| (chord.group_id.as_str(), chord)).collect();
        let mut beginning: Vec<BoxFuture<'a, Option<(&'a str, Fate)>>> = Vec::new();
        for (group, chord) in chords {
            let results = Arc::clone(&self.results);
            beginning
                .push(Box::pin(async move { Some((group, begin_one(&*results, chord).await?)) }));
        }
        let begun = futures::stream::iter(beginning).buffer_unordered(BEGINNING);
        begun.filter_map(std::future::ready).collect().await
    }

    /// Deletes what was sent first: should it die after that, nothing is sent twice.
    async fn settle(&self, claimed: &[Claimed], fates: &[Fate]) -> Result<Flushed, StoreError> {
        let rows = || claimed.iter().zip(fates);
        let ids = |wanted: fn(&Fate) -> bool| -> Vec<i64> {
            rows().filter(|(_, fate)| wanted(fate)).map(|(row, _)| row.id).collect()
        };
        let sent = ids(|fate| matches!(fate, Fate::Sent));
        if !sent.is_empty() {
            self.outbox.remove(&sent).await?;
        }
        let mut failed = 0;
        for (row, fate) in rows() {
            if let Fate::Failed(why) = fate {
                failed += 1;
                self.put_off(row, why).await?;
            }
        }
        let back = ids(|fate| matches!(fate, Fate::Suspect(_) | Fate::Away(_)));
        if !back.is_empty() {
            self.outbox.release(&back, &self.token).await?;
        }
        Ok(Flushed { sent: sent.len(), failed })
    }

    async fn put_off(&self, row: &Claimed, why: &str) -> Result<(), StoreError> {
        let wait = AGAIN.random_wait(row.attempts);
        let (id, task) = (&row.task_id, &row.task);
        if row.attempts == 0 {
            error!(
                task.id = %id, task.name = %task, error = %why, ?wait,
                "a staged task cannot be sent, trying again; see `celeriac outbox list`"
            );
        } else {
            warn!(
                task.id = %id, task.name = %task, error = %why, ?wait, attempts = row.attempts + 1,
                "a staged task still cannot be sent, trying again"
            );
        }
        self.outbox.put_off(row.id, &self.token, why, wait).await
    }

    fn pace(&self) -> Pace {
        Pace::new(usize::try_from(self.settings.batch).unwrap_or(usize::MAX))
    }

    /// Counts what is staged, now and then.
    async fn count(&self, counted: &mut Option<Instant>) {
        if counted.is_some_and(|at| at.elapsed() < COUNTING) {
            return;
        }
        match self.outbox.backlog().await {
            Ok(backlog) => self.status.sees(backlog),
            Err(error) => debug!(%error, "not counted what is staged"),
        }
        *counted = Some(Instant::now());
    }

    fn lost(&self, reason: String, wait: Duration) {
        if self.status.trouble().as_ref() != Some(&reason) {
            warn!(%reason, ?wait, "staged tasks are not sent for now, trying again");
        }
        self.status.troubled(Some(reason));
    }

    fn recovered(&self) {
        if self.status.troubled(None).is_some() {
            info!("staged tasks are sent again");
        }
    }
}

/// Begins a chord. Gives what its members are in for when that cannot be.
async fn begin_one(results: &dyn ResultBackend, chord: &NewChord) -> Option<Fate> {
    let Some(store) = results.chords() else {
        let why = "the result backend joins no chords: set `backend` in [results]";
        return Some(Fate::Failed(why.to_owned()));
    };
    // Also when the store is away: what needs no store goes on.
    let error = store.begin(chord).await.err()?;
    Some(Fate::Failed(format!("the chord is not begun: {error}")))
}
