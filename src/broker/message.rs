//! A message on its way to the broker.

use bytes::Bytes;
use lapin::BasicProperties;

/// A message with its address, ready to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct RawMessage {
    /// The exchange it is published to; empty for the default exchange.
    pub exchange: String,
    /// The routing key; on the default exchange the name of the queue.
    pub routing_key: String,
    /// The properties and headers.
    pub(crate) properties: BasicProperties,
    /// The body, as it goes over the wire.
    pub body: Bytes,
}
