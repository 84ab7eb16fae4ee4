//! What a relay tells about itself, for health checks and metrics.

use super::store::Backlog;
use crate::metrics::{counter, gauge};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A view of a running relay. Cloning is cheap; all clones see the same one.
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
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// How often a task could not be sent.
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// What was staged when it was counted last, which is done every few seconds.
    pub fn backlog(&self) -> Backlog {
        self.seen().backlog
    }

    /// Why nothing can be sent at the moment, if that is so.
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
