//! Looks at a message, and changes its headers, without taking it apart: every property and header
//! that nobody names stays as its sender wrote it.

use super::RawMessage;
use super::fields::{field, value};
use crate::protocol::{Bytes, HeaderValue, is_death_header};
use lapin::BasicProperties;
use lapin::types::{FieldTable, ShortString};
use std::collections::BTreeMap;

/// Delivery mode 2: kept on disk.
const PERSISTENT: u8 = 2;

impl RawMessage {
    /// A message without a body whose headers say everything; kept on disk.
    pub fn note(
        exchange: impl Into<String>,
        headers: impl IntoIterator<Item = (&'static str, HeaderValue)>,
    ) -> Self {
        let note = Self {
            exchange: exchange.into(),
            routing_key: String::new(),
            properties: BasicProperties::default().with_delivery_mode(PERSISTENT),
            body: Bytes::new(),
            mandatory: true,
        };
        note.with_headers(headers)
    }

    /// A header, or [`HeaderValue::Null`].
    pub fn header(&self, name: &str) -> HeaderValue {
        let table = self.properties.headers().as_ref();
        table.and_then(|table| table.inner().get(name)).map_or(HeaderValue::Null, value)
    }

    /// A header that is text.
    pub fn text_header(&self, name: &str) -> Option<String> {
        match self.header(name) {
            HeaderValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// All headers.
    pub fn headers(&self) -> BTreeMap<String, HeaderValue> {
        let table = self.properties.headers().as_ref();
        let fields = table.into_iter().flatten();
        fields.map(|(name, field)| (name.as_str().to_owned(), value(field))).collect()
    }

    /// The `correlation_id` property, which holds the task id.
    pub fn correlation_id(&self) -> Option<&str> {
        self.properties.correlation_id().as_ref().map(ShortString::as_str)
    }

    /// The `content_type` property.
    pub fn content_type(&self) -> Option<&str> {
        self.properties.content_type().as_ref().map(ShortString::as_str)
    }

    /// The same message with these headers set. A name of more than 255 bytes cannot be sent and
    /// is left out.
    #[must_use]
    pub fn with_headers<K: Into<String>>(
        self,
        headers: impl IntoIterator<Item = (K, HeaderValue)>,
    ) -> Self {
        let fields = headers.into_iter().filter_map(|(name, value)| {
            let name = ShortString::try_new(name.into()).ok()?;
            Some((name, field(&value)))
        });
        self.edit(|table| table.extend(fields))
    }

    /// The same message without the headers that `drop` names.
    #[must_use]
    pub fn without_headers(self, drop: impl Fn(&str) -> bool) -> Self {
        self.edit(|table| table.retain(|name, _| !drop(name.as_str())))
    }

    /// The same message fit to be published again: without what tells of its earlier publications,
    /// without a time to live that began then, and without the name of the user who sent it, which
    /// RabbitMQ refuses from anyone else. Kept on disk and never dropped silently.
    #[must_use]
    pub fn afresh(self) -> Self {
        let mut message =
            self.without_headers(|name| is_death_header(name) || name == "x-stream-offset");
        message.properties = without_sender(&message.properties).with_delivery_mode(PERSISTENT);
        message.mandatory = true;
        message
    }

    fn edit(
        mut self,
        change: impl FnOnce(&mut BTreeMap<ShortString, lapin::types::AMQPValue>),
    ) -> Self {
        let table = self.properties.headers().clone().unwrap_or_default();
        let mut table = table.inner().clone();
        change(&mut table);
        self.properties = self.properties.with_headers(FieldTable::from(table));
        self
    }
}

/// Every property but `user_id`, `expiration` and the cluster's.
fn without_sender(old: &BasicProperties) -> BasicProperties {
    let mut new = BasicProperties::default();
    macro_rules! keep {
        ($($get:ident $set:ident),*) => {
            $(if let Some(value) = old.$get().clone() {
                new = new.$set(value);
            })*
        };
    }
    keep!(
        content_type with_content_type,
        content_encoding with_content_encoding,
        headers with_headers,
        priority with_priority,
        correlation_id with_correlation_id,
        reply_to with_reply_to,
        message_id with_message_id,
        timestamp with_timestamp,
        kind with_type,
        app_id with_app_id
    );
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> RawMessage {
        let headers = [
            ("task", HeaderValue::Text("t".into())),
            ("x-death", HeaderValue::List(Vec::new())),
            ("x-stream-offset", HeaderValue::Int(7)),
            ("CC", HeaderValue::List(Vec::new())),
            ("mine", HeaderValue::Int(1)),
        ];
        let mut message = RawMessage::note("e", headers);
        message.properties = message
            .properties
            .with_user_id("ana".into())
            .with_expiration("5".into())
            .with_delivery_mode(1)
            .with_type("kind".into())
            .with_correlation_id("id".into());
        message
    }

    #[test]
    fn afresh_keeps_what_the_sender_said_and_forgets_what_happened_since() {
        let fresh = message().afresh();
        let names: Vec<_> = fresh.headers().into_keys().collect();
        assert_eq!(names, ["mine", "task"]);
        let properties = &fresh.properties;
        assert_eq!((properties.user_id(), properties.expiration()), (&None, &None));
        assert_eq!(properties.delivery_mode(), &Some(PERSISTENT));
        assert_eq!(properties.kind().as_ref().map(ShortString::as_str), Some("kind"));
        assert_eq!(fresh.correlation_id(), Some("id"));
    }

    #[test]
    fn a_header_is_found_changed_and_missed() {
        let message = message().with_headers([("mine", HeaderValue::Int(2))]);
        assert_eq!(message.header("mine"), HeaderValue::Int(2));
        assert_eq!(message.header("yours"), HeaderValue::Null);
        assert_eq!(message.text_header("task").as_deref(), Some("t"));
        assert_eq!(message.text_header("mine"), None);
    }
}
