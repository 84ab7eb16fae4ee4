//! What a worker counts, as Prometheus reads it.

use super::status::Status;
use crate::metrics::{counter, gauge, label};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;

/// A program that has metrics of its own registers a status with them:
/// `registry.register_collector(Box::new(worker.status.clone()))`.
impl Collector for Status {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        let help = "Attempts that have ended, however they did";
        counter(to, "celeriac_worker_attempts", help, self.finished())?;
        let running = self.running() as f64;
        gauge(to, "celeriac_worker_slots_busy", "Attempts that run now", running)?;
        let (name, help) = ("celeriac_worker_consuming", "Whether the queue is being consumed");
        let mut queues = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (queue, consuming) in self.queues() {
            let gauge = ConstGauge::new(i64::from(consuming));
            gauge.encode(queues.encode_family(&[("queue", label(&queue))])?)?;
        }
        Ok(())
    }
}
