//! What happened in the earlier attempts of a task: a list that travels in its headers.

use crate::clock;
use crate::protocol::HeaderValue;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// One attempt that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRecord {
    /// Its number, from 1.
    pub number: u32,
    /// When it ended.
    pub at: SystemTime,
    /// How long it ran.
    pub took: Duration,
    /// The worker that ran it.
    pub worker: String,
    /// How it failed: type and text.
    pub error: String,
}

/// So many attempts are remembered: the first, and the latest.
const MOST: usize = 20;

/// So many bytes of an error are remembered. All headers together must fit into one frame.
const LONGEST_ERROR: usize = 1_000;

impl AttemptRecord {
    /// `earlier`, a header value as it came, with this attempt added; the value of
    /// [`crate::protocol::header::ATTEMPTS`].
    pub fn add_to(&self, earlier: &HeaderValue) -> HeaderValue {
        let mut list = match earlier {
            HeaderValue::List(list) => list.clone(),
            _ => Vec::new(),
        };
        if list.len() >= MOST {
            list.drain(1..=list.len() - MOST + 1);
        }
        list.push(self.to_header());
        HeaderValue::List(list)
    }

    /// Reads the header. What cannot be read is left out.
    pub fn read_all(header: &HeaderValue) -> Vec<Self> {
        match header {
            HeaderValue::List(list) => list.iter().filter_map(Self::read).collect(),
            _ => Vec::new(),
        }
    }

    fn to_header(&self) -> HeaderValue {
        let took = i64::try_from(self.took.as_millis()).unwrap_or(i64::MAX);
        let fields = [
            ("number", HeaderValue::Int(self.number.into())),
            ("at", HeaderValue::Text(clock::to_iso(self.at))),
            ("took_ms", HeaderValue::Int(took)),
            ("worker", HeaderValue::Text(self.worker.clone())),
            ("error", HeaderValue::Text(shorten(&self.error, LONGEST_ERROR))),
        ];
        HeaderValue::Table(fields.map(|(name, value)| (name.to_owned(), value)).into())
    }

    fn read(value: &HeaderValue) -> Option<Self> {
        let HeaderValue::Table(table) = value else { return None };
        Some(Self {
            number: number(table, "number")?,
            at: clock::parse_iso(text(table, "at")?)?,
            took: Duration::from_millis(number(table, "took_ms")?),
            worker: text(table, "worker")?.to_owned(),
            error: text(table, "error")?.to_owned(),
        })
    }
}

/// `text`, or as much of it as fits into `longest` bytes with a mark that something is missing.
pub(super) fn shorten(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let end = (0..=longest - '…'.len_utf8()).rev().find(|&at| text.is_char_boundary(at));
    format!("{}…", &text[..end.unwrap_or(0)])
}

fn number<N: TryFrom<i64>>(table: &BTreeMap<String, HeaderValue>, name: &str) -> Option<N> {
    match table.get(name)? {
        HeaderValue::Int(number) => N::try_from(*number).ok(),
        _ => None,
    }
}

fn text<'a>(table: &'a BTreeMap<String, HeaderValue>, name: &str) -> Option<&'a str> {
    match table.get(name)? {
        HeaderValue::Text(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32) -> AttemptRecord {
        AttemptRecord {
            number,
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_612_345_678),
            took: Duration::from_millis(1_200),
            worker: "alpha@web1".to_owned(),
            error: "SMTPTimeout: timed out".to_owned(),
        }
    }

    #[test]
    fn attempts_are_read_back_in_order() {
        let header = attempt(2).add_to(&attempt(1).add_to(&HeaderValue::Null));
        assert_eq!(AttemptRecord::read_all(&header), [attempt(1), attempt(2)]);
    }

    #[test]
    fn the_first_and_the_latest_attempts_are_remembered() {
        let header = (1..=50).fold(HeaderValue::Null, |list, number| attempt(number).add_to(&list));
        let numbers: Vec<_> = AttemptRecord::read_all(&header).iter().map(|it| it.number).collect();
        assert_eq!((numbers.len(), numbers[0], numbers[1], numbers[19]), (20, 1, 32, 50));
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("ééééé", 8), "éé…");
    }
}
