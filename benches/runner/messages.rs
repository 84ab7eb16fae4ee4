//! The messages that are measured: Celery's own, as captured, and ours.

use crate::side::REPLIES;
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The task that is run.
pub(crate) const TASK: &str = "cap.add";

/// Whose messages, in which encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As Celery 5.7 sends them, with twenty headers.
    CeleryMsgpack,
    CeleryJson,
    /// As we send them: a header only when it says something.
    Sparse,
    /// The same, with a queue that wants the result.
    Calls,
}

/// A message for lapin.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) properties: BasicProperties,
    pub(crate) body: Vec<u8>,
}

#[derive(Deserialize)]
struct Capture {
    properties: Map<String, Value>,
    headers: Map<String, Value>,
    body_b64: String,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CeleryMsgpack => "Celery's messages, msgpack",
            Self::CeleryJson => "Celery's messages, json",
            Self::Sparse => "our messages",
            Self::Calls => "our calls",
        }
    }

    /// What makes messages of this kind, each with an id of its own.
    pub(crate) fn maker(self) -> Result<impl FnMut() -> Message> {
        let json = include_str!("../../tests/captures/task_ignore_result.json");
        let msgpack = include_str!("../../tests/captures/task_msgpack_simple.json");
        let (template, is_full) = match self {
            Self::Sparse => (sparse(), false),
            Self::Calls => (call(), false),
            Self::CeleryJson => (celery(json).context("the captured json message")?, true),
            Self::CeleryMsgpack => (celery(msgpack).context("the captured msgpack message")?, true),
        };
        Ok(move || identified(&template, is_full))
    }
}

/// What our client sends for `cap.add(2, 3)` whose result nobody wants.
fn sparse() -> Message {
    let mut headers = FieldTable::default();
    headers.insert("task".into(), AMQPValue::LongString(TASK.into()));
    headers.insert("ignore_result".into(), AMQPValue::Boolean(true));
    let properties = BasicProperties::default()
        .with_content_type("application/x-msgpack".into())
        .with_delivery_mode(2)
        .with_headers(headers);
    // [[2, 3], {}, {}]
    Message { properties, body: vec![0x93, 0x92, 2, 3, 0x80, 0x80] }
}

fn call() -> Message {
    let Message { properties, body } = sparse();
    let mut headers = FieldTable::default();
    headers.insert("task".into(), AMQPValue::LongString(TASK.into()));
    Message { properties: properties.with_headers(headers).with_reply_to(REPLIES.into()), body }
}

fn celery(capture: &str) -> Result<Message> {
    let capture: Capture = serde_json::from_str(capture)?;
    let property = |name: &str| capture.properties.get(name).and_then(Value::as_str);
    let mut headers = table(&capture.headers);
    // Whoever wants no result is given none, on either side.
    headers.insert("ignore_result".into(), AMQPValue::Boolean(true));
    let properties = BasicProperties::default()
        .with_content_type(property("content_type").context("content_type")?.into())
        .with_content_encoding(property("content_encoding").context("content_encoding")?.into())
        .with_reply_to(property("reply_to").context("reply_to")?.into())
        .with_priority(0)
        .with_delivery_mode(2)
        .with_headers(headers);
    Ok(Message { properties, body: BASE64.decode(capture.body_b64)? })
}

fn identified(template: &Message, is_full: bool) -> Message {
    let id = uuid::Uuid::new_v4().to_string();
    let mut headers = template.properties.headers().clone().unwrap_or_default();
    headers.insert("id".into(), AMQPValue::LongString(id.as_str().into()));
    if is_full {
        headers.insert("root_id".into(), AMQPValue::LongString(id.as_str().into()));
    }
    let properties = template.properties.clone().with_headers(headers);
    Message {
        properties: properties.with_correlation_id(id.as_str().into()),
        body: template.body.clone(),
    }
}

fn table(entries: &Map<String, Value>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert(name.as_str().into(), field(value));
    }
    table
}

/// The types that Celery's client gives to these values.
fn field(value: &Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(truth) => AMQPValue::Boolean(*truth),
        Value::Number(number) => AMQPValue::LongInt(number.as_i64().unwrap_or(0) as i32),
        Value::String(text) => AMQPValue::LongString(text.as_str().into()),
        Value::Array(items) => {
            AMQPValue::FieldArray(FieldArray::from(items.iter().map(field).collect::<Vec<_>>()))
        }
        Value::Object(entries) => AMQPValue::FieldTable(table(entries)),
    }
}
