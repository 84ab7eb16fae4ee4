//! What is known of the connections, as Prometheus reads it.

use super::Broker;
use crate::metrics::{counter, truth};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt;

impl Collector for Broker {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        let help = "Whether all connections to the broker are up";
        truth(to, "celeriac_broker_up", help, self.is_connected())?;
        let help = "Whether the broker takes no publications";
        truth(to, "celeriac_broker_blocked", help, self.blocked().is_some())?;
        let help = "Publishing connections made after the first";
        counter(to, "celeriac_broker_reconnects", help, self.generation().saturating_sub(1))
    }
}
