//! From an envelope to AMQP.

use crate::broker::fields;
use crate::clock::to_iso;
use crate::protocol::{
    EncodeError, Envelope, HeaderValue, Headers, Properties, TimeLimits, is_broker_header,
};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use std::collections::BTreeMap;

/// The properties and headers of a message. The body goes over the wire as it is.
///
/// Headers of the broker itself are left out, see [`is_broker_header`].
///
/// # Errors
///
/// When a property or the name of a header is longer than AMQP's 255 bytes.
pub(crate) fn write(envelope: &Envelope) -> Result<BasicProperties, EncodeError> {
    let headers = write_headers(&envelope.headers)?;
    Ok(write_properties(&envelope.properties)?.with_headers(headers))
}

pub(super) fn write_properties(from: &Properties) -> Result<BasicProperties, EncodeError> {
    let mut to = BasicProperties::default().with_delivery_mode(if from.persistent { 2 } else { 1 });
    if let Some(text) = &from.content_type {
        to = to.with_content_type(short("content_type", text)?);
    }
    if let Some(text) = &from.content_encoding {
        to = to.with_content_encoding(short("content_encoding", text)?);
    }
    if let Some(priority) = from.priority {
        to = to.with_priority(priority);
    }
    if let Some(text) = &from.correlation_id {
        to = to.with_correlation_id(short("correlation_id", text)?);
    }
    if let Some(text) = &from.reply_to {
        to = to.with_reply_to(short("reply_to", text)?);
    }
    if let Some(millis) = from.expiration {
        to = to.with_expiration(short("expiration", &millis.to_string())?);
    }
    if let Some(text) = &from.message_id {
        to = to.with_message_id(short("message_id", text)?);
    }
    if let Some(seconds) = from.timestamp {
        to = to.with_timestamp(seconds);
    }
    if let Some(text) = &from.kind {
        to = to.with_type(short("type", text)?);
    }
    if let Some(text) = &from.app_id {
        to = to.with_app_id(short("app_id", text)?);
    }
    Ok(to)
}

fn write_headers(headers: &Headers) -> Result<FieldTable, EncodeError> {
    let mut table = Table::default();
    table.text("task", &headers.task);
    table.text("id", headers.id.as_str());
    table.some_text("lang", headers.lang.as_deref());
    table.some_text("shadow", headers.shadow.as_deref());
    table.some_text("eta", headers.eta.map(to_iso).as_deref());
    table.some_text("expires", headers.expires.map(to_iso).as_deref());
    table.some_text("group", headers.group.as_deref());
    table.some("group_index", headers.group_index.map(integer));
    table.count("retries", headers.retries);
    table.some("timelimit", time_limits(headers.time_limits));
    let root = headers.root_id.as_ref().filter(|root| **root != headers.id);
    table.some_text("root_id", root.map(|root| root.as_str()));
    table.some_text("parent_id", headers.parent_id.as_ref().map(|parent| parent.as_str()));
    table.some_text("argsrepr", headers.argsrepr.as_deref());
    table.some_text("kwargsrepr", headers.kwargsrepr.as_deref());
    table.some_text("origin", headers.origin.as_deref());
    table.some("ignore_result", headers.ignore_result.map(AMQPValue::Boolean));
    table.count("replaced_task_nesting", headers.replaced_task_nesting);
    table.some_text("compression", headers.compression.as_deref());
    if !headers.stamped_headers.is_empty() {
        let names = headers.stamped_headers.iter().map(|name| text(name)).collect();
        table.put("stamped_headers", list(names));
    }
    if !headers.stamps.is_empty() {
        table.put("stamps", AMQPValue::FieldTable(fields::table(&headers.stamps)));
    }
    for (name, value) in headers.extra.iter().filter(|(name, _)| !is_broker_header(name)) {
        table.0.insert(short("header name", name)?, fields::field(value));
    }
    Ok(table.0.into())
}

#[derive(Default)]
struct Table(BTreeMap<ShortString, AMQPValue>);

impl Table {
    fn put(&mut self, name: &'static str, value: AMQPValue) {
        self.0.insert(name.into(), value);
    }

    fn some(&mut self, name: &'static str, value: Option<AMQPValue>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn text(&mut self, name: &'static str, value: &str) {
        self.put(name, text(value));
    }

    fn some_text(&mut self, name: &'static str, value: Option<&str>) {
        self.some(name, value.map(text));
    }

    fn count(&mut self, name: &'static str, number: u32) {
        if number != 0 {
            self.put(name, integer(number.into()));
        }
    }
}

/// A property or name, which AMQP bounds to 255 bytes.
fn short(what: &str, text: &str) -> Result<ShortString, EncodeError> {
    ShortString::try_new(text).map_err(|_| EncodeError {
        format: "AMQP",
        message: format!("{what} is {} bytes long, at most 255 are possible", text.len()),
    })
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn list(items: Vec<AMQPValue>) -> AMQPValue {
    AMQPValue::FieldArray(items.into())
}

fn integer(number: i64) -> AMQPValue {
    fields::field(&HeaderValue::Int(number))
}

fn time_limits(limits: TimeLimits) -> Option<AMQPValue> {
    let seconds = |limit: Option<f64>| match limit {
        None => AMQPValue::Void,
        // Whole seconds as Celery writes them; its users see them in messages.
        Some(seconds) if seconds.fract() == 0.0 && seconds < f64::from(i32::MAX) => {
            AMQPValue::LongInt(seconds as i32)
        }
        Some(seconds) => AMQPValue::Double(seconds),
    };
    let TimeLimits { hard, soft } = limits;
    (!limits.is_empty()).then(|| list(vec![seconds(hard), seconds(soft)]))
}
