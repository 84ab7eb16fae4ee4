//! What a result backend stores about a task: Celery's meta document.

use super::scan::{entry, odd_number, without_odd_numbers};
use super::{Bytes, DecodeError, EncodeError, Format, Repr, TaskState, Value};
use crate::clock::to_iso;
use crate::ids::TaskId;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// The state of a task and its result. `R` is a value to be written, or [`Raw`] when it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredResult<R = Raw> {
    /// The task.
    pub task_id: TaskId,
    /// What is known about it.
    pub state: TaskState,
    /// Its value; a [`StoredException`] when `state` [is one](TaskState::is_exception); whatever
    /// was reported in any other state.
    pub result: R,
    /// Text for a person.
    pub traceback: Option<String>,
    /// The tasks that this one sent, as Celery's result tuples.
    pub children: Vec<Value>,
    /// When it ended, ISO 8601.
    pub date_done: Option<String>,
    /// The group it is a member of.
    pub group_id: Option<String>,
    /// The task that sent it.
    pub parent_id: Option<TaskId>,
    /// Whatever else is in the document, such as `name` and `worker`.
    pub extra: BTreeMap<String, Value>,
}

impl<R> StoredResult<R> {
    /// A task in any state, with what is to be told about it.
    pub fn state(task_id: TaskId, state: TaskState, result: R) -> Self {
        Self {
            task_id,
            state,
            result,
            traceback: None,
            children: Vec::new(),
            date_done: None,
            group_id: None,
            parent_id: None,
            extra: BTreeMap::new(),
        }
    }

    /// A task that returned `value` at `now`.
    pub fn success(task_id: TaskId, value: R, now: SystemTime) -> Self {
        Self { date_done: Some(to_iso(now)), ..Self::state(task_id, TaskState::Success, value) }
    }
}

impl StoredResult<StoredException> {
    /// A task that went wrong for good at `now`.
    pub fn failure(
        task_id: TaskId,
        exception: StoredException,
        traceback: Option<String>,
        now: SystemTime,
    ) -> Self {
        Self {
            date_done: Some(to_iso(now)),
            traceback,
            ..Self::state(task_id, TaskState::Failure, exception)
        }
    }
}

impl<R: Serialize> StoredResult<R> {
    /// Encodes the document.
    ///
    /// # Errors
    ///
    /// When the result cannot be written in this format.
    pub fn encode(&self, format: Format) -> Result<Vec<u8>, EncodeError> {
        format.encode(self)
    }
}

impl<R: Serialize> Serialize for StoredResult<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let optional = usize::from(self.group_id.is_some()) + usize::from(self.parent_id.is_some());
        let mut map = serializer.serialize_map(Some(6 + optional + self.extra.len()))?;
        map.serialize_entry("status", &self.state)?;
        map.serialize_entry("result", &self.result)?;
        map.serialize_entry("traceback", &self.traceback)?;
        map.serialize_entry("children", &self.children)?;
        map.serialize_entry("date_done", &self.date_done)?;
        if let Some(group) = &self.group_id {
            map.serialize_entry("group_id", group)?;
        }
        if let Some(parent) = &self.parent_id {
            map.serialize_entry("parent_id", parent)?;
        }
        for (name, value) in &self.extra {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("task_id", &self.task_id)?;
        map.end()
    }
}

/// The document as it is read, all but the result.
#[derive(Deserialize)]
struct Meta {
    task_id: TaskId,
    status: TaskState,
    #[serde(default, rename = "result")]
    _result: IgnoredAny,
    #[serde(default)]
    traceback: Option<String>,
    #[serde(default)]
    children: Option<Vec<Value>>,
    #[serde(default)]
    date_done: Option<String>,
    #[serde(default)]
    group_id: Option<String>,
    #[serde(default)]
    parent_id: Option<TaskId>,
    #[serde(flatten)]
    extra: BTreeMap<String, Value>,
}

impl StoredResult<Raw> {
    /// Decodes a document. The result itself is kept as bytes.
    ///
    /// # Errors
    ///
    /// When it is no such document.
    pub fn decode(format: Format, document: impl Into<Bytes>) -> Result<Self, DecodeError> {
        let document = document.into();
        let meta: Meta = match format.decode(&document) {
            Err(_) if odd_number(format, &document).is_some() => {
                format.decode(&without_odd_numbers(&document))?
            }
            read => read?,
        };
        let result = match entry(format, &document, "result") {
            Some(range) => Raw { format, bytes: document.slice(range) },
            None => Raw::null(),
        };
        Ok(Self {
            task_id: meta.task_id,
            state: meta.status,
            result,
            traceback: meta.traceback,
            children: meta.children.unwrap_or_default(),
            date_done: meta.date_done,
            group_id: meta.group_id,
            parent_id: meta.parent_id,
            extra: meta.extra,
        })
    }

    /// A document that cannot be read, as a failure that says so to whoever waits.
    pub fn unreadable(task_id: TaskId, error: &DecodeError) -> Self {
        let text = format!("the result of the task is there, but cannot be read: {error}");
        let exception = StoredException::new("UnreadableResult", text, None);
        let result = Raw::encode(Format::Json, &exception).unwrap_or_else(|_| Raw::null());
        Self::state(task_id, TaskState::Failure, result)
    }

    /// The exception, when the state is one.
    ///
    /// # Errors
    ///
    /// When the result is not an exception after all.
    pub fn exception(&self) -> Result<Option<StoredException>, DecodeError> {
        if self.state.is_exception() { self.result.decode().map(Some) } else { Ok(None) }
    }
}

/// An encoded value that was read and is not yet looked into.
#[derive(Debug, Clone, PartialEq)]
pub struct Raw {
    format: Format,
    bytes: Bytes,
}

impl Raw {
    /// A value that is encoded already.
    pub fn new(format: Format, bytes: impl Into<Bytes>) -> Self {
        Self { format, bytes: bytes.into() }
    }

    /// How it is encoded.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The encoded value.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// No value.
    pub fn null() -> Self {
        Self { format: Format::Json, bytes: Bytes::from_static(b"null") }
    }

    /// Encodes a value.
    ///
    /// # Errors
    ///
    /// When it cannot be written in this format.
    pub fn encode<T: Serialize + ?Sized>(format: Format, value: &T) -> Result<Self, EncodeError> {
        Ok(Self::new(format, format.encode(value)?))
    }

    /// The same value in another format.
    ///
    /// # Errors
    ///
    /// When it cannot be written in that format.
    pub fn to_format(&self, format: Format) -> Result<Self, EncodeError> {
        if self.format == format {
            return Ok(self.clone());
        }
        Self::encode(format, self)
    }

    /// Decodes the value.
    ///
    /// # Errors
    ///
    /// When it is of another type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        let decoded = self.format.decode_at("result", &self.bytes);
        decoded.map_err(|error| match odd_number(self.format, &self.bytes) {
            Some(number) => DecodeError {
                place: "result".to_owned(),
                message: format!(
                    "{number} is no JSON number: let the task return null or text instead, or let \
                     its worker write results as msgpack"
                ),
            },
            None => error,
        })
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: Value = self.decode().map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
    }
}

/// An exception as Celery stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredException {
    /// Name of the class.
    #[serde(rename = "exc_type")]
    pub kind: String,
    /// What it was made with: usually a list with one text.
    #[serde(rename = "exc_message")]
    pub message: Value,
    /// Where the class is defined. A client makes up a class when it cannot find it there.
    #[serde(default, rename = "exc_module")]
    pub module: Option<String>,
}

impl StoredException {
    /// An exception with one text. In module `builtins`, names such as `ValueError` become the
    /// natural exception of a Python client.
    pub fn new(kind: impl Into<String>, message: impl Into<String>, module: Option<&str>) -> Self {
        Self {
            kind: kind.into(),
            message: Value::Array(vec![Value::from(message.into())]),
            module: module.map(str::to_owned),
        }
    }

    /// The message for a person.
    pub fn text(&self) -> String {
        let texts: Vec<String> = self.arguments().iter().map(text).collect();
        texts.join(", ")
    }

    /// What Python shows of it: `ValueError('no such size')`.
    pub fn repr(&self) -> String {
        let shown: Vec<String> =
            self.arguments().iter().map(|value| Repr(value).to_string()).collect();
        format!("{}({})", self.kind, shown.join(", "))
    }

    fn arguments(&self) -> &[Value] {
        match &self.message {
            Value::Array(items) => items.as_slice(),
            other => std::slice::from_ref(other),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::captures::Capture;
    use serde_json::json;
    use std::time::UNIX_EPOCH;

    #[test]
    fn every_captured_result_is_read_and_written_again_alike() {
        for capture in Capture::load(&["rpc_"]) {
            let document = StoredResult::decode(Format::Json, capture.body())
                .unwrap_or_else(|error| panic!("{}: {error}", capture.name));
            let expected = capture.decoded().unwrap();
            for format in [Format::Json, Format::MessagePack] {
                let written = document.encode(format).unwrap();
                let decoded: serde_json::Value = format.decode(&written).unwrap();
                assert_eq!(decoded, expected, "{}", capture.name);
                let again = StoredResult::decode(format, written).unwrap();
                assert_eq!(again.result.decode::<Value>(), document.result.decode::<Value>());
            }
            assert_eq!(document.exception().unwrap().is_some(), document.state.is_exception());
        }
    }

    #[test]
    fn a_failure_reads_as_celery_writes_it() {
        let exception = StoredException::new("ValueError", "no such size", Some("builtins"));
        assert_eq!(exception.text(), "no such size");
        assert_eq!(exception.repr(), "ValueError('no such size')");
        let failure = StoredResult::failure("i".into(), exception, None, UNIX_EPOCH);
        let document: serde_json::Value =
            Format::Json.decode(&failure.encode(Format::Json).unwrap()).unwrap();
        let expected = json!({
            "status": "FAILURE",
            "result": {
                "exc_type": "ValueError",
                "exc_message": ["no such size"],
                "exc_module": "builtins",
            },
            "traceback": null,
            "children": [],
            "date_done": "1970-01-01T00:00:00.000000+00:00",
            "task_id": "i",
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn a_value_comes_back_in_its_own_type() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        enum Shape {
            Point,
            Circle { radius: f32 },
        }
        let value =
            (Shape::Point, Shape::Circle { radius: 1.5 }, serde_bytes::ByteBuf::from(b"\xff"));
        let success = StoredResult::success("i".into(), &value, UNIX_EPOCH);
        let document = success.encode(Format::MessagePack).unwrap();
        let stored = StoredResult::decode(Format::MessagePack, document).unwrap();
        assert_eq!(stored.state, TaskState::Success);
        assert_eq!(stored.result.decode::<(Shape, Shape, serde_bytes::ByteBuf)>().unwrap(), value);
        assert_eq!(stored.result.decode::<u8>().unwrap_err().place, "result");
        assert_eq!(stored.exception().unwrap(), None);
    }

    #[test]
    fn a_number_that_json_has_not_is_an_error_of_the_value_alone() {
        for number in ["NaN", "Infinity", "-Infinity"] {
            let text = format!(
                r#"{{"status": "SUCCESS", "result": ["NaN", {{"a": {number}}}], "task_id": "i",
                    "args": [{number}], "name": "t"}}"#
            );
            let stored = StoredResult::decode(Format::Json, text).unwrap();
            assert_eq!((stored.task_id.as_str(), &stored.state), ("i", &TaskState::Success));
            assert_eq!(stored.extra["args"], Value::Array(vec![Value::Nil]));
            let error = stored.result.decode::<Value>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("result: {number} is no JSON number")), "{error}");
        }
        let packed = Format::MessagePack.encode(&f64::NAN).unwrap();
        assert!(Raw::new(Format::MessagePack, packed).decode::<f64>().unwrap().is_nan());
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in ["[]", "{}", r#"{"status":"SUCCESS"}"#, r#"{"task_id":"i"}"#, "nonsense"] {
            assert!(StoredResult::decode(Format::Json, text).is_err(), "{text}");
        }
        let least =
            StoredResult::decode(Format::Json, r#"{"task_id":"i","status":"MINE"}"#).unwrap();
        assert_eq!(least.state, TaskState::Custom("MINE".to_owned()));
        assert_eq!(least.result.decode::<()>(), Ok(()));
    }
}
