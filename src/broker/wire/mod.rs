//! Envelopes as AMQP properties and header tables.
//!
//! Reading is as tolerant as Celery's worker where that harms nobody (a number for a truth value, a
//! display text of another type), and otherwise says which header is wrong. Writing is sparse: a
//! header only when it says something, which halves the cost of a message for the broker and for
//! every reader (see `docs/decisions/0003-sparse-headers.md`).

mod read;
#[cfg(test)]
mod tests;
mod write;

use super::{Delivery, RawMessage};
use crate::protocol::{Bytes, EncodeError, Envelope, HeaderValue, Limits, Properties, Unreadable};
use std::collections::BTreeMap;

impl Delivery {
    /// Reads the message as a task. The delivery keeps it as it came, for the archive.
    ///
    /// # Errors
    ///
    /// When a header has a type or value that it cannot have, or the message is no task. The body
    /// is looked into later, by [`crate::protocol::Body::parse`].
    pub fn envelope(&self, limits: &Limits) -> Result<Envelope, Unreadable> {
        read::read(&self.properties, self.body.clone(), limits)
    }
}

impl RawMessage {
    /// Reads the message as a task.
    ///
    /// # Errors
    ///
    /// As [`Delivery::envelope`].
    pub fn envelope(&self, limits: &Limits) -> Result<Envelope, Unreadable> {
        read::read(&self.properties, self.body.clone(), limits)
    }

    /// The properties that we know.
    pub fn properties(&self) -> Properties {
        read::read_properties(&self.properties)
    }

    /// A message of which nothing needs to be a task.
    ///
    /// # Errors
    ///
    /// When a property is longer than AMQP's 255 bytes.
    pub fn try_from_parts(
        exchange: impl Into<String>,
        routing_key: impl Into<String>,
        properties: &Properties,
        headers: BTreeMap<String, HeaderValue>,
        body: Bytes,
    ) -> Result<Self, EncodeError> {
        let message = Self {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            properties: write::write_properties(properties)?,
            body,
            mandatory: true,
        };
        Ok(message.with_headers(headers))
    }

    /// An envelope on its way to an exchange.
    ///
    /// # Errors
    ///
    /// When a property or the name of a header is longer than AMQP's 255 bytes.
    pub fn try_new(
        exchange: impl Into<String>,
        routing_key: impl Into<String>,
        envelope: &Envelope,
    ) -> Result<Self, EncodeError> {
        Ok(Self {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            properties: write::write(envelope)?,
            body: envelope.body.clone(),
            mandatory: true,
        })
    }
}
