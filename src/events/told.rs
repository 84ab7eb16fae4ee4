//! Reading events: ours, and those of Celery's workers.

use crate::broker::RawMessage;
use crate::ids::TaskId;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// An event that somebody told.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Told {
    /// What happened, such as `task-succeeded`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who told it.
    pub hostname: String,
    /// The teller's Lamport clock.
    #[serde(default)]
    pub clock: u64,
    /// When, in seconds since 1970, by the teller's clock.
    pub timestamp: f64,
    /// Everything else.
    #[serde(flatten)]
    pub fields: BTreeMap<String, Value>,
}

/// Why a message is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no event: {0}")]
pub struct UnreadableEvent(String);

impl Told {
    /// The task it tells of, if it tells of one.
    pub fn uuid(&self) -> Option<TaskId> {
        self.fields.get("uuid")?.as_str().map(TaskId::from)
    }
}

/// The events in a message: one, or a list of them. Messages of the exchange `celeryev` and of the
/// stream that keeps them are the same.
///
/// # Errors
///
/// When it is neither, or not JSON. That of one event in a list spoils the list.
pub fn read(message: &RawMessage) -> Result<Vec<Told>, UnreadableEvent> {
    match message.content_type() {
        Some("application/json") | None => parse(&message.body),
        Some(other) => Err(UnreadableEvent(format!("content type {other}, not application/json"))),
    }
}

pub(super) fn parse(body: &[u8]) -> Result<Vec<Told>, UnreadableEvent> {
    let failed = |error: serde_json::Error| UnreadableEvent(error.to_string());
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => serde_json::from_slice(body).map_err(failed),
        _ => Ok(vec![serde_json::from_slice(body).map_err(failed)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_events_and_lists_are_read() {
        let event = |kind: &str| {
            format!(
                r#"{{"type":"{kind}","hostname":"h","clock":3,"timestamp":1.5,"uuid":"u","x":[1]}}"#
            )
        };
        let one = parse(event("task-started").as_bytes()).unwrap();
        assert_eq!((one.len(), one[0].kind.as_str(), one[0].clock), (1, "task-started", 3));
        assert_eq!((one[0].uuid(), &one[0].fields["x"][0]), (Some("u".into()), &1.into()));
        let two = parse(format!(" [{},{}]", event("a"), event("b")).as_bytes()).unwrap();
        assert_eq!(two.iter().map(|it| it.kind.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn hostile_bodies_are_refused_with_a_reason() {
        for body in ["", "1", "[1]", "{}", r#"{"type":"x"}"#, &"[".repeat(100_000)] {
            let error = parse(body.as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with("no event: "), "{error}");
        }
        let other = RawMessage::event("e", "k", "n", "{}".into());
        assert!(read(&other).is_err());
    }
}
