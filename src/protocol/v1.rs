//! Protocol 1: everything in the body, a map. Sent by Celery 3 and some clients in other languages.

use super::body::{open, unreadable};
use super::list::map_into;
use super::scan::{Items, Kind};
use super::{
    Bytes, DecodeError, Envelope, Format, Headers, Limits, Properties, TimeLimits, Unreadable,
};
use crate::clock::parse_iso;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::SystemTime;

/// Reads a message without header `task`, and gives it as the protocol 2 message it amounts to.
///
/// Arguments and signatures keep their bytes; the new body is not compressed. `rest` are the
/// headers that came with it.
pub fn upgrade_v1(
    properties: Properties,
    rest: BTreeMap<String, super::HeaderValue>,
    compression: Option<&str>,
    body: &Bytes,
    limits: &Limits,
) -> Result<Envelope, Unreadable> {
    let (format, bytes) = open(properties.content_type.as_deref(), compression, body, limits)?;
    let map = Map::find(format, &bytes, limits)?;
    let headers = Headers { extra: rest, ..map.headers()? };
    let body = map.body();
    Ok(Envelope { properties, headers, body })
}

/// The entries of a body whose keys are text.
struct Map<'a> {
    format: Format,
    bytes: &'a [u8],
    entries: BTreeMap<String, Range<usize>>,
}

impl<'a> Map<'a> {
    fn find(format: Format, bytes: &'a [u8], limits: &Limits) -> Result<Self, Unreadable> {
        let not_map = |found: Kind| Unreadable::NotATask(format!("it is {}", found.name()));
        let fault = |fault| unreadable("body", format, limits.max_depth, &fault);
        let mut items = match Items::open(format, bytes, limits.max_depth).map_err(fault)? {
            Ok(items) if items.is_map() => items,
            Ok(_) => return Err(not_map(Kind::List)),
            Err(other) => return Err(not_map(other)),
        };
        let mut entries = BTreeMap::new();
        while let Some(key) = items.next().map_err(fault)? {
            let value = items.next().map_err(fault)?;
            if let (Kind::Text, Some(value)) = (key.kind, value) {
                let key = decode(format, "a key", &bytes[key.range])?;
                if value.kind != Kind::Null {
                    entries.insert(key, value.range);
                }
            }
        }
        items.finish().map_err(fault)?;
        Ok(Self { format, bytes, entries })
    }

    fn raw(&self, name: &str) -> Option<&'a [u8]> {
        self.entries.get(name).map(|range| &self.bytes[range.clone()])
    }

    fn get<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, Unreadable> {
        self.raw(name).map(|bytes| decode(self.format, name, bytes)).transpose()
    }

    fn required<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, Unreadable> {
        self.get(name)?.ok_or_else(|| Unreadable::NotATask(format!("it has no `{name}`")))
    }

    fn time(&self, name: &'static str) -> Result<Option<SystemTime>, Unreadable> {
        let Some(text) = self.get::<String>(name)? else { return Ok(None) };
        match parse_iso(&text) {
            Some(time) => Ok(Some(time)),
            None => {
                Err(Unreadable::Shape { place: name, expected: "an ISO 8601 time", found: text })
            }
        }
    }

    fn headers(&self) -> Result<Headers, Unreadable> {
        let task: String = self.required("task")?;
        let id: String = self.required("id")?;
        let (hard, soft) = self.get("timelimit")?.unwrap_or_default();
        let group = self.get("group")?;
        Ok(Headers {
            eta: self.time("eta")?,
            expires: self.time("expires")?,
            group: if group.is_some() { group } else { self.get("taskset")? },
            group_index: self.get("group_index")?,
            retries: self.get("retries")?.unwrap_or_default(),
            time_limits: TimeLimits::checked(hard, soft).ok_or_else(|| Unreadable::Shape {
                place: "timelimit",
                expected: "seconds, not negative",
                found: format!("{hard:?}, {soft:?}"),
            })?,
            ..Headers::new(task, id.into())
        })
    }

    /// The body of protocol 2, with each part as the sender wrote it.
    fn body(&self) -> Bytes {
        let links = ["callbacks", "errbacks", "chord"]
            .into_iter()
            .filter_map(|name| Some((name, self.raw(name)?)))
            .collect::<Vec<_>>();
        let [open, no_args, no_kwargs, between, close] = match self.format {
            Format::Json => [&b"["[..], b"[]", b"{}", b",", b"]"],
            Format::MessagePack => [&[0x93][..], &[0x90], &[0x80], b"", b""],
        };
        let args = self.raw("args").unwrap_or(no_args);
        let kwargs = self.raw("kwargs").unwrap_or(no_kwargs);
        let mut body = [open, args, between, kwargs, between].concat();
        map_into(self.format, &links, &mut body);
        body.extend_from_slice(close);
        body.into()
    }
}

fn decode<T: DeserializeOwned>(
    format: Format,
    place: &'static str,
    bytes: &[u8],
) -> Result<T, Unreadable> {
    format.decode(bytes).map_err(|DecodeError { message, .. }| Unreadable::Shape {
        place,
        expected: "what protocol 1 says",
        found: message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Body, Value};
    use serde_json::json;
    use std::time::{Duration, UNIX_EPOCH};

    fn upgrade(format: Format, body: &serde_json::Value) -> Result<Envelope, Unreadable> {
        let body = format.encode(body).unwrap().into();
        let content_type = Some(format.content_type().to_owned());
        let properties = Properties { content_type, ..Properties::default() };
        upgrade_v1(properties, BTreeMap::new(), None, &body, &Limits::default())
    }

    #[test]
    fn a_message_of_protocol_1_becomes_one_of_protocol_2() {
        let callback = json!({
            "task": "log", "args": [], "kwargs": {}, "options": {},
            "subtask_type": null, "immutable": true,
        });
        let sent = json!({
            "task": "mail.send", "id": "id-1", "args": [1, "two"], "kwargs": {"three": 3},
            "group": null, "group_index": null, "retries": 2, "eta": "1970-01-01T00:00:05",
            "expires": null, "utc": true, "callbacks": [callback], "errbacks": null,
            "timelimit": [30, null], "taskset": "group-1", "chord": null,
        });
        for format in [Format::Json, Format::MessagePack] {
            let envelope = upgrade(format, &sent).unwrap();
            let expected = Headers {
                retries: 2,
                eta: Some(UNIX_EPOCH + Duration::from_secs(5)),
                group: Some("group-1".to_owned()),
                time_limits: TimeLimits { hard: Some(30.0), soft: None },
                ..Headers::new("mail.send", "id-1".into())
            };
            assert_eq!(envelope.headers, expected);
            let body = Body::parse(&envelope, &Limits::default()).unwrap();
            assert_eq!(body.args::<(u8, String)>().unwrap(), (1, "two".to_owned()));
            assert_eq!(body.kwargs_json().unwrap()["three"], 3);
            assert_eq!(json!(body.embed().unwrap().callbacks), json!([callback]));
        }
    }

    #[test]
    fn the_least_that_is_a_task() {
        for format in [Format::Json, Format::MessagePack] {
            let envelope = upgrade(format, &json!({"task": "t", "id": "i"})).unwrap();
            let body = Body::parse(&envelope, &Limits::default()).unwrap();
            assert_eq!(body.args::<Vec<Value>>().unwrap(), []);
            assert!(body.embed().unwrap().is_empty());
        }
    }

    #[test]
    fn what_is_no_task_says_why() {
        for (body, why) in [
            (json!([1]), "it is a list"),
            (json!(7), "it is a number"),
            (json!({"id": "i"}), "it has no `task`"),
            (json!({"task": "t"}), "it has no `id`"),
        ] {
            assert_eq!(upgrade(Format::Json, &body), Err(Unreadable::NotATask(why.to_owned())));
        }
        let sent = json!({"task": "t", "id": "i", "eta": "soon"});
        let error = upgrade(Format::Json, &sent).unwrap_err();
        assert_eq!(error.to_string(), "eta: expected an ISO 8601 time, found soon");
        for (name, value) in [("timelimit", json!([-1, null])), ("retries", json!("many"))] {
            let sent = json!({"task": "t", "id": "i", name: value});
            assert_eq!(upgrade(Format::Json, &sent).unwrap_err().reason(), "unreadable");
        }
    }
}
