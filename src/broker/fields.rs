//! Header values as AMQP fields, and back.

use crate::protocol::HeaderValue;
use lapin::types::{AMQPValue, FieldArray, FieldTable, LongString, ShortString};
use std::collections::BTreeMap;

/// A table of values as an AMQP table. A key of more than 255 bytes cannot be expressed and is
/// left out.
pub(crate) fn table(values: &BTreeMap<String, HeaderValue>) -> FieldTable {
    let fields = values.iter().filter_map(|(key, value)| {
        let key = ShortString::try_new(key.clone()).ok()?;
        Some((key, field(value)))
    });
    FieldTable::from(fields.collect::<BTreeMap<_, _>>())
}

/// A value as an AMQP field.
pub(crate) fn field(value: &HeaderValue) -> AMQPValue {
    match value {
        HeaderValue::Null => AMQPValue::Void,
        HeaderValue::Bool(value) => AMQPValue::Boolean(*value),
        HeaderValue::Int(value) => match i32::try_from(*value) {
            Ok(value) => AMQPValue::LongInt(value),
            Err(_) => AMQPValue::LongLongInt(*value),
        },
        HeaderValue::Float(value) => AMQPValue::Double(*value),
        HeaderValue::Text(value) => AMQPValue::LongString(LongString::from(value.as_str())),
        HeaderValue::Bytes(value) => AMQPValue::ByteArray(value.as_slice().into()),
        HeaderValue::Time(value) => AMQPValue::Timestamp(*value),
        HeaderValue::List(values) => {
            AMQPValue::FieldArray(FieldArray::from(values.iter().map(field).collect::<Vec<_>>()))
        }
        HeaderValue::Table(values) => AMQPValue::FieldTable(table(values)),
    }
}
