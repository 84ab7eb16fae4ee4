//! Metrics under the names of other exporters, so that dashboards and alerts of theirs go on showing
//! something on the day of the switch.
//!
//! Their series have a worker and the name of a task in their labels, which ours never have: so they
//! are counted only where they are asked for (`monitor.compat.metrics`), only so many have series of
//! their own, and those of a worker end ten minutes after it.

mod celery;
mod flower;

use super::change::Micros;
use super::gauges::Gauges;
use super::settings::Exporter;
use super::totals::{Took, own};
use crate::metrics::label;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What stands for all others, and for whoever sends tasks: those may be many, and are no workers.
const OTHER: &str = "_other";
const SENDER: &str = "generic";

/// The kinds of events.
const SENT: &str = "task-sent";
const FAILED: &str = "task-failed";

/// Events of one kind that one worker told in a batch, of tasks of one name in one queue.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) of: Of,
    /// As Celery calls it.
    pub(super) kind: &'static str,
    /// Of failures.
    pub(super) exception: Option<String>,
    pub(super) count: u64,
    pub(super) run: Took,
    /// How many more tasks the worker has that it has not begun.
    pub(super) prefetched: i64,
    /// How long the last one waited at its worker; zero once it has ended.
    pub(super) waited: Option<Micros>,
    /// When the last was told.
    pub(super) at: Micros,
}

/// Whose they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Of {
    pub(super) worker: String,
    pub(super) name: String,
    pub(super) queue: String,
}

/// What was counted for other exporters' names.
#[derive(Debug, Clone, Default)]
pub(super) struct Exporters {
    wanted: Vec<Exporter>,
    /// By whose they are, then by kind.
    events: BTreeMap<Of, Events>,
    /// Failures, by the exception's type too.
    failures: BTreeMap<(Of, String), u64>,
}

/// What was told of one worker's tasks of one name in one queue.
#[derive(Debug, Clone, Default)]
struct Events {
    counts: BTreeMap<&'static str, u64>,
    run: Took,
    prefetched: i64,
    waited: Micros,
    at: Micros,
}

impl Exporters {
    /// Whose names are wanted.
    pub(super) fn want(&mut self, wanted: &[Exporter]) {
        self.wanted = wanted.to_vec();
    }

    /// Counts what was told.
    pub(super) fn add(&mut self, told: &[Told]) {
        for it in told {
            let mut of = it.of.clone();
            if it.kind == SENT {
                SENDER.clone_into(&mut of.worker);
            }
            let events = own(&mut self.events, of.clone(), Of::other());
            *events.counts.entry(it.kind).or_default() += it.count;
            events.run.add_all(&it.run);
            // What it had before we looked is not known.
            events.prefetched = (events.prefetched + it.prefetched).max(0);
            events.waited = it.waited.unwrap_or(events.waited);
            events.at = events.at.max(it.at);
            if let Some(exception) = &it.exception {
                let other = (Of::other(), OTHER.to_owned());
                *own(&mut self.failures, (of, exception.clone()), other) += it.count;
            }
        }
    }

    /// Forgets workers that are not `known` any more and have told nothing since `since`.
    pub(super) fn forget(&mut self, known: &BTreeSet<&str>, since: Micros) {
        let stays = |of: &Of| of.is_for_many() || known.contains(of.worker.as_str());
        self.events.retain(|of, events| stays(of) || events.at > since);
        let events = &self.events;
        self.failures.retain(|(of, _), _| stays(of) || events.contains_key(of));
    }

    /// Writes all of them.
    pub(super) fn encode(&self, to: &mut DescriptorEncoder<'_>, gauges: &Gauges) -> fmt::Result {
        for exporter in [Exporter::CeleryExporter, Exporter::Flower] {
            if self.wanted.contains(&exporter) {
                match exporter {
                    Exporter::CeleryExporter => celery::encode(self, to, gauges)?,
                    Exporter::Flower => flower::encode(self, to, gauges)?,
                }
            }
        }
        Ok(())
    }
}

impl Of {
    fn other() -> Self {
        let [worker, name, queue] = [OTHER; 3].map(str::to_owned);
        Self { worker, name, queue }
    }

    fn is_for_many(&self) -> bool {
        self.worker == SENDER || self.worker == OTHER
    }
}

/// Names and values of labels.
type Labels = Vec<(&'static str, String)>;

fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    pairs.into_iter().map(|(name, value)| (name, label(value))).collect()
}

/// A counter with a value for each set of labels.
fn counters(
    to: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    values: impl IntoIterator<Item = (Labels, u64)>,
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in values {
        ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// A gauge with a value for each set of labels.
fn gauges(
    to: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    values: impl IntoIterator<Item = (Labels, f64)>,
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// A histogram with a value for each set of labels.
fn histograms(
    to: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    values: impl IntoIterator<Item = (Labels, Took)>,
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (labels, took) in values {
        let (sum, buckets) = took.buckets();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let mut metric = family.encode_family(&labels)?;
        metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    #[derive(Debug)]
    struct Shown(Exporters);

    impl Collector for Shown {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            self.0.encode(&mut encoder, &Gauges::default())
        }
    }

    fn told(worker: &str, kind: &'static str, prefetched: i64) -> Told {
        let of = Of { worker: worker.to_owned(), name: "add".to_owned(), queue: "q".to_owned() };
        let exception = (kind == FAILED).then(|| "E".to_owned());
        let mut run = Took::default();
        run.add(1_500_000);
        Told { of, kind, exception, count: 2, run, prefetched, waited: None, at: 100 }
    }

    fn shown(exporters: &Exporters) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Shown(exporters.clone())));
        let mut shown = String::new();
        text::encode(&mut shown, &registry).unwrap();
        shown
    }

    fn counted(told: &[Told]) -> Exporters {
        let mut exporters = Exporters::default();
        exporters.want(&[Exporter::CeleryExporter, Exporter::Flower]);
        exporters.add(told);
        exporters
    }

    #[test]
    fn each_exporter_has_its_own_names_and_labels() {
        let exporters = counted(&[
            told("a@h", "task-received", 2),
            told("a@h", FAILED, -1),
            told("b@h", FAILED, -5),
            told("sender@x", SENT, 0),
        ]);
        let shown = shown(&exporters);
        for line in [
            r#"celery_task_failed_total{name="add",hostname="h",exception="E",queue_name="q"} 4"#,
            r#"celery_task_succeeded_total{name="add",hostname="h",queue_name="q"} 0"#,
            r#"celery_task_sent_total{name="add",hostname="generic",queue_name="q"} 2"#,
            r#"celery_task_runtime_count{name="add",hostname="h",queue_name="q"} 3"#,
            r#"flower_events_total{worker="a@h",type="task-received",task="add"} 2"#,
            r#"flower_worker_prefetched_tasks{worker="a@h",task="add"} 1.0"#,
            r#"flower_worker_prefetched_tasks{worker="b@h",task="add"} 0.0"#,
        ] {
            assert!(shown.lines().any(|it| it == line), "{line} in\n{shown}");
        }
        assert_eq!(shown.matches("# TYPE celery_task_failed counter").count(), 1);
        let none = self::shown(&Exporters { wanted: Vec::new(), ..exporters });
        assert!(!none.contains("celery_") && !none.contains("flower_"), "{none}");
    }

    #[test]
    fn workers_that_are_gone_are_forgotten_and_many_share_a_series() {
        let mut exporters =
            counted(&[told("a@h", FAILED, 0), told("b@h", FAILED, 0), told("s", SENT, 0)]);
        exporters.forget(&BTreeSet::from(["b@h"]), 99);
        assert_eq!(exporters.events.len(), 3, "it told something of late");
        exporters.forget(&BTreeSet::from(["b@h"]), 100);
        let workers: Vec<_> = exporters.events.keys().map(|of| of.worker.as_str()).collect();
        assert_eq!(workers, ["b@h", SENDER]);
        assert_eq!(exporters.failures.len(), 1);
        let many: Vec<_> = (0..2_000).map(|it| told(&format!("w{it}@h"), FAILED, 0)).collect();
        exporters.add(&many);
        assert!(exporters.events.len() <= 501 && exporters.events.contains_key(&Of::other()));
    }
}
