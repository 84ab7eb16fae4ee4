//! The names of `celery-exporter`: per task, machine and queue.

use super::super::gauges::Gauges;
use super::super::totals::Took;
use super::{
    Exporters, FAILED, Labels, OTHER, Of, SENDER, SENT, counters, gauges, histograms, labels,
};
use prometheus_client::encoding::DescriptorEncoder;
use std::collections::BTreeMap;
use std::fmt;

/// Kinds of events, the metric of each, and what it says.
const KINDS: [(&str, &str, &str); 6] = [
    ("task-received", "celery_task_received", "Tasks that workers received"),
    ("task-started", "celery_task_started", "Tasks that workers began"),
    ("task-succeeded", "celery_task_succeeded", "Tasks that succeeded"),
    ("task-rejected", "celery_task_rejected", "Tasks that workers rejected or gave back"),
    ("task-revoked", "celery_task_revoked", "Tasks that were revoked or expired"),
    ("task-retried", "celery_task_retried", "Attempts after which a task is tried again"),
];

/// A task's name, a machine and a queue.
type Place<'a> = (&'a str, &'a str, &'a str);

pub(super) fn encode(
    exporters: &Exporters,
    to: &mut DescriptorEncoder<'_>,
    known: &Gauges,
) -> fmt::Result {
    tasks(exporters, to)?;
    workers(to, known)?;
    queues(to, known)
}

fn tasks(exporters: &Exporters, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut counts: BTreeMap<Place<'_>, BTreeMap<&str, u64>> = BTreeMap::new();
    let mut runs: BTreeMap<Place<'_>, Took> = BTreeMap::new();
    for (of, events) in &exporters.events {
        let place = place(of);
        let all = counts.entry(place).or_default();
        for (kind, count) in &events.counts {
            *all.entry(kind).or_default() += count;
        }
        if of.worker != SENDER {
            runs.entry(place).or_default().add_all(&events.run);
        }
    }
    let of_workers = || counts.iter().filter(|((_, host, _), _)| *host != SENDER);
    for (kind, name, help) in KINDS {
        let counts = of_workers()
            .map(|(place, all)| (shown(*place), all.get(kind).copied().unwrap_or_default()));
        counters(to, (name, help), counts)?;
    }
    let sent = counts.iter().filter_map(|(place, all)| Some((shown(*place), *all.get(SENT)?)));
    counters(to, ("celery_task_sent", "Tasks that were sent"), sent)?;
    let mut failed: BTreeMap<(Place<'_>, &str), u64> = BTreeMap::new();
    for ((of, exception), count) in &exporters.failures {
        *failed.entry((place(of), exception)).or_default() += count;
    }
    // So that a rate is zero and not unknown where nothing has failed yet.
    for (place, _) in of_workers().filter(|(_, all)| !all.contains_key(FAILED)) {
        failed.entry((*place, "")).or_default();
    }
    let failed = failed.into_iter().map(|(((name, host, queue), exception), count)| {
        let pairs = [("name", name), ("hostname", host), ("exception", exception)];
        let mut labels = labels(pairs);
        labels.extend(super::labels([("queue_name", queue)]));
        (labels, count)
    });
    counters(to, ("celery_task_failed", "Tasks that failed for good"), failed)?;
    let runs = runs.into_iter().map(|(place, run)| (shown(place), run));
    histograms(to, ("celery_task_runtime", "How long tasks ran, in seconds"), runs)
}

fn workers(to: &mut DescriptorEncoder<'_>, known: &Gauges) -> fmt::Result {
    // Several nodes of one machine are one here.
    let mut hosts: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for worker in known.known_workers() {
        let (up, active) = hosts.entry(host(&worker.name)).or_default();
        *up = up.max(f64::from(u8::from(worker.is_up())));
        *active += worker.active.filter(|_| worker.is_up()).unwrap_or_default() as f64;
    }
    let each = |pick: fn(&(f64, f64)) -> f64| {
        hosts.iter().map(move |(host, it)| (labels([("hostname", host)]), pick(it)))
    };
    gauges(to, ("celery_worker_up", "Whether a worker tells that it lives"), each(|it| it.0))?;
    let active = ("celery_worker_tasks_active", "Tasks that run at the worker");
    gauges(to, active, each(|it| it.1))
}

fn queues(to: &mut DescriptorEncoder<'_>, known: &Gauges) -> fmt::Result {
    let queues = known.seen_queues();
    let depths = || queues.iter().filter_map(|(name, seen)| Some((name, seen.depth?)));
    let of = |name: &str| labels([("queue_name", name)]);
    let lengths = depths().map(|(name, depth)| (of(name), f64::from(depth.ready)));
    gauges(to, ("celery_queue_length", "Messages that wait in the queue"), lengths)?;
    let consumers = depths().map(|(name, depth)| (of(name), f64::from(depth.consumers)));
    gauges(to, ("celery_active_consumer_count", "Consumers of the queue"), consumers)?;
    let workers = queues.iter().map(|(name, seen)| (of(name), seen.workers.len() as f64));
    gauges(to, ("celery_active_worker_count", "Workers that consume the queue"), workers)?;
    let processes =
        queues.iter().filter_map(|(name, seen)| Some((of(name), seen.processes? as f64)));
    let help = "Processes in the pools of the workers that consume the queue";
    gauges(to, ("celery_active_process_count", help), processes)
}

fn shown((name, host, queue): Place<'_>) -> Labels {
    labels([("name", name), ("hostname", host), ("queue_name", queue)])
}

fn place(of: &Of) -> Place<'_> {
    (&of.name, host(&of.worker), &of.queue)
}

/// The machine of a node: what stands behind the `@`.
fn host(node: &str) -> &str {
    node.split_once('@').map_or(if node.is_empty() { OTHER } else { node }, |(_, host)| host)
}
