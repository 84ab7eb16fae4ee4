//! How the monitor is doing: what its health, its pages and its metrics say of it.

use super::change::{Micros, micros};
use super::gauges::Gauges;
use super::totals::{Batch, Totals};
use crate::metrics::{counter, gauge, truth};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How a monitor is doing. Cloning is cheap; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reading: AtomicBool,
    /// Where pages are served, while they are.
    address: Mutex<Option<SocketAddr>>,
    /// Events that were applied.
    events: AtomicU64,
    /// Messages that were no events, and events that say nothing that we know.
    unreadable: AtomicU64,
    /// Messages that the stream no longer had when they were to be read.
    missed: AtomicU64,
    /// When the newest event was told that was applied.
    newest: AtomicI64,
    /// When the last batch was applied.
    applied: AtomicI64,
    /// What tasks came to.
    totals: Mutex<Totals>,
    /// What was seen last of everything else.
    gauges: Mutex<Gauges>,
}

impl Status {
    /// Whether the stream of events is being read.
    pub fn is_reading(&self) -> bool {
        self.0.reading.load(Ordering::Relaxed)
    }

    /// Where pages are served; `None` while they are not.
    pub fn address(&self) -> Option<SocketAddr> {
        *self.0.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events that were applied since the monitor started.
    pub fn events(&self) -> u64 {
        self.0.events.load(Ordering::Relaxed)
    }

    /// Messages in the stream that were no events.
    pub fn unreadable(&self) -> u64 {
        self.0.unreadable.load(Ordering::Relaxed)
    }

    /// Messages that were gone from the stream before this monitor read them: it was away for longer
    /// than the stream keeps them.
    pub fn missed(&self) -> u64 {
        self.0.missed.load(Ordering::Relaxed)
    }

    /// How old the newest event was when it was applied: how far the pages are behind. Clocks of
    /// other machines are part of it. `None` before the first.
    pub fn lag(&self) -> Option<Duration> {
        let newest = self.0.newest.load(Ordering::Relaxed);
        let applied = self.0.applied.load(Ordering::Relaxed);
        (newest > 0).then(|| Duration::from_micros(applied.saturating_sub(newest).max(0) as u64))
    }

    pub(super) fn set_gauges(&self, gauges: Gauges) {
        *self.0.gauges.lock().unwrap_or_else(PoisonError::into_inner) = gauges;
    }

    pub(super) fn count(&self, batch: &Batch) {
        self.0.totals.lock().unwrap_or_else(PoisonError::into_inner).add(batch);
    }

    pub(super) fn set_reading(&self, reading: bool) {
        self.0.reading.store(reading, Ordering::Relaxed);
    }

    pub(super) fn set_address(&self, address: Option<SocketAddr>) {
        *self.0.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    pub(super) fn count_unreadable(&self) {
        self.0.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_missed(&self, messages: u64) {
        self.0.missed.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn applied(&self, events: usize, newest: Micros, now: SystemTime) {
        self.0.events.fetch_add(events as u64, Ordering::Relaxed);
        self.0.newest.store(newest, Ordering::Relaxed);
        self.0.applied.store(micros(now), Ordering::Relaxed);
    }
}

impl Collector for Status {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        counter(to, "celeriac_events", "Events that were taken into the index", self.events())?;
        let help = "Messages in the stream of events that were none";
        counter(to, "celeriac_event_decode_errors", help, self.unreadable())?;
        let help = "Messages that the stream of events no longer had when they were to be read";
        counter(to, "celeriac_events_missed", help, self.missed())?;
        if let Some(lag) = self.lag() {
            let help = "How old the newest event was when it was taken in";
            gauge(to, "celeriac_events_lag_seconds", help, lag.as_secs_f64())?;
        }
        truth(
            to,
            "celeriac_events_reading",
            "Whether the stream is being read",
            self.is_reading(),
        )?;
        let gauges = self.0.gauges.lock().unwrap_or_else(PoisonError::into_inner).clone();
        gauges.encode(to)?;
        let totals = self.0.totals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        totals.encode(to)
    }
}
