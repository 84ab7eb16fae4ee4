//! What the monitor knows of the whole system now, for Prometheus: looked at every few seconds, so that
//! a scrape asks nobody.

use super::change::{Micros, micros};
use super::depths::{Depths, EVERY, Seen};
use super::index::workers::WorkerRow;
use super::index::{self, Index, IndexError};
use super::state::State;
use super::status::Status;
use crate::clock::Clock;
use crate::control::{Paused, Pauses};
use crate::metrics::{gauge, label};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A worker that has been away for longer has no series any more.
const FORGOTTEN: Micros = 600_000_000;

/// So many workers have series.
const WORKERS: usize = 500;

/// What was seen last.
#[derive(Debug, Clone, Default)]
pub(super) struct Gauges {
    tasks: BTreeMap<State, i64>,
    dead: BTreeMap<String, i64>,
    workers: Vec<WorkerRow>,
    index_bytes: u64,
    depths: Depths,
    pauses: Pauses,
    /// How many seconds the oldest task of a queue has been due.
    due: BTreeMap<String, f64>,
}

impl Gauges {
    /// Looks again and again, and tells `status`. Never ends.
    ///
    /// # Errors
    /// When the index fails.
    pub(super) async fn watch(
        index: &Index,
        depths: &Depths,
        paused: &Paused,
        (status, clock): (&Status, &Arc<dyn Clock>),
    ) -> Result<(), IndexError> {
        let mut every = tokio::time::interval(EVERY);
        loop {
            every.tick().await;
            let (seen, now) = (depths.all(), micros(clock.now()));
            let read = index.read(move |index| {
                let dead = index::dead::states(index)?.into_iter().collect();
                let due = due(index, seen, now)?;
                Ok((index::tasks::states(index)?, dead, index::workers::all(index)?, due))
            });
            // A question that takes too long is asked again.
            let Ok((tasks, dead, workers, due)) = read.await else { continue };
            let (index_bytes, depths, pauses) = (index.bytes(), depths.clone(), paused.now());
            status.set_gauges(Self { tasks, dead, workers, index_bytes, depths, pauses, due });
        }
    }

    fn tasks(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Tasks in the history, by state";
        let all = State::ALL.map(|state| {
            (state.as_str().to_lowercase(), self.tasks.get(&state).copied().unwrap_or_default())
        });
        family(to, "celeriac_store_tasks", help, "state", all)
    }

    fn queues(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let queues = self.depths.all();
        let known = || queues.iter().filter_map(|(name, seen)| Some((name.clone(), seen.depth?)));
        let help = "Messages that wait in the queue";
        let ready = known().map(|(name, depth)| (name, i64::from(depth.ready)));
        family(to, "celeriac_queue_ready", help, "queue", ready)?;
        let help = "Consumers of the queue";
        let consumers = known().map(|(name, depth)| (name, i64::from(depth.consumers)));
        family(to, "celeriac_queue_consumers", help, "queue", consumers)?;
        let help = "Whether somebody wants that nobody consumes the queue";
        let paused =
            queues.keys().map(|name| (name.clone(), i64::from(self.pauses.of(name).is_some())));
        family(to, "celeriac_queue_paused", help, "queue", paused)?;
        let (name, help) =
            ("celeriac_queue_oldest_due_seconds", "How long its oldest task has been due");
        let mut due = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (queue, seconds) in &self.due {
            ConstGauge::new(*seconds).encode(due.encode_family(&[("queue", label(queue))])?)?;
        }
        Ok(())
    }

    /// What was told last.
    fn latest(&self) -> Micros {
        self.workers.iter().map(|worker| worker.seen).max().unwrap_or_default()
    }

    /// When who has told nothing since has no series any more.
    pub(super) fn forgotten(&self) -> Micros {
        self.latest() - FORGOTTEN
    }

    /// Workers that have series.
    pub(super) fn known_workers(&self) -> impl Iterator<Item = &WorkerRow> {
        let forgotten = self.forgotten();
        self.workers.iter().filter(move |worker| worker.seen > forgotten).take(WORKERS)
    }

    /// Queues, as they were seen last.
    pub(super) fn seen_queues(&self) -> BTreeMap<String, Seen> {
        self.depths.all()
    }

    fn workers(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let up = self.known_workers().map(|it| (it.name.clone(), i64::from(it.is_up())));
        family(to, "celeriac_worker_up", "Whether the worker tells that it lives", "worker", up)
    }
}

impl Gauges {
    /// Writes all of them.
    pub(super) fn encode(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        self.tasks(to)?;
        self.queues(to)?;
        self.workers(to)?;
        let help = "Dead letters, by what became of them";
        let dead = self.dead.iter().map(|(state, count)| (state.clone(), *count));
        family(to, "celeriac_dead_letters", help, "state", dead)?;
        gauge(to, "celeriac_store_bytes", "The index on the disk", self.index_bytes as f64)
    }
}

/// How long the oldest task has been due of each queue where that is known.
fn due(
    index: &Connection,
    seen: BTreeMap<String, Seen>,
    now: Micros,
) -> Result<BTreeMap<String, f64>, IndexError> {
    let mut all = BTreeMap::new();
    for (queue, seen) in seen {
        let ready = seen.depth.map_or(0, |depth| depth.ready);
        if let Some(due) = index::due::oldest(index, &queue, ready, now)? {
            all.insert(queue, (now - due).max(0) as f64 / 1e6);
        }
    }
    Ok(all)
}

/// A gauge with a value for each value of one label.
fn family(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    labelled: &str,
    values: impl IntoIterator<Item = (String, i64)>,
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (value, number) in values {
        let labels = [(labelled, label(&value))];
        ConstGauge::new(number).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
