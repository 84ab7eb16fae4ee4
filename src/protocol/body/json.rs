//! MessagePack values as JSON, for programs that take only that.

use crate::protocol::Value;
use crate::protocol::format::typed_binary;

/// A MessagePack value as the JSON that Celery would write for it.
pub(super) fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Nil => serde_json::Value::Null,
        Value::Boolean(truth) => (*truth).into(),
        Value::Integer(number) => match number.as_u64() {
            Some(number) => number.into(),
            None => number.as_i64().into(),
        },
        Value::F32(number) => f64::from(*number).into(),
        Value::F64(number) => (*number).into(),
        Value::String(text) => {
            text.as_str().map_or_else(|| typed_binary(text.as_bytes()), Into::into)
        }
        Value::Binary(bytes) | Value::Ext(_, bytes) => typed_binary(bytes),
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => {
            entries.iter().map(|(key, value)| (key_text(key), to_json(value))).collect()
        }
    }
}

/// A key as Celery writes it into JSON: `1` becomes `"1"`, null `"null"`.
fn key_text(key: &Value) -> String {
    match to_json(key) {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}
