//! The message as a value: Celery's message protocol, version 2, without any IO.
//!
//! An [`Envelope`] is what travels: AMQP properties, headers and a body that is kept as bytes. The
//! body is looked into only as far as needed ([`Body::parse`] finds its three parts without
//! building values), so that a message that is passed on, retried or archived keeps exactly the
//! bytes its sender wrote. [`crate::broker`] turns envelopes into AMQP frames and back.

mod body;
#[cfg(test)]
pub(crate) mod captures;
mod compression;
mod delayed;
mod embed;
mod format;
pub(crate) mod header_json;
mod headers;
mod kept;
mod limits;
mod list;
mod repr;
mod result;
mod scan;
mod signature;
mod signed;
mod state;
mod steps;
mod unreadable;
mod v1;
mod value;

pub use body::{ArgumentReader, Body, ListReader, Unread};
pub use bytes::Bytes;
pub use compression::Compression;
pub use delayed::delayed_routing_key;
pub use embed::Embed;
pub use format::{DecodeError, EncodeError, Format};
pub use headers::{Headers, TimeLimits, header, is_broker_header, is_death_header};
pub use kept::Member;
pub use limits::Limits;
pub use repr::{Repr, repr};
pub use result::{Raw, StoredException, StoredResult};
/// A value in a body or a signature. It holds whatever JSON and MessagePack can hold, binary
/// included.
pub use rmpv::Value;
pub use signature::Signature;
pub use signed::Signed;
pub use state::TaskState;
pub use steps::Steps;
pub use unreadable::Unreadable;
pub use v1::upgrade_v1;
pub use value::HeaderValue;

use serde::{Deserialize, Serialize};

/// One message: what AMQP carries around the body, what Celery carries in headers, and the body.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// AMQP's own properties.
    pub properties: Properties,
    /// The header table.
    pub headers: Headers,
    /// The body as sent: possibly compressed, encoded as `properties.content_type` says. Cloning
    /// it shares the bytes.
    pub body: Bytes,
}

/// The AMQP properties that mean something to a task message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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
    /// Seconds since 1970, when the sender set them.
    pub timestamp: Option<u64>,
    /// The sender's word for the kind of message; Celery sends none.
    pub kind: Option<String>,
    /// The sender's word for itself; Celery sends none.
    pub app_id: Option<String>,
}
