//! The last events, as they came: for who wants to watch. In memory only; what they say of tasks is in
//! the index.
//!
//! Heartbeats are left out, and of what comes faster than anybody reads only a part is taken, so that
//! taking events in costs the same with and without it.

use super::change::Micros;
use super::redact::Redact;
use crate::events::Told;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// So many are kept.
const KEPT: usize = 2_000;

/// So many are taken in each second.
const EACH_SECOND: u32 = 1_000;

/// A text is kept up to here, in characters.
const LONGEST: usize = 240;

/// What is kept of an event beside who, when and what.
const FIELDS: [&str; 5] = ["uuid", "name", "queue", "exception", "runtime"];

const SECOND: Micros = 1_000_000;

/// The last events. Cloning is cheap; all clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Feed(Arc<Mutex<Ring>>);

#[derive(Debug, Default)]
struct Ring {
    /// The oldest first.
    events: VecDeque<Arc<Told>>,
    /// The second in which events are counted, and how many came in it.
    second: i64,
    came: u32,
    left_out: u64,
}

impl Feed {
    /// Takes what was told, when it is `now`.
    pub(super) fn take(&self, told: &[Told], redact: &Redact, now: Micros) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for it in told.iter().filter(|it| it.kind != "worker-heartbeat") {
            ring.take(it, redact, now / SECOND);
        }
    }

    /// The last events, the newest first, and how many were left out since the start.
    pub(super) fn latest(&self) -> (Vec<Arc<Told>>, u64) {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (ring.events.iter().rev().cloned().collect(), ring.left_out)
    }
}

impl Ring {
    fn take(&mut self, told: &Told, redact: &Redact, second: i64) {
        if second != self.second {
            (self.second, self.came) = (second, 0);
        }
        self.came += 1;
        if self.came > EACH_SECOND {
            self.left_out += 1;
            return;
        }
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(Arc::new(brief(told, redact)));
    }
}

fn brief(told: &Told, redact: &Redact) -> Told {
    let keep = |field: &&str| Some(((*field).to_owned(), short(told.fields.get(*field)?, redact)));
    Told {
        kind: cut(&told.kind),
        hostname: cut(&told.hostname),
        clock: told.clock,
        timestamp: told.timestamp,
        fields: FIELDS.iter().filter_map(keep).collect::<BTreeMap<_, _>>(),
    }
}

fn short(value: &Value, redact: &Redact) -> Value {
    match value {
        Value::String(text) => Value::String(redact.text(&cut(text))),
        Value::Number(_) | Value::Bool(_) => value.clone(),
        _ => Value::Null,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(kind: &str, uuid: &str) -> Told {
        let args = "x".repeat(9_999);
        serde_json::from_value(json!({
            "type": kind, "hostname": "w@h", "timestamp": 1.0, "uuid": uuid, "args": args,
            "exception": args,
        }))
        .unwrap()
    }

    #[test]
    fn the_newest_are_first_short_and_without_heartbeats() {
        let feed = Feed::default();
        let redact = Redact::default();
        feed.take(&[told("task-started", "a"), told("worker-heartbeat", "")], &redact, 0);
        feed.take(&[told("task-failed", "b")], &redact, 0);
        let (events, left_out) = feed.latest();
        let kinds: Vec<_> = events.iter().map(|it| it.kind.as_str()).collect();
        assert_eq!((kinds.as_slice(), left_out), (["task-failed", "task-started"].as_slice(), 0));
        assert_eq!(events[0].fields["exception"].as_str().unwrap().len(), LONGEST);
        assert!(!events[0].fields.contains_key("args"));
    }

    #[test]
    fn a_flood_is_thinned_and_no_more_is_kept_than_that() {
        let feed = Feed::default();
        let many: Vec<_> =
            (0..EACH_SECOND + 10).map(|n| told("task-sent", &n.to_string())).collect();
        let redact = Redact::default();
        feed.take(&many, &redact, 0);
        assert_eq!(feed.latest().1, 10);
        for second in 1..4 {
            feed.take(&many[..900], &redact, second * SECOND);
        }
        let (events, left_out) = feed.latest();
        assert_eq!((events.len(), left_out), (KEPT, 10), "the next second takes again");
    }
}
