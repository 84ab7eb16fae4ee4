//! Which queues are paused, as a value. Pure.
//!
//! Every change of a queue has a version, one above what its writer knew, and every record carries
//! all that its writer knows. So records can be taken in in any order, twice, and from anywhere in the
//! stream on: of two changes the one with the greater version stands, and of two that crossed the one
//! with the greater id, for everybody.

use crate::broker::RawMessage;
use crate::clock::iso;
use crate::topology::names;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// So many queues are known; those go first that were resumed longest ago.
const MOST: usize = 1_000;

/// Names and reasons are no longer than this, in bytes.
const LONGEST: usize = 1_024;

/// Who stopped something for now, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pause {
    /// Who.
    pub by: String,
    /// When.
    #[serde(with = "iso")]
    #[schemars(with = "String")]
    pub at: SystemTime,
    /// Why; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Which queues nobody shall consume, and what was said of others before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pauses(BTreeMap<String, Change>);

/// The last that was said of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Change {
    version: u64,
    /// Random.
    id: String,
    is_paused: bool,
    #[serde(flatten)]
    said: Pause,
    /// Workers that read no pauses and were told to stop consuming.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<String>,
}

impl Pauses {
    /// Why this queue is not consumed; `None` when it may be.
    pub fn of(&self, queue: &str) -> Option<&Pause> {
        self.0.get(queue).filter(|change| change.is_paused).map(|change| &change.said)
    }

    /// The queues that are paused, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Pause)> {
        let paused = self.0.iter().filter(|(_, change)| change.is_paused);
        paused.map(|(queue, change)| (queue.as_str(), &change.said))
    }

    /// Whether no queue is paused.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The workers that read no pauses and were told to stop consuming it.
    pub(super) fn others(&self, queue: &str) -> &[String] {
        self.0.get(queue).map_or(&[], |change| &change.others)
    }

    /// The same, and this queue is paused.
    pub(super) fn pause(&self, queue: &str, said: Pause, others: Vec<String>) -> Self {
        self.change(queue, |version, id| Change { version, id, is_paused: true, said, others })
    }

    /// The same, and this queue is not paused any more.
    pub(super) fn resume(&self, queue: &str, said: Pause) -> Self {
        let others = Vec::new();
        self.change(queue, |version, id| Change { version, id, is_paused: false, said, others })
    }

    fn change(&self, queue: &str, change: impl FnOnce(u64, String) -> Change) -> Self {
        let version = self.0.get(queue).map_or(0, |known| known.version).saturating_add(1);
        let id = uuid::Uuid::new_v4().simple().to_string();
        let mut next = self.clone();
        next.0.insert(queue.to_owned(), change(version, id));
        next.trim();
        next
    }

    /// What is known of one queue alone.
    pub(super) fn only(&self, queue: &str) -> Self {
        let known = self.0.get(queue).map(|change| (queue.to_owned(), change.clone()));
        Self(known.into_iter().collect())
    }

    /// Takes in what another knows; whether anything of it is news.
    pub(crate) fn merge(&mut self, other: Self) -> bool {
        let mut is_news = false;
        for (queue, change) in other.0 {
            if self.0.get(&queue).is_none_or(|known| change.is_after(known)) {
                self.0.insert(queue, change);
                is_news = true;
            }
        }
        self.trim();
        is_news
    }

    /// The record that keeps it.
    pub(super) fn message(&self) -> RawMessage {
        let body = serde_json::to_vec(self).unwrap_or_default();
        RawMessage::record(names::PAUSED, body.into())
    }

    /// Reads a record; `None` for what is none of ours.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let read: Self = serde_json::from_slice(body).ok()?;
        let is_short = |change: &Change| {
            let texts = [&change.said.by, &change.said.reason, &change.id];
            texts.into_iter().chain(&change.others).all(|text| text.len() <= LONGEST)
        };
        let fits = |(queue, change): (&String, &Change)| queue.len() <= 255 && is_short(change);
        read.0.iter().all(fits).then_some(read)
    }

    /// Forgets first what was resumed longest ago, and never what is paused.
    fn trim(&mut self) {
        while self.0.len() > MOST {
            let resumed = self.0.iter().filter(|(_, change)| !change.is_paused);
            let oldest = resumed.min_by_key(|(_, change)| change.said.at);
            let Some(oldest) = oldest.map(|(queue, _)| queue.clone()) else { return };
            self.0.remove(&oldest);
        }
    }
}

impl Change {
    fn is_after(&self, other: &Self) -> bool {
        (self.version, &self.id) > (other.version, &other.id)
    }
}

impl Pause {
    /// Somebody says something now. What is too long to be kept is cut.
    pub fn new(by: &str, at: SystemTime, reason: &str) -> Self {
        let cut = |text: &str| text[..text.floor_char_boundary(LONGEST)].to_owned();
        Self { by: cut(by), at, reason: cut(reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn said(by: &str) -> Pause {
        Pause::new(by, SystemTime::UNIX_EPOCH + Duration::from_secs(1), "smtp down")
    }

    fn merged<'a>(records: impl IntoIterator<Item = &'a Pauses>) -> Pauses {
        let mut all = Pauses::default();
        for record in records {
            all.merge(record.clone());
        }
        all
    }

    #[test]
    fn the_later_change_stands_in_whatever_order_records_are_read() {
        let none = Pauses::default();
        let paused = none.pause("email", said("ana"), vec!["beat@py".to_owned()]);
        let other = none.pause("video", said("bo"), Vec::new());
        let resumed = paused.resume("email", said("cy"));
        let records = [&paused, &other, &resumed];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let all = merged(order.map(|at| records[at]));
            assert_eq!(all.of("email"), None);
            assert_eq!(all.of("video"), Some(&said("bo")));
        }
        assert_eq!(merged([&paused]).others("email"), ["beat@py"]);
        assert!(!merged(records).merge(paused), "a record that is written again is no news");
    }

    #[test]
    fn of_a_pause_and_a_resumption_that_cross_everybody_takes_the_same() {
        let known = Pauses::default().pause("email", said("ana"), Vec::new());
        let (again, over) =
            (known.pause("email", said("bo"), Vec::new()), known.resume("email", said("cy")));
        let first = merged([&known, &again, &over]);
        assert_eq!(first, merged([&over, &again, &known]));
        assert!([&again, &over].into_iter().any(|it| first.of("email") == it.of("email")));
    }

    #[test]
    fn the_last_record_alone_says_all_that_its_writer_knew() {
        let first = Pauses::default().pause("email", said("ana"), Vec::new());
        let second = first.pause("video", said("bo"), Vec::new());
        let read = Pauses::read(&second.message().body).unwrap();
        assert_eq!(read.iter().map(|(queue, _)| queue).collect::<Vec<_>>(), ["email", "video"]);
        assert_eq!(read.only("video").iter().count(), 1);
        assert_eq!(read, second);
    }

    #[test]
    fn what_is_no_record_is_left_out() {
        for body in ["", "null", "[]", r#"{"email": {}}"#, r#"{"email": {"version": -1}}"#] {
            assert_eq!(Pauses::read(body.as_bytes()), None, "{body}");
        }
        let long = Pauses::default().pause(&"q".repeat(256), said("ana"), Vec::new());
        assert_eq!(Pauses::read(&long.message().body), None);
        assert_eq!(Pause::new("é".repeat(600).as_str(), SystemTime::UNIX_EPOCH, "").by.len(), 1024);
    }

    #[test]
    fn what_was_resumed_is_forgotten_before_it_is_too_much_and_what_is_paused_never() {
        let mut all = Pauses::default();
        for number in 0..=MOST {
            let queue = number.to_string();
            all = all.pause(&queue, said("ana"), Vec::new());
            if number % 2 == 0 {
                let at = SystemTime::UNIX_EPOCH + Duration::from_secs(number as u64);
                all = all.resume(&queue, Pause { at, ..said("ana") });
            }
        }
        assert_eq!(all.0.len(), MOST);
        assert_eq!(all.iter().count(), MOST / 2);
        assert!(!all.0.contains_key("0") && all.0.contains_key("2"));
    }
}
