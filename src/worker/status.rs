//! What a worker tells about itself, for health checks.

use crate::events::Events;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// A view of a running worker. Cloning is cheap; all clones see the same worker.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// use celeriac::prelude::*;
///
/// # let app = App::in_memory();
/// let worker = Worker::new(&app);
/// let status = worker.status.clone(); // for a health check, beside the worker that runs
/// assert!(status.is_alive() && !status.is_consuming());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Status {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    since: Instant,
    queues: RwLock<Vec<QueueStatus>>,
    paused: RwLock<BTreeSet<String>>,
    running: AtomicU64,
    finished: AtomicU64,
    events: OnceLock<Events>,
}

#[derive(Debug)]
struct QueueStatus {
    name: String,
    consuming: AtomicBool,
    /// Milliseconds after `since` at which its loop turned last.
    turned: AtomicU64,
    /// How many messages may be held of it.
    prefetch: AtomicU16,
    /// How remote control shows it.
    shape: serde_json::Value,
}

/// A loop that has not turned for so long hangs.
const HANGS: Duration = Duration::from_secs(15);

impl Status {
    pub(super) fn new(queues: &[String]) -> Self {
        let shared = Shared {
            since: Instant::now(),
            queues: RwLock::default(),
            paused: RwLock::default(),
            running: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            events: OnceLock::new(),
        };
        let status = Self { shared: Arc::new(shared) };
        queues.iter().for_each(|queue| status.consumes(queue, serde_json::Value::Null));
        status
    }

    /// The queues of this worker now, without those that are paused, and whether each is being
    /// consumed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// let status = Worker::new(&app).queues(["mail", "bulk"]).status.clone();
    /// for (queue, is_consumed) in status.queues() {
    ///     tracing::info!(queue, is_consumed);
    /// }
    /// assert_eq!(status.queues().len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn queues(&self) -> Vec<(String, bool)> {
        let consuming = |queue: &QueueStatus| queue.consuming.load(Ordering::Relaxed);
        self.read().iter().map(|queue| (queue.name.clone(), consuming(queue))).collect()
    }

    /// Whether every queue is being consumed.
    pub fn is_consuming(&self) -> bool {
        self.read().iter().all(|queue| queue.consuming.load(Ordering::Relaxed))
    }

    /// Whether the loops of the worker turn.
    pub fn is_alive(&self) -> bool {
        let now = self.elapsed();
        self.read().iter().all(|queue| {
            let turned = Duration::from_millis(queue.turned.load(Ordering::Relaxed));
            now.saturating_sub(turned) < HANGS
        })
    }

    /// How long it has been there.
    pub fn uptime(&self) -> Duration {
        self.elapsed()
    }

    /// How many messages may be held, of all queues together.
    pub(super) fn prefetch(&self) -> u64 {
        self.read().iter().map(|queue| u64::from(queue.prefetch.load(Ordering::Relaxed))).sum()
    }

    /// A queue is one of its queues from now on, and remote control shows it as `shape`.
    pub(super) fn consumes(&self, queue: &str, shape: serde_json::Value) {
        let mut queues = self.write();
        match queues.iter_mut().find(|known| known.name == queue) {
            Some(known) => known.shape = shape,
            None => queues.push(QueueStatus {
                name: queue.to_owned(),
                consuming: AtomicBool::new(false),
                turned: AtomicU64::new(self.now()),
                prefetch: AtomicU16::new(0),
                shape,
            }),
        }
    }

    /// Its queues as remote control shows them.
    pub(super) fn shapes(&self) -> serde_json::Value {
        self.read().iter().map(|queue| queue.shape.clone()).collect()
    }

    /// A queue is none of its queues any more.
    pub(super) fn leaves(&self, queue: &str) {
        self.write().retain(|known| known.name != queue);
    }

    /// Its queues that are paused: somebody wants that nobody consumes them.
    pub fn paused(&self) -> BTreeSet<String> {
        self.shared.paused.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_paused(&self, queues: BTreeSet<String>) {
        *self.shared.paused.write().unwrap_or_else(PoisonError::into_inner) = queues;
    }

    /// Attempts that run now.
    pub fn running(&self) -> u64 {
        self.shared.running.load(Ordering::Relaxed)
    }

    /// Attempts that have ended, however they did.
    pub fn finished(&self) -> u64 {
        self.shared.finished.load(Ordering::Relaxed)
    }

    /// What this worker tells monitors; `None` until it runs.
    pub fn events(&self) -> Option<&Events> {
        self.shared.events.get()
    }

    pub(super) fn tells(&self, events: Events) {
        // A worker runs once.
        let _ = self.shared.events.set(events);
    }

    pub(super) fn turned(&self, queue: &str, consuming: bool, prefetch: u16) {
        if let Some(status) = self.read().iter().find(|status| status.name == queue) {
            status.consuming.store(consuming, Ordering::Relaxed);
            status.turned.store(self.now(), Ordering::Relaxed);
            status.prefetch.store(prefetch, Ordering::Relaxed);
        }
    }

    pub(super) fn begun(&self) {
        self.shared.running.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) {
        self.shared.running.fetch_sub(1, Ordering::Relaxed);
        self.shared.finished.fetch_add(1, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.shared.since.elapsed()
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<QueueStatus>> {
        self.shared.queues.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<QueueStatus>> {
        self.shared.queues.write().unwrap_or_else(PoisonError::into_inner)
    }
}
