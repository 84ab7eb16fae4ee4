//! What a scheduler counts, as Prometheus reads it.

use super::status::{Count, Status};
use crate::metrics::{gauge, label, truth};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::time::SystemTime;

/// How each count is called in `celeriac_schedule_runs_total`.
const OUTCOMES: [(Count, &str); 6] = [
    (Count::Sent, "sent"),
    (Count::Missed, "missed"),
    (Count::Skipped, "skipped"),
    (Count::Failed, "failed"),
    (Count::Unconfirmed, "unconfirmed"),
    (Count::Stopped, "stopped"),
];

/// A program that has metrics of its own registers a status with them:
/// `registry.register_collector(Box::new(scheduler.status.clone()))`.
impl Collector for Status {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        truth(to, "celeriac_scheduler_leader", "Whether this scheduler leads", self.leads())?;
        let help = "Whether it leads or stands in line at the broker";
        truth(to, "celeriac_scheduler_in_contact", help, self.is_in_contact())?;
        let term = self.term() as f64;
        gauge(to, "celeriac_scheduler_term", "Its last term as leader", term)?;
        let entries = self.schedules() as f64;
        gauge(to, "celeriac_scheduler_entries", "Schedules it has as leader", entries)?;
        if let Some(next) = self.next() {
            let help = "When the next run is due";
            gauge(to, "celeriac_scheduler_next_timestamp_seconds", help, seconds(next))?;
        }
        self.runs(&mut encoder)?;
        self.last(&mut encoder)?;
        self.late(&mut encoder)
    }
}

impl Status {
    fn runs(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (name, help) = ("celeriac_schedule_runs", "Runs by what became of them");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (schedule, tally) in self.by_schedule() {
            let schedule = label(&schedule);
            for (count, outcome) in OUTCOMES {
                let labels = [("schedule", schedule.as_str()), ("outcome", outcome)];
                let counter = ConstCounter::new(tally.counts[count as usize]);
                counter.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn last(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let name = "celeriac_schedule_last_timestamp_seconds";
        let help = "When the last run that was sent was due";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (schedule, tally) in self.by_schedule() {
            let schedule = label(&schedule);
            if let Some(last) = tally.last {
                let gauge = ConstGauge::new(seconds(last));
                gauge.encode(family.encode_family(&[("schedule", schedule.as_str())])?)?;
            }
        }
        Ok(())
    }

    fn late(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let bound = |millis: Option<u64>| millis.map_or(f64::MAX, |millis| millis as f64 / 1000.0);
        let buckets: Vec<_> = self.lateness().map(|(at, count)| (bound(at), count)).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.lateness_sum().as_secs_f64();
        let (name, help) = ("celeriac_schedule_late_seconds", "How late runs were confirmed");
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;
    use std::time::Duration;

    #[test]
    fn what_is_counted_is_told_as_prometheus_reads_it() {
        let status = Status::default();
        let due = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        status.began(3, 2);
        status.waits_for(Some(due));
        status.sent("a \"quoted\" name", due, Duration::from_millis(4));
        status.sent("mail", due, Duration::from_millis(90_000));
        status.add(Count::Skipped, "mail", 2);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(status));
        let mut told = String::new();
        text::encode(&mut told, &registry).unwrap();
        for line in [
            "celeriac_scheduler_leader 1.0",
            "celeriac_scheduler_entries 2.0",
            "celeriac_scheduler_next_timestamp_seconds 1800000000.0",
            "celeriac_schedule_runs_total{schedule=\"mail\",outcome=\"skipped\"} 2",
            r#"celeriac_schedule_runs_total{schedule="a \"quoted\" name",outcome="sent"} 1"#,
            "celeriac_schedule_last_timestamp_seconds{schedule=\"mail\"} 1800000000.0",
            "celeriac_schedule_late_seconds_bucket{le=\"0.002\"} 0",
            "celeriac_schedule_late_seconds_bucket{le=\"0.005\"} 1",
            "celeriac_schedule_late_seconds_bucket{le=\"+Inf\"} 2",
            "celeriac_schedule_late_seconds_sum 90.004",
        ] {
            assert!(told.lines().any(|told| told == line), "{line}:\n{told}");
        }
    }
}
