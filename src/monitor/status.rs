//! How the monitor is doing: what its health, its pages and its metrics say of it.

use super::change::{Micros, micros, micros_in};
use super::exporters::Exporters;
use super::gauges::Gauges;
use super::settings::Exporter;
use super::totals::{Batch, Took, Totals, histograms};
use crate::metrics::{counter, gauge, truth};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;

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
    /// The same under names of other programs.
    exporters: Mutex<Exporters>,
    /// How long answers took to begin, by route.
    answers: Mutex<BTreeMap<String, Took>>,
    /// One for each page that may be live, and how many there are of them.
    streams: Mutex<Option<(Arc<Semaphore>, u32)>>,
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
        let known = gauges.known_workers().map(|worker| worker.name.as_str()).collect();
        self.exporters().forget(&known, gauges.forgotten());
        *self.0.gauges.lock().unwrap_or_else(PoisonError::into_inner) = gauges;
    }

    /// Tells under these programs' names too.
    pub(super) fn want(&self, exporters: &[Exporter]) {
        self.exporters().want(exporters);
    }

    /// An answer of `route` took so long to begin.
    pub(super) fn answered(&self, route: &str, took: Duration) {
        let mut answers = self.0.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let took = micros_in(took);
        match answers.get_mut(route) {
            Some(known) => known.add(took),
            None => answers.entry(route.to_owned()).or_default().add(took),
        }
    }

    /// Live pages take one of these each, of which there are so many.
    pub(super) fn set_streams(&self, streams: Arc<Semaphore>, most: u32) {
        let mut kept = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((streams, most));
    }

    /// How many pages are live.
    fn streams(&self) -> u32 {
        let kept = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().map_or(0, |(free, most)| {
            most.saturating_sub(u32::try_from(free.available_permits()).unwrap_or(u32::MAX))
        })
    }

    fn exporters(&self) -> MutexGuard<'_, Exporters> {
        self.0.exporters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, batch: &Batch) {
        self.exporters().add(&batch.told);
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
        let exporters = self.exporters().clone();
        exporters.encode(to, &gauges)?;
        let answers = self.0.answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let help = "How long answers took to begin";
        histograms(to, "celeriac_http_request_seconds", help, "route", &answers)?;
        gauge(to, "celeriac_streams_open", "Pages that are live", self.streams().into())?;
        let totals = self.0.totals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        totals.encode(to)
    }
}
