//! What an event says, as far as the monitor keeps it. Pure.

use crate::archive::Entry;
use crate::clock::parse_iso;
pub(super) use crate::clock::{micros, micros_in, time_of};
use crate::control::audit::Record;
use crate::events::Told;
use serde_json::Value;

/// Microseconds since 1970, and differences of them: what times are in the index.
pub(super) type Micros = i64;

/// Texts from the network are kept up to here, in bytes. Senders cut arguments and results to a
/// kilobyte; tracebacks are longer.
const LONGEST: usize = 64 << 10;

/// Names, ids and the like are kept up to here.
const LONGEST_NAME: usize = 512;

/// Something that changes the index.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    /// A task has gone a step, told at this count of the teller's logical clock.
    Task(Step, i64),
    /// A worker has told of itself.
    Worker(Pulse),
    /// Something was given up, or somebody did something about it.
    Dead(Entry),
    /// Somebody did something.
    Audit(Record),
}

/// A step in the life of a task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) id: String,
    /// When, by the clock of who told it.
    pub(super) at: Micros,
    /// Who told it: a worker, or for [`What::Sent`] the sender.
    pub(super) node: String,
    pub(super) what: What,
}

/// What happened to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    Sent(Message),
    Received(Message),
    Started {
        pid: Option<i64>,
    },
    Succeeded {
        result: Option<String>,
        run: Option<Micros>,
    },
    Failed {
        error: String,
        traceback: Option<String>,
    },
    Retried {
        error: String,
        traceback: Option<String>,
    },
    Revoked,
    Expired,
    Rejected,
    /// Its message went back to its queue.
    GivenBack,
}

/// What its message says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Message {
    pub(super) name: Option<String>,
    pub(super) queue: Option<String>,
    pub(super) args: Option<String>,
    pub(super) kwargs: Option<String>,
    pub(super) root: Option<String>,
    pub(super) parent: Option<String>,
    pub(super) group: Option<String>,
    pub(super) retries: i64,
    pub(super) eta: Option<Micros>,
    pub(super) expires: Option<Micros>,
}

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Pulse {
    pub(super) node: String,
    pub(super) at: Micros,
    pub(super) beat: Beat,
    /// From one heartbeat to the next.
    pub(super) every: Micros,
    pub(super) active: Option<i64>,
    pub(super) processed: Option<i64>,
    /// The machine's load over the last minute.
    pub(super) load: Option<f64>,
    pub(super) ident: Option<String>,
    pub(super) version: Option<String>,
    pub(super) pid: Option<i64>,
    /// Events that it could not publish.
    pub(super) dropped: i64,
}

/// Why a worker told of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Beat {
    Online,
    #[default]
    Alive,
    Offline,
}

/// What `told` changes; `None` when it is of no kind that we know, or of no task.
pub(super) fn change(told: &Told) -> Option<Change> {
    let at = micros_of_seconds(told.timestamp)?;
    let node = cut(&told.hostname, LONGEST_NAME);
    let beat = match told.kind.as_str() {
        "worker-online" => Beat::Online,
        "worker-heartbeat" => Beat::Alive,
        "worker-offline" => Beat::Offline,
        kind => {
            let what = what(kind, told)?;
            let id = name(told, "uuid")?;
            return Some(Change::Task(Step { id, at, node, what }, told.clock as i64));
        }
    };
    Some(Change::Worker(pulse(told, node, at, beat)))
}

fn what(kind: &str, told: &Told) -> Option<What> {
    Some(match kind {
        "task-sent" => What::Sent(message(told)),
        "task-received" => What::Received(message(told)),
        "task-started" => What::Started { pid: number(told, "pid") },
        "task-succeeded" => What::Succeeded {
            result: text(told, "result"),
            run: told.fields.get("runtime").and_then(Value::as_f64).and_then(micros_of_seconds),
        },
        "task-failed" => What::Failed { error: error(told), traceback: text(told, "traceback") },
        "task-retried" => What::Retried { error: error(told), traceback: text(told, "traceback") },
        "task-revoked" if is_true(told, "expired") => What::Expired,
        "task-revoked" => What::Revoked,
        "task-rejected" if is_true(told, "requeue") => What::GivenBack,
        "task-rejected" => What::Rejected,
        _ => return None,
    })
}

fn message(told: &Told) -> Message {
    Message {
        name: name(told, "name"),
        queue: name(told, "queue"),
        args: text(told, "args"),
        kwargs: text(told, "kwargs"),
        root: name(told, "root_id"),
        parent: name(told, "parent_id"),
        group: name(told, "group_id"),
        retries: number(told, "retries").unwrap_or_default().max(0),
        eta: time(told, "eta"),
        expires: time(told, "expires"),
    }
}

fn pulse(told: &Told, node: String, at: Micros, beat: Beat) -> Pulse {
    let every = told.fields.get("freq").and_then(Value::as_f64).and_then(micros_of_seconds);
    let load = told.fields.get("loadavg").and_then(|load| load.get(0)).and_then(Value::as_f64);
    Pulse {
        node,
        at,
        beat,
        every: every.unwrap_or(2_000_000).max(1_000_000),
        active: number(told, "active"),
        processed: number(told, "processed"),
        load,
        ident: name(told, "sw_ident"),
        version: name(told, "sw_ver"),
        pid: number(told, "pid"),
        dropped: number(told, "events_dropped").unwrap_or_default(),
    }
}

fn error(told: &Told) -> String {
    text(told, "exception").unwrap_or_else(|| "unknown".to_owned())
}

fn name(told: &Told, field: &str) -> Option<String> {
    let text = told.fields.get(field)?.as_str()?;
    (!text.is_empty()).then(|| cut(text, LONGEST_NAME))
}

fn text(told: &Told, field: &str) -> Option<String> {
    match told.fields.get(field)? {
        Value::Null => None,
        Value::String(text) => Some(cut(text, LONGEST)),
        // Celery's `task-sent` with arguments that were given as they are.
        other => Some(cut(&other.to_string(), LONGEST)),
    }
}

fn number(told: &Told, field: &str) -> Option<i64> {
    told.fields.get(field)?.as_i64()
}

fn is_true(told: &Told, field: &str) -> bool {
    told.fields.get(field).and_then(Value::as_bool).unwrap_or_default()
}

fn time(told: &Told, field: &str) -> Option<Micros> {
    parse_iso(told.fields.get(field)?.as_str()?).map(micros)
}

/// The text, at most so many bytes long.
fn cut(text: &str, longest: usize) -> String {
    let end = (0..=longest.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or_default()].to_owned()
}

/// `None` for what is no time between 1970 and the year 9999.
fn micros_of_seconds(seconds: f64) -> Option<Micros> {
    const YEAR_9999: f64 = 253_402_300_800.0;
    (0.0..YEAR_9999).contains(&seconds).then_some((seconds * 1e6) as Micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(kind: &str, fields: &Value) -> Told {
        let mut event = json!({"type": kind, "hostname": "w@h", "clock": 1, "timestamp": 1.5});
        event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(event).unwrap()
    }

    fn step(kind: &str, fields: &Value) -> Option<Step> {
        match change(&told(kind, fields))? {
            Change::Task(step, _) => Some(step),
            _ => None,
        }
    }

    #[test]
    fn events_of_tasks_are_steps() {
        let received = step("task-received", &json!({"uuid": "a", "name": "t", "retries": 2}));
        let message = Message { name: Some("t".into()), retries: 2, ..Message::default() };
        let what = What::Received(message);
        assert_eq!(
            received,
            Some(Step { id: "a".into(), at: 1_500_000, node: "w@h".into(), what })
        );
        let cases = [
            ("task-started", json!({"uuid": "a", "pid": 7}), What::Started { pid: Some(7) }),
            (
                "task-succeeded",
                json!({"uuid": "a", "runtime": 0.25, "result": "3"}),
                What::Succeeded { result: Some("3".into()), run: Some(250_000) },
            ),
            ("task-revoked", json!({"uuid": "a", "expired": true}), What::Expired),
            ("task-revoked", json!({"uuid": "a", "expired": false}), What::Revoked),
            ("task-rejected", json!({"uuid": "a", "requeue": true}), What::GivenBack),
            ("task-rejected", json!({"uuid": "a", "requeue": false}), What::Rejected),
        ];
        for (kind, fields, what) in cases {
            assert_eq!(step(kind, &fields).map(|it| it.what), Some(what), "{kind}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_left_out() {
        assert_eq!(step("task-started", &json!({})), None, "no task");
        assert_eq!(step("task-started", &json!({"uuid": 3})), None, "an id is text");
        assert_eq!(step("task-custom", &json!({"uuid": "a"})), None, "another kind");
        for timestamp in [-1.0, 1e300] {
            let mut event = told("task-started", &json!({"uuid": "a"}));
            event.timestamp = timestamp;
            assert_eq!(change(&event), None, "{timestamp}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "ü".repeat(LONGEST);
        let Some(Step { what: What::Failed { error, .. }, .. }) =
            step("task-failed", &json!({"uuid": "a", "exception": long}))
        else {
            panic!("a failure")
        };
        assert_eq!(error.len(), LONGEST);
        let id = step("task-started", &json!({"uuid": "x".repeat(9_999)})).unwrap().id;
        assert_eq!(id.len(), LONGEST_NAME);
    }
}
