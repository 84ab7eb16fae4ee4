//! Looks at a message, and changes its headers, without taking it apart: every property and header
//! that nobody names stays as its sender wrote it.

use super::fields::{field, value};
use super::{Delivery, RawMessage};
use crate::protocol::{Bytes, HeaderValue, header, is_death_header};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use std::collections::BTreeMap;

/// Delivery mode 2: kept on disk.
const PERSISTENT: u8 = 2;

impl Delivery {
    /// How often it was handed out before without being settled, as far as somebody has counted: a
    /// quorum queue does, and so do we.
    pub fn failed_deliveries(&self) -> i64 {
        let count = |name: &str| match self.header(name) {
            HeaderValue::Int(count) => count,
            _ => 0,
        };
        count(header::DELIVERY_COUNT).max(count(header::DELIVERIES))
    }

    /// Whether it was handed out before and its queue does not count how often.
    pub fn is_uncounted(&self) -> bool {
        self.redelivered && self.header(header::DELIVERY_COUNT) == HeaderValue::Null
    }

    fn header(&self, name: &str) -> HeaderValue {
        let table = self.properties.headers().as_ref();
        table.and_then(|table| table.inner().get(name)).map_or(HeaderValue::Null, value)
    }
}

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

    /// The same message without a time to live.
    #[must_use]
    pub(super) fn without_expiration(mut self) -> Self {
        if self.properties.expiration().is_some() {
            let mode = *self.properties.delivery_mode();
            self.properties = without_sender(&self.properties);
            if let Some(mode) = mode {
                self.properties = self.properties.with_delivery_mode(mode);
            }
        }
        self
    }

    /// The same message as a stream keeps it: without headers that are lists or tables.
    #[must_use]
    pub(super) fn without_nesting(self) -> Self {
        self.edit(|table| {
            table.retain(|_, field| {
                !matches!(field, AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_))
            });
        })
    }

    /// The same message with floating-point numbers for decimals. A stream of RabbitMQ 3 breaks the
    /// connection of whoever sends it a decimal.
    #[must_use]
    pub fn without_decimals(self) -> Self {
        let is_decimal = |field: &AMQPValue| matches!(field, AMQPValue::DecimalValue(_));
        let table = self.properties.headers().as_ref();
        if !table.is_some_and(|table| table.inner().values().any(is_decimal)) {
            return self;
        }
        self.edit(|table| {
            for decimal in table.values_mut().filter(|field| is_decimal(field)) {
                *decimal = field(&value(decimal));
            }
        })
    }

    /// Bytes that the headers take on the wire.
    pub(super) fn header_bytes(&self) -> usize {
        self.properties.headers().as_ref().map_or(0, table_size)
    }

    fn edit(mut self, change: impl FnOnce(&mut BTreeMap<ShortString, AMQPValue>)) -> Self {
        let table = self.properties.headers().clone().unwrap_or_default();
        let mut table = table.inner().clone();
        change(&mut table);
        self.properties = self.properties.with_headers(FieldTable::from(table));
        self
    }
}

/// All properties must fit into one frame of 128 KiB, or the broker closes the connection. What the
/// other properties may take, each up to 255 bytes, is left to them.
pub(super) const MOST_HEADER_BYTES: usize = (128 << 10) - (4 << 10);

/// Bytes of a field on the wire, its type included.
fn size(field: &AMQPValue) -> usize {
    1 + match field {
        AMQPValue::Void => 0,
        AMQPValue::Boolean(_) | AMQPValue::ShortShortInt(_) | AMQPValue::ShortShortUInt(_) => 1,
        AMQPValue::ShortInt(_) | AMQPValue::ShortUInt(_) => 2,
        AMQPValue::LongInt(_) | AMQPValue::LongUInt(_) | AMQPValue::Float(_) => 4,
        AMQPValue::DecimalValue(_) => 5,
        AMQPValue::LongLongInt(_) | AMQPValue::Double(_) | AMQPValue::Timestamp(_) => 8,
        AMQPValue::ShortString(text) => 1 + text.as_str().len(),
        AMQPValue::LongString(text) => 4 + text.as_bytes().len(),
        AMQPValue::ByteArray(bytes) => 4 + bytes.as_slice().len(),
        AMQPValue::FieldArray(items) => 4 + items.as_slice().iter().map(size).sum::<usize>(),
        AMQPValue::FieldTable(table) => table_size(table),
    }
}

fn table_size(table: &FieldTable) -> usize {
    let entries = table.into_iter();
    4 + entries.map(|(name, field)| 1 + name.as_str().len() + size(field)).sum::<usize>()
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
    use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, WriteContext, gen_frame};

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

    #[test]
    fn the_size_of_headers_is_what_the_wire_will_carry() {
        let fields = [
            HeaderValue::Null,
            HeaderValue::Bool(true),
            HeaderValue::Int(5),
            HeaderValue::Int(1 << 40),
            HeaderValue::Float(0.5),
            HeaderValue::Text("text".into()),
            HeaderValue::Bytes(vec![1, 2]),
            HeaderValue::Time(5),
        ];
        let table = BTreeMap::from([("k".to_owned(), HeaderValue::List(fields.to_vec()))]);
        let message = RawMessage::note("e", [("t", HeaderValue::Table(table))]);
        let headers = message.properties.headers().clone().unwrap();
        let properties = BasicProperties::default().with_headers(headers);
        let header = AMQPContentHeader { class_id: 60, body_size: 0, properties };
        let context = WriteContext { write: Vec::new(), position: 0 };
        let frame = gen_frame(&AMQPFrame::Header(1, header))(context).unwrap().write;
        // Type, channel and size; class, weight, size of the body and flags; the end of the frame.
        assert_eq!(message.header_bytes(), frame.len() - 7 - 14 - 1);
    }
}
