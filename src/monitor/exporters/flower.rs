//! The names of Flower: per worker and task.

use super::super::change::Micros;
use super::super::gauges::Gauges;
use super::super::totals::Took;
use super::{Exporters, Labels, counters, gauges, histograms, labels};
use prometheus_client::encoding::DescriptorEncoder;
use std::collections::BTreeMap;
use std::fmt;

/// A worker's tasks of one name.
#[derive(Debug, Default)]
struct Of {
    run: Took,
    prefetched: i64,
    waited: Micros,
    at: Micros,
}

pub(super) fn encode(
    exporters: &Exporters,
    to: &mut DescriptorEncoder<'_>,
    known: &Gauges,
) -> fmt::Result {
    let mut events: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    let mut tasks: BTreeMap<(&str, &str), Of> = BTreeMap::new();
    for (of, told) in &exporters.events {
        for (kind, count) in &told.counts {
            *events.entry((&of.worker, kind, &of.name)).or_default() += count;
        }
        if of.worker == super::SENDER {
            continue;
        }
        let all = tasks.entry((&of.worker, &of.name)).or_default();
        all.run.add_all(&told.run);
        all.prefetched += told.prefetched;
        if told.at >= all.at {
            (all.waited, all.at) = (told.waited, told.at);
        }
    }
    let events = events.into_iter().map(|((worker, kind, name), count)| {
        (labels([("worker", worker), ("type", kind), ("task", name)]), count)
    });
    counters(to, ("flower_events", "Events of tasks"), events)?;
    let runs = tasks.iter().map(|(of, all)| (shown(of), all.run));
    histograms(to, ("flower_task_runtime_seconds", "How long tasks ran"), runs)?;
    let waited = tasks.iter().map(|(of, all)| (shown(of), all.waited as f64 / 1e6));
    let help = "How long the last task waited at its worker before it began";
    gauges(to, ("flower_task_prefetch_time_seconds", help), waited)?;
    let prefetched = tasks.iter().map(|(of, all)| (shown(of), all.prefetched as f64));
    let help = "Tasks that the worker has and has not begun";
    gauges(to, ("flower_worker_prefetched_tasks", help), prefetched)?;
    workers(to, known)
}

fn workers(to: &mut DescriptorEncoder<'_>, known: &Gauges) -> fmt::Result {
    let of = |name: &str| labels([("worker", name)]);
    let online =
        known.known_workers().map(|worker| (of(&worker.name), f64::from(u8::from(worker.is_up()))));
    gauges(to, ("flower_worker_online", "Whether the worker tells that it lives"), online)?;
    let running = known.known_workers().filter_map(|it| Some((of(&it.name), it.active? as f64)));
    let name = "flower_worker_number_of_currently_executing_tasks";
    gauges(to, (name, "Tasks that run at the worker"), running)
}

fn shown((worker, name): &(&str, &str)) -> Labels {
    labels([("worker", worker), ("task", name)])
}
