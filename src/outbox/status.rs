//! What a relay tells about itself, for health checks and metrics.

use super::store::Backlog;
use crate::metrics::{counter, gauge};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A view of a running relay. Cloning is cheap; all clones see the same one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::outbox::{Outbox};
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
/// let status = relay.status().clone();
/// relay.flush().await?;
/// assert_eq!((status.sent(), status.failed(), status.trouble()), (0, 0, None));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Status {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    sent: AtomicU64,
    failed: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    backlog: Backlog,
    trouble: Option<String>,
}

impl Status {
    /// Tasks that the broker has confirmed.
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
    /// # let status = relay.status().clone();
    /// for user in 1..=3 {
    ///     drop(welcome(user).stage(&app, &mut *database.acquire().await?).await?);
    /// }
    /// relay.flush().await?;
    /// assert_eq!(status.sent(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// How often a task could not be sent.
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
    /// # let status = relay.status().clone();
    /// drop(welcome(42).queue("mial").stage(&app, &mut *database.acquire().await?).await?);
    /// relay.flush().await?; // there is no such queue
    /// assert_eq!(status.failed(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// What was staged when it was counted last, which is done every few seconds.
    ///
    /// ```
    /// # use celeriac::outbox::Status;
    /// # let status = Status::default();
    /// let backlog = status.backlog();
    /// if backlog.oldest > std::time::Duration::from_secs(300) {
    ///     tracing::warn!(staged = backlog.staged, "no relay keeps up");
    /// }
    /// ```
    pub fn backlog(&self) -> Backlog {
        self.seen().backlog
    }

    /// Why nothing can be sent at the moment, if that is so.
    ///
    /// ```
    /// # use celeriac::outbox::Status;
    /// # let status = Status::default();
    /// if let Some(why) = status.trouble() {
    ///     tracing::warn!(why, "staged tasks wait");
    /// }
    /// ```
    pub fn trouble(&self) -> Option<String> {
        self.seen().trouble.clone()
    }

    pub(super) fn note(&self, sent: usize, failed: usize) {
        self.shared.sent.fetch_add(sent as u64, Ordering::Relaxed);
        self.shared.failed.fetch_add(failed as u64, Ordering::Relaxed);
    }

    pub(super) fn sees(&self, backlog: Backlog) {
        self.seen().backlog = backlog;
    }

    /// Notes why nothing can be sent, or that it can. Says what it was before.
    pub(super) fn troubled(&self, by: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.seen().trouble, by)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program that has metrics of its own registers a status with them.
impl Collector for Status {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        let help = "Staged tasks that the broker has confirmed";
        counter(to, "celeriac_outbox_sent", help, self.sent())?;
        let help = "How often a staged task could not be sent";
        counter(to, "celeriac_outbox_failed", help, self.failed())?;
        let Backlog { staged, failing, oldest } = self.backlog();
        gauge(to, "celeriac_outbox_staged", "Staged tasks that are not sent yet", staged as f64)?;
        let help = "Staged tasks that could not be sent and are tried again";
        gauge(to, "celeriac_outbox_failing", help, failing as f64)?;
        let help = "How long the oldest staged task waits";
        gauge(to, "celeriac_outbox_oldest_seconds", help, oldest.as_secs_f64())
    }
}
