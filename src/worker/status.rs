//! What a worker tells about itself, for health checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A view of a running worker. Cloning is cheap; all clones see the same worker.
#[derive(Debug, Clone)]
pub struct Status {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    since: Instant,
    queues: Vec<QueueStatus>,
    running: AtomicU64,
    finished: AtomicU64,
}

#[derive(Debug)]
struct QueueStatus {
    name: String,
    consuming: AtomicBool,
    /// Milliseconds after `since` at which its loop turned last.
    turned: AtomicU64,
}

/// A loop that has not turned for so long hangs.
const HANGS: Duration = Duration::from_secs(15);

impl Status {
    pub(super) fn new(queues: &[String]) -> Self {
        let status = |name: &String| QueueStatus {
            name: name.clone(),
            consuming: AtomicBool::new(false),
            turned: AtomicU64::new(0),
        };
        let shared = Shared {
            since: Instant::now(),
            queues: queues.iter().map(status).collect(),
            running: AtomicU64::new(0),
            finished: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The queues of this worker, and whether each is being consumed.
    pub fn queues(&self) -> impl Iterator<Item = (&str, bool)> {
        let queues = self.shared.queues.iter();
        queues.map(|queue| (queue.name.as_str(), queue.consuming.load(Ordering::Relaxed)))
    }

    /// Whether every queue is being consumed.
    pub fn is_consuming(&self) -> bool {
        self.queues().all(|(_, consuming)| consuming)
    }

    /// Whether the loops of the worker turn.
    pub fn is_alive(&self) -> bool {
        let now = self.elapsed();
        self.shared.queues.iter().all(|queue| {
            let turned = Duration::from_millis(queue.turned.load(Ordering::Relaxed));
            now.saturating_sub(turned) < HANGS
        })
    }

    /// Attempts that run now.
    pub fn running(&self) -> u64 {
        self.shared.running.load(Ordering::Relaxed)
    }

    /// Attempts that have ended, however they did.
    pub fn finished(&self) -> u64 {
        self.shared.finished.load(Ordering::Relaxed)
    }

    pub(super) fn turned(&self, queue: &str, consuming: bool) {
        let now = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(status) = self.shared.queues.iter().find(|status| status.name == queue) {
            status.consuming.store(consuming, Ordering::Relaxed);
            status.turned.store(now, Ordering::Relaxed);
        }
    }

    pub(super) fn begun(&self) {
        self.shared.running.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) {
        self.shared.running.fetch_sub(1, Ordering::Relaxed);
        self.shared.finished.fetch_add(1, Ordering::Relaxed);
    }

    fn elapsed(&self) -> Duration {
        self.shared.since.elapsed()
    }
}
