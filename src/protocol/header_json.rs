//! Header values as JSON, and back without loss.
//!
//! What JSON does not have is an object with one key: `{"$bytes": base64}`, `{"$time": seconds}`.

use crate::protocol::HeaderValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const BYTES: &str = "$bytes";
const TIME: &str = "$time";
/// Around a table that could be taken for one of the others.
const TABLE: &str = "$table";

/// A value as JSON.
pub(crate) fn to_json(value: &HeaderValue) -> Value {
    match value {
        HeaderValue::Null => Value::Null,
        HeaderValue::Bool(value) => json!(value),
        HeaderValue::Int(value) => json!(value),
        HeaderValue::Float(value) => json!(value),
        HeaderValue::Text(value) => json!(value),
        HeaderValue::Bytes(value) => json!({ BYTES: BASE64_STANDARD.encode(value) }),
        HeaderValue::Time(value) => json!({ TIME: value }),
        HeaderValue::List(values) => values.iter().map(to_json).collect(),
        HeaderValue::Table(table) => {
            let plain = table_to_json(table);
            let ambiguous = table.keys().any(|key| key.starts_with('$'));
            if ambiguous { json!({ TABLE: plain }) } else { plain }
        }
    }
}

/// A whole table as a JSON object.
pub(crate) fn table_to_json(table: &BTreeMap<String, HeaderValue>) -> Value {
    table.iter().map(|(key, value)| (key.clone(), to_json(value))).collect()
}

/// JSON as a value. `None` when it says `$bytes` or `$time` and is not.
pub(crate) fn from_json(json: &Value) -> Option<HeaderValue> {
    Some(match json {
        Value::Null => HeaderValue::Null,
        Value::Bool(value) => HeaderValue::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(value) => HeaderValue::Int(value),
            None => HeaderValue::Float(number.as_f64()?),
        },
        Value::String(text) => HeaderValue::Text(text.clone()),
        Value::Array(values) => {
            HeaderValue::List(values.iter().map(from_json).collect::<Option<_>>()?)
        }
        Value::Object(object) => match object.iter().next() {
            Some((key, value)) if key == BYTES => {
                HeaderValue::Bytes(BASE64_STANDARD.decode(value.as_str()?).ok()?)
            }
            Some((key, value)) if key == TIME => HeaderValue::Time(value.as_u64()?),
            Some((key, value)) if key == TABLE => HeaderValue::Table(table_from_json(value)?),
            _ => HeaderValue::Table(table_from_json(json)?),
        },
    })
}

/// A JSON object as a table. `None` when it is no object, or holds what is none of ours.
pub(crate) fn table_from_json(json: &Value) -> Option<BTreeMap<String, HeaderValue>> {
    let entries = json.as_object()?.iter();
    entries.map(|(key, value)| Some((key.clone(), from_json(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = HeaderValue> {
        let leaf = prop_oneof![
            Just(HeaderValue::Null),
            any::<bool>().prop_map(HeaderValue::Bool),
            any::<i64>().prop_map(HeaderValue::Int),
            (-1e9..1e9).prop_map(HeaderValue::Float),
            ".*".prop_map(HeaderValue::Text),
            any::<Vec<u8>>().prop_map(HeaderValue::Bytes),
            any::<u64>().prop_map(HeaderValue::Time),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            let key = prop_oneof![".*", Just(BYTES.to_owned()), Just(TABLE.to_owned())];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(HeaderValue::List),
                prop::collection::btree_map(key, inner, 0..4).prop_map(HeaderValue::Table),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_comes_back_from_its_text(value in any_value()) {
            let text = to_json(&value).to_string();
            let json: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(from_json(&json), Some(value));
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in [r#"{"$bytes": 5}"#, r#"{"$bytes": "?"}"#, r#"{"$time": "x"}"#] {
            assert_eq!(from_json(&serde_json::from_str(text).unwrap()), None, "{text}");
        }
    }
}
