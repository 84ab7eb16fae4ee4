//! A message on its way to the broker.

use super::Delivery;
use super::fields::{field, table};
use crate::ids::TaskId;
use crate::protocol::{Bytes, Format, HeaderValue};
use lapin::BasicProperties;
use std::collections::BTreeMap;

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
    /// Whether it is an error when no queue takes it.
    pub(crate) mandatory: bool,
}

impl RawMessage {
    /// A result on its way to the queue of whoever waits for it. Not kept on disk, and no error
    /// when the queue is gone: then nobody waits.
    pub fn reply(queue: &str, task_id: &TaskId, format: Format, body: Bytes) -> Self {
        let properties = BasicProperties::default()
            .with_content_type(format.content_type().into())
            .with_content_encoding(format.content_encoding().into())
            .with_correlation_id(task_id.as_str().into())
            .with_delivery_mode(1);
        Self {
            exchange: String::new(),
            routing_key: queue.to_owned(),
            properties,
            body,
            mandatory: false,
        }
    }

    /// The result of a member of a chord on its way to the queue where they are gathered. Kept on
    /// disk; an error when the queue is gone.
    pub fn part(queue: &str, task_id: &TaskId, format: Format, body: Bytes) -> Self {
        let reply = Self::reply(queue, task_id, format, body);
        Self { properties: reply.properties.with_delivery_mode(2), mandatory: true, ..reply }
    }

    /// An event, or several, as Celery's workers send them: not kept on disk, unless by a stream, and
    /// no error when nobody listens. `node` is who tells it.
    pub fn event(exchange: &str, routing_key: &str, node: &str, body: Bytes) -> Self {
        let headers = BTreeMap::from([("hostname".to_owned(), HeaderValue::from(node))]);
        let properties = BasicProperties::default()
            .with_content_type(Format::Json.content_type().into())
            .with_content_encoding(Format::Json.content_encoding().into())
            .with_priority(0)
            .with_headers(table(&headers))
            .with_delivery_mode(1);
        Self {
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            properties,
            body,
            mandatory: false,
        }
    }

    /// A record for a stream, in JSON: kept on disk, and an error when nothing takes it.
    pub fn record(exchange: &str, body: Bytes) -> Self {
        let properties = BasicProperties::default()
            .with_content_type(Format::Json.content_type().into())
            .with_delivery_mode(2);
        let (exchange, routing_key) = (exchange.to_owned(), String::new());
        Self { exchange, routing_key, properties, body, mandatory: true }
    }

    /// The same message, on its way through the delay ladder: it enters by the exchange `entry`
    /// and follows the keys in `bcc`.
    #[must_use]
    pub fn delayed(mut self, entry: String, bcc: Vec<String>) -> Self {
        let keys = HeaderValue::List(bcc.into_iter().map(HeaderValue::Text).collect());
        let mut headers = self.properties.headers().clone().unwrap_or_default();
        headers.insert("BCC".into(), field(&keys));
        self.properties = self.properties.with_headers(headers);
        self.exchange = entry;
        self
    }
}

impl From<&Delivery> for RawMessage {
    /// The message as it came, to be published to the same place.
    fn from(delivery: &Delivery) -> Self {
        Self {
            exchange: delivery.exchange.clone(),
            routing_key: delivery.routing_key.clone(),
            properties: delivery.properties.clone(),
            body: delivery.body.clone(),
            mandatory: true,
        }
    }
}
