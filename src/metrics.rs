//! How counts are written for Prometheus, the same in every service.

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;

/// Something that goes up and down.
pub(crate) fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: f64,
) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}

/// Something that is true or not: 1 or 0.
pub(crate) fn truth(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    holds: bool,
) -> fmt::Result {
    gauge(encoder, name, help, f64::from(u8::from(holds)))
}

/// Something that only grows; `_total` comes behind its name.
pub(crate) fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(metric)
}

/// A text as the value of a label: the encoder writes it between quotes as it is.
pub(crate) fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn what_would_end_a_label_early_is_escaped() {
        assert_eq!(label("mail"), "mail");
        assert_eq!(label("a \"b\"\\\nc"), r#"a \"b\"\\\nc"#);
    }
}
