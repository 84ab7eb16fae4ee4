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

/// Values nested deeper than this read as nothing, so that nobody can exhaust our stack.
const DEEPEST: usize = 32;

/// Whether a field is read whole, because it is not nested too deeply.
pub(crate) fn is_readable(field: &AMQPValue) -> bool {
    fits(field, DEEPEST)
}

fn fits(field: &AMQPValue, depth: usize) -> bool {
    match field {
        AMQPValue::FieldArray(items) => {
            depth > 0 && items.as_slice().iter().all(|item| fits(item, depth - 1))
        }
        AMQPValue::FieldTable(table) => {
            depth > 0 && table.inner().values().all(|item| fits(item, depth - 1))
        }
        _ => true,
    }
}

/// An AMQP field as a value. Never fails: what has no counterpart reads as nothing.
pub(crate) fn value(field: &AMQPValue) -> HeaderValue {
    value_within(field, DEEPEST)
}

fn value_within(field: &AMQPValue, depth: usize) -> HeaderValue {
    match field {
        AMQPValue::Boolean(value) => HeaderValue::Bool(*value),
        AMQPValue::ShortShortInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::ShortShortUInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::ShortInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::ShortUInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::LongInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::LongUInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::LongLongInt(value) => HeaderValue::Int(*value),
        AMQPValue::Float(value) => HeaderValue::Float((*value).into()),
        AMQPValue::Double(value) => HeaderValue::Float(*value),
        AMQPValue::DecimalValue(decimal) => {
            let divisor = 10_f64.powi(decimal.scale.into());
            HeaderValue::Float(f64::from(decimal.value) / divisor)
        }
        AMQPValue::ShortString(text) => HeaderValue::Text(text.as_str().to_owned()),
        AMQPValue::LongString(text) => text_or_bytes(text.as_bytes()),
        AMQPValue::Timestamp(seconds) => HeaderValue::Time(*seconds),
        AMQPValue::ByteArray(bytes) => HeaderValue::Bytes(bytes.as_slice().to_vec()),
        AMQPValue::FieldArray(items) if depth > 0 => HeaderValue::List(
            items.as_slice().iter().map(|item| value_within(item, depth - 1)).collect(),
        ),
        AMQPValue::FieldTable(table) if depth > 0 => {
            let entries = table.into_iter();
            let entries = entries
                .map(|(name, item)| (name.as_str().to_owned(), value_within(item, depth - 1)));
            HeaderValue::Table(entries.collect())
        }
        AMQPValue::Void | AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) => HeaderValue::Null,
    }
}

fn text_or_bytes(bytes: &[u8]) -> HeaderValue {
    match std::str::from_utf8(bytes) {
        Ok(text) => HeaderValue::Text(text.to_owned()),
        Err(_) => HeaderValue::Bytes(bytes.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_from_amqp() {
        let values = [
            HeaderValue::Null,
            HeaderValue::Bool(true),
            HeaderValue::Int(-5),
            HeaderValue::Int(1 << 40),
            HeaderValue::Float(0.5),
            HeaderValue::Text("è".into()),
            HeaderValue::Bytes(vec![255, 0]),
            HeaderValue::Time(5),
        ];
        let inner = BTreeMap::from([("k".to_owned(), HeaderValue::List(values.to_vec()))]);
        let nested = HeaderValue::Table(inner);
        assert!(is_readable(&field(&nested)));
        assert_eq!(value(&field(&nested)), nested);
    }

    #[test]
    fn deep_nesting_ends() {
        let mut deep = HeaderValue::Null;
        for _ in 0..1000 {
            deep = HeaderValue::List(vec![deep]);
        }
        assert!(!is_readable(&field(&deep)));
        let mut depth = 0;
        let mut read = value(&field(&deep));
        while let HeaderValue::List(items) = read {
            read = items.into_iter().next().unwrap();
            depth += 1;
        }
        assert_eq!(depth, DEEPEST);
    }
}
