//! What tasks came to since the monitor started, for Prometheus: how many of each name and queue ended
//! how, how long they waited and ran, with which exceptions they failed.
//!
//! Counted where steps are applied, so that each counts once, and what was told while the monitor was
//! away is counted when it is read. Counts begin at zero with the program, as Prometheus expects of
//! them. However many names there are, only so many have series of their own.

use super::change::Micros;
use super::exporters::Told;
use super::histogram::Histogram;
use super::state::State;
use crate::metrics::label;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use std::collections::BTreeMap;
use std::fmt;

/// So many pairs of a name and a queue, names, queues, and pairs of a name and an exception have
/// series of their own.
const SERIES: usize = 500;

/// What stands for all others.
const OTHER: &str = "_other";

/// What a batch of steps came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Batch {
    pub(super) turns: Vec<Turns>,
    pub(super) exceptions: Vec<Exceptions>,
    /// Nothing unless it is wanted.
    pub(super) told: Vec<Told>,
}

/// Turns of one kind.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Turns {
    /// Nothing where it is not known.
    pub(super) name: String,
    pub(super) queue: String,
    /// [`State::Started`], or how attempts ended.
    pub(super) state: State,
    pub(super) count: u64,
    pub(super) wait: Took,
    pub(super) run: Took,
}

/// Failures of tasks of one name with exceptions of one type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exceptions {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) count: u64,
}

/// How long things took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Took {
    pub(super) histogram: Histogram,
    pub(super) sum: Micros,
}

/// All of them since the start.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    /// By name and queue, then by how attempts ended.
    outcomes: BTreeMap<(String, String), BTreeMap<State, u64>>,
    /// By name.
    run: BTreeMap<String, Took>,
    /// By queue.
    wait: BTreeMap<String, Took>,
    /// By name and type.
    exceptions: BTreeMap<(String, String), u64>,
}

impl Took {
    /// Counts one.
    pub(super) fn add(&mut self, took: Micros) {
        self.histogram.add(took);
        self.sum = self.sum.saturating_add(took.max(0));
    }

    /// Counts all that `other` has counted.
    pub(super) fn add_all(&mut self, other: &Self) {
        self.histogram.add_all(&other.histogram);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// The sum in seconds, and how many lie below each bound but not below the one before.
    pub(super) fn buckets(&self) -> (f64, Vec<(f64, u64)>) {
        let bound = |to: Option<Micros>| to.map_or(f64::MAX, |to| to as f64 / 1e6);
        let buckets = self.histogram.all().map(|(to, count)| (bound(to), u64::from(count)));
        (self.sum as f64 / 1e6, buckets.collect())
    }
}

impl Totals {
    /// Adds what a batch came to.
    pub(super) fn add(&mut self, batch: &Batch) {
        for turns in &batch.turns {
            if turns.state == State::Started {
                own(&mut self.wait, turns.queue.clone(), OTHER.to_owned()).add_all(&turns.wait);
                continue;
            }
            let key = (turns.name.clone(), turns.queue.clone());
            let outcomes = own(&mut self.outcomes, key, (OTHER.to_owned(), OTHER.to_owned()));
            *outcomes.entry(turns.state).or_default() += turns.count;
            own(&mut self.run, turns.name.clone(), OTHER.to_owned()).add_all(&turns.run);
        }
        for it in &batch.exceptions {
            let key = (it.name.clone(), it.kind.clone());
            *own(&mut self.exceptions, key, (OTHER.to_owned(), OTHER.to_owned())) += it.count;
        }
    }

    /// Writes all of them.
    pub(super) fn encode(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Attempts that ended, by what they came to";
        let mut family = to.encode_descriptor("celeriac_tasks", help, None, MetricType::Counter)?;
        for ((name, queue), outcomes) in &self.outcomes {
            for (state, count) in outcomes {
                let outcome = state.as_str().to_lowercase();
                let labels = [("name", label(name)), ("queue", label(queue)), ("outcome", outcome)];
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        let (name, help) = ("celeriac_task_exceptions", "Failures for good, by exception");
        let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
        for ((name, kind), count) in &self.exceptions {
            let labels = [("name", label(name)), ("exception", label(kind))];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        let help = "How long attempts ran";
        histograms(to, "celeriac_task_run_seconds", help, "name", &self.run)?;
        let help = "How long tasks waited from when they were due to their first start";
        histograms(to, "celeriac_task_wait_seconds", help, "queue", &self.wait)
    }
}

/// A histogram for each value of one label.
pub(super) fn histograms(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    labelled: &str,
    all: &BTreeMap<String, Took>,
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (value, took) in all {
        let (sum, buckets) = took.buckets();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let labels = [(labelled, label(value))];
        let mut metric = family.encode_family(&labels)?;
        metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    }
    Ok(())
}

/// What belongs to `key`, or to all others once there are too many.
pub(super) fn own<K: Ord, V: Default>(all: &mut BTreeMap<K, V>, key: K, other: K) -> &mut V {
    let is_full = all.len() >= SERIES && !all.contains_key(&key);
    all.entry(if is_full { other } else { key }).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    #[derive(Debug)]
    struct Told(Totals);

    impl Collector for Told {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            self.0.encode(&mut encoder)
        }
    }

    fn turns(name: &str, state: State, run: Micros) -> Turns {
        let mut took = Took::default();
        took.add(run);
        let (name, queue) = (name.to_owned(), "mail".to_owned());
        let (wait, run) = (took, took);
        Turns { name, queue, state, count: 1, wait, run }
    }

    fn told(totals: Totals) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Told(totals)));
        let mut told = String::new();
        text::encode(&mut told, &registry).unwrap();
        told
    }

    #[test]
    fn what_is_counted_is_told_as_prometheus_reads_it() {
        let mut totals = Totals::default();
        let exceptions =
            vec![Exceptions { name: "a\"b".to_owned(), kind: "E".to_owned(), count: 2 }];
        let turns = vec![
            turns("a\"b", State::Started, 3_000),
            turns("a\"b", State::Failure, 1_500_000),
            turns("a\"b", State::Failure, i64::MAX),
        ];
        totals.add(&Batch { turns, exceptions, told: Vec::new() });
        let told = told(totals);
        for line in [
            r#"celeriac_tasks_total{name="a\"b",queue="mail",outcome="failure"} 2"#,
            r#"celeriac_task_exceptions_total{name="a\"b",exception="E"} 2"#,
            r#"celeriac_task_wait_seconds_bucket{le="0.002",queue="mail"} 0"#,
            r#"celeriac_task_wait_seconds_bucket{le="0.004",queue="mail"} 1"#,
            r#"celeriac_task_wait_seconds_sum{queue="mail"} 0.003"#,
            r#"celeriac_task_run_seconds_bucket{le="2.048",name="a\"b"} 1"#,
            r#"celeriac_task_run_seconds_bucket{le="+Inf",name="a\"b"} 2"#,
        ] {
            assert!(told.lines().any(|it| it == line), "{line} in\n{told}");
        }
    }

    #[test]
    fn more_names_than_that_share_one_series() {
        let mut totals = Totals::default();
        for number in 0..SERIES + 10 {
            let turns = vec![turns(&format!("n{number}"), State::Success, 1)];
            totals.add(&Batch { turns, ..Batch::default() });
        }
        assert_eq!(totals.run.len(), SERIES + 1);
        let other = (OTHER.to_owned(), OTHER.to_owned());
        assert_eq!(totals.outcomes[&other][&State::Success], 10);
    }
}
