//! The message as a value: Celery's message protocol, version 2, without any IO.
//!
//! An [`Envelope`] is what travels: AMQP properties, headers and a body that is kept as bytes. The
//! body is looked into only as far as needed ([`Body::parse`] finds its three parts without
//! building values), so that a message that is passed on, retried or archived keeps exactly the
//! bytes its sender wrote. [`crate::broker`] turns envelopes into AMQP frames and back.

mod body;
mod headers;
mod value;

pub use body::Body;
pub use headers::{Headers, TimeLimits, header};
pub use value::HeaderValue;

/// One message: what AMQP carries around the body, what Celery carries in headers, and the body.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// AMQP's own properties.
    pub properties: Properties,
    /// The header table.
    pub headers: Headers,
    /// The body as sent: possibly compressed, encoded as `properties.content_type` says.
    pub body: Vec<u8>,
}

/// The AMQP properties that mean something to a task message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Properties {
    /// MIME type of the uncompressed body.
    pub content_type: Option<String>,
    /// `utf-8` or `binary`.
    pub content_encoding: Option<String>,
    /// 0 to 255; what it means depends on the queue.
    pub priority: Option<u8>,
    /// The task id.
    pub correlation_id: Option<String>,
    /// The queue that wants the result, on the default exchange.
    pub reply_to: Option<String>,
    /// After this many milliseconds in a queue RabbitMQ drops or dead-letters the message.
    pub expiration: Option<u64>,
    /// Identifies one publication; we use the task id.
    pub message_id: Option<String>,
    /// Whether the broker keeps the message on disk (delivery mode 2).
    pub persistent: bool,
}
