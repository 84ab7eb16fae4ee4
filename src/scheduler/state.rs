//! What one leader leaves to the next: one small message in the broker.
//!
//! Everything else follows from the entries: up to which time all is dealt with, and what differs
//! from the files.

use super::settings::ScheduleSettings;
use crate::broker::RawMessage;
use crate::clock::iso;
use crate::control::Pause;
use crate::control::leader::Edited;
use crate::ids::TaskId;
use crate::protocol::{EncodeError, Properties};
use crate::topology::names;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// The state of all schedules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Counts leaders; a greater term is a later one.
    pub term: u64,
    /// Counts the states of a term.
    pub sequence: u64,
    /// Every run that was to be sent by then is dealt with.
    #[serde(with = "iso")]
    pub handled: SystemTime,
    /// The name of the scheduler that wrote it.
    #[serde(default)]
    pub leader: String,
    /// Schedules that somebody stopped for now.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paused: BTreeMap<String, Pause>,
    /// What somebody changed in the schedules of the files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub edits: BTreeMap<String, ScheduleSettings>,
    /// And who changed it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub edited: BTreeMap<String, Edited>,
    /// The last run of each schedule that must not overlap and whose end is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub running: BTreeMap<String, Running>,
    /// Runs that were due and that the broker has not confirmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<Owed>,
}

/// A run that may not have ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Its task's id.
    pub id: TaskId,
    /// Since when.
    #[serde(with = "iso")]
    pub since: SystemTime,
}

/// A run that is still to be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Owed {
    /// Its schedule.
    pub schedule: String,
    /// When it was due.
    #[serde(with = "iso")]
    pub due: SystemTime,
}

impl State {
    /// The state of schedules that have never run: they begin now.
    pub fn new(now: SystemTime) -> Self {
        Self {
            term: 0,
            sequence: 0,
            handled: now,
            leader: String::new(),
            paused: BTreeMap::new(),
            edits: BTreeMap::new(),
            edited: BTreeMap::new(),
            running: BTreeMap::new(),
            owed: Vec::new(),
        }
    }

    /// Reads what [`State::message`] wrote.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// Whether this one was written before `other`.
    pub fn is_before(&self, other: &Self) -> bool {
        (self.term, self.sequence) < (other.term, other.sequence)
    }

    /// The message that keeps it.
    ///
    /// # Errors
    ///
    /// When a value in an edit has no JSON, which the checks of an edit rule out.
    pub fn message(&self) -> Result<RawMessage, EncodeError> {
        let body = serde_json::to_vec(self)
            .map_err(|error| EncodeError { format: "JSON", message: error.to_string() })?;
        let properties = Properties {
            content_type: Some("application/json".to_owned()),
            message_id: Some(format!("{}.{}", self.term, self.sequence)),
            persistent: true,
            ..Properties::default()
        };
        RawMessage::try_from_parts("", names::SCHEDULER, &properties, BTreeMap::new(), body.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_612_345_678_901);
        let mut state = State { term: 3, sequence: 7, leader: "a".into(), ..State::new(now) };
        let pause = Pause { by: "ana".into(), at: now, reason: String::new() };
        state.paused.insert("mail".into(), pause);
        state.edits.insert("x".into(), toml::from_str("every = \"5s\"\nargs = [1]").unwrap());
        let edited = Edited { by: "ana".into(), at: "2026-11-25T18:00:00Z".into() };
        state.edited.insert("x".into(), edited);
        state.running.insert("y".into(), Running { id: "1".into(), since: now });
        state.owed.push(Owed { schedule: "z".into(), due: now });
        let message = state.message().unwrap();
        assert_eq!(State::read(&message.body).unwrap(), state);
        // The state of ten thousand schedules is no larger.
        assert!(State::new(now).message().unwrap().body.len() < 120);
    }

    #[test]
    fn a_later_term_is_later_whatever_was_counted_before() {
        let state = |term, sequence| State { term, sequence, ..State::new(SystemTime::now()) };
        assert!(state(1, 900).is_before(&state(2, 0)));
        assert!(state(2, 0).is_before(&state(2, 1)));
        assert!(!state(2, 1).is_before(&state(2, 1)));
    }
}
