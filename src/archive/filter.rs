//! Which letters are meant: `queue:mail error:"timed out" since:6h`.

use super::{DeadLetter, Reason, State};
use crate::clock;
use globset::{Glob, GlobMatcher};
use std::fmt;
use std::time::SystemTime;

/// A filter over dead letters. Terms with the same key are alternatives; letters must satisfy every
/// key that is there.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    queues: Vec<GlobMatcher>,
    tasks: Vec<GlobMatcher>,
    reasons: Vec<Reason>,
    errors: Vec<String>,
    ids: Vec<String>,
    since: Option<SystemTime>,
    until: Option<SystemTime>,
    states: States,
}

/// Which states are meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum States {
    #[default]
    Open,
    Requeued,
    Discarded,
    All,
}

/// A filter that cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FilterError {
    /// The whole filter as written.
    pub text: String,
    /// Where the mistake begins, in characters.
    pub at: usize,
    /// How many characters it has, at least 1.
    pub length: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

const KEYS: [&str; 8] = ["queue", "task", "reason", "error", "id", "since", "until", "state"];

const STATES: [(&str, States); 4] = [
    ("open", States::Open),
    ("requeued", States::Requeued),
    ("discarded", States::Discarded),
    ("all", States::All),
];

impl Filter {
    /// Reads a filter; an empty one means every open letter.
    ///
    /// - `queue:NAME`, `task:NAME`: `*` matches any text
    /// - `reason:WORD`: see [`Reason`]
    /// - `error:TEXT`: the error contains this, in upper or lower case
    /// - `id:ID`: the task id, or its beginning
    /// - `since:TIME`, `until:TIME`: as long ago as `6h`, or a date and time
    /// - `state:open|requeued|discarded|all`: `open` unless given
    ///
    /// Text with spaces stands in double quotes.
    ///
    /// # Errors
    /// Where the text is none of this.
    pub fn parse(text: &str, now: SystemTime) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        for term in terms(text)? {
            filter.add(&term, now).map_err(|message| term.value_error(text, message))?;
        }
        Ok(filter)
    }

    /// Whether `letter` is meant.
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        self.matches_letter(letter) && self.matches_state(&letter.state)
    }

    /// Whether `letter` is meant as far as it never changes.
    pub(super) fn matches_letter(&self, letter: &DeadLetter) -> bool {
        let glob = |globs: &[GlobMatcher], text: &Option<String>| {
            any(globs, |glob| text.as_ref().is_some_and(|text| glob.is_match(text)))
        };
        let error = letter.error.as_deref().unwrap_or_default().to_lowercase();
        let id = letter.id.as_ref().map_or("", |id| id.as_str());
        let time = |accept: &dyn Fn(SystemTime) -> bool| letter.dead_at.is_some_and(accept);
        glob(&self.queues, &letter.queue)
            && glob(&self.tasks, &letter.task)
            && any(&self.reasons, |reason| *reason == letter.reason)
            && any(&self.errors, |part| error.contains(part))
            && any(&self.ids, |beginning| id.starts_with(beginning))
            && self.since.is_none_or(|since| time(&|at| at >= since))
            && self.until.is_none_or(|until| time(&|at| at <= until))
    }

    fn matches_state(&self, state: &State) -> bool {
        matches!(
            (self.states, state),
            (States::All, _)
                | (States::Open, State::Open)
                | (States::Requeued, State::Requeued(_))
                | (States::Discarded, State::Discarded(_))
        )
    }

    /// Nothing older than this is meant.
    pub(super) fn since(&self) -> Option<SystemTime> {
        self.since
    }

    fn add(&mut self, term: &Term, now: SystemTime) -> Result<(), String> {
        let value = term.value.as_str();
        match term.key {
            "queue" => self.queues.push(glob(value)?),
            "task" => self.tasks.push(glob(value)?),
            "reason" => self.reasons.push(one_of(value, &Reason::ALL.map(|it| (it.as_str(), it)))?),
            "error" => self.errors.push(value.to_lowercase()),
            "id" => self.ids.push(value.to_owned()),
            "since" => self.since = Some(time(value, now)?),
            "until" => self.until = Some(time(value, now)?),
            _ => self.states = one_of(value, &STATES)?,
        }
        Ok(())
    }
}

/// One `key:value`, with the place of its value.
struct Term {
    key: &'static str,
    value: String,
    at: usize,
    length: usize,
}

impl Term {
    fn value_error(&self, text: &str, message: String) -> FilterError {
        FilterError { text: text.to_owned(), at: self.at, length: self.length.max(1), message }
    }
}

fn terms(text: &str) -> Result<Vec<Term>, FilterError> {
    let chars: Vec<char> = text.chars().collect();
    let fail = |at: usize, length: usize, message: String| {
        let length = length.max(1);
        Err(FilterError { text: text.to_owned(), at, length, message })
    };
    let mut terms = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if chars[at].is_whitespace() {
            at += 1;
            continue;
        }
        let word = until(&chars, at, |c| c == ':' || c.is_whitespace());
        let name: String = chars[at..word].iter().collect();
        if chars.get(word) != Some(&':') {
            let message = format!("expected key:value; the keys are {}", KEYS.join(", "));
            return fail(at, word - at, message);
        }
        let Some(key) = KEYS.into_iter().find(|key| *key == name) else {
            let message = format!("unknown key `{name}`{}", suggestion(&name, &KEYS));
            return fail(at, word - at, message);
        };
        let start = word + 1;
        let (from, end, next) = if chars.get(start) == Some(&'"') {
            let end = until(&chars, start + 1, |c| c == '"');
            if end == chars.len() {
                return fail(start, end - start, "the quote is not closed".to_owned());
            }
            (start + 1, end, end + 1)
        } else {
            let end = until(&chars, start, char::is_whitespace);
            (start, end, end)
        };
        if from == end {
            return fail(at, next - at, format!("`{key}:` has no value"));
        }
        let value = chars[from..end].iter().collect();
        terms.push(Term { key, value, at: from, length: end - from });
        at = next;
    }
    Ok(terms)
}

/// The first place at or after `from` where `stop` holds, or the end.
fn until(chars: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|&c| stop(c)).map_or(chars.len(), |found| from + found)
}

/// Whether one of the alternatives holds, or there are none.
fn any<T>(alternatives: &[T], holds: impl FnMut(&T) -> bool) -> bool {
    alternatives.is_empty() || alternatives.iter().any(holds)
}

fn glob(text: &str) -> Result<GlobMatcher, String> {
    let glob = Glob::new(text).map_err(|error| format!("no pattern: {}", error.kind()))?;
    Ok(glob.compile_matcher())
}

fn one_of<T: Copy>(word: &str, all: &[(&str, T)]) -> Result<T, String> {
    match all.iter().find(|(name, _)| *name == word) {
        Some((_, value)) => Ok(*value),
        None => {
            let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
            Err(format!("expected one of {}{}", names.join(", "), suggestion(word, &names)))
        }
    }
}

fn time(text: &str, now: SystemTime) -> Result<SystemTime, String> {
    let ago = humantime::parse_duration(text).ok().and_then(|ago| now.checked_sub(ago));
    let time = ago.or_else(|| clock::parse_iso(text));
    time.ok_or_else(|| "expected a time such as 6h, 30m or 2026-11-25T13:00:00Z".to_owned())
}

fn suggestion(word: &str, names: &[&str]) -> String {
    let near = |name: &&&str| strsim::damerau_levenshtein(word, name) <= 2;
    let nearest = names.iter().filter(near).min_by_key(|it| strsim::levenshtein(word, it));
    nearest.map_or(String::new(), |name| format!("; did you mean `{name}`?"))
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (space, carets) = (" ".repeat(self.at), "^".repeat(self.length));
        write!(f, "{}\n  {}\n  {space}{carets}", self.message, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Deed;
    use super::*;
    use std::time::Duration;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3600)
    }

    fn letter() -> DeadLetter {
        DeadLetter {
            offset: 0,
            reason: Reason::Exhausted,
            error: Some("SMTPTimeout: connection timed out".into()),
            dead_at: Some(NOW + hours(1)),
            task: Some("mail.send".into()),
            id: Some("a279a6c9-1".into()),
            queue: Some("mail".into()),
            exchange: None,
            routing_key: "mail".into(),
            worker: None,
            argsrepr: None,
            retries: 0,
            attempts: Vec::new(),
            size: 0,
            state: State::Open,
        }
    }

    fn matches(filter: &str, letter: &DeadLetter) -> bool {
        Filter::parse(filter, NOW + hours(2)).unwrap().matches(letter)
    }

    #[test]
    fn every_key_must_hold_and_the_same_key_offers_alternatives() {
        let cases = [
            ("", true),
            ("queue:mail task:mail.* reason:exhausted", true),
            ("queue:video", false),
            ("queue:video queue:mail", true),
            ("queue:mail reason:poison", false),
            (r#"error:"CONNECTION TIMED""#, true),
            ("error:refused", false),
            ("id:a279", true),
            ("id:279", false),
            ("since:90m", true),
            ("since:30m", false),
            ("until:30m", true),
            ("until:1970-01-01T00:30:00Z", false),
            ("state:open", true),
            ("state:all", true),
            ("state:requeued", false),
        ];
        for (filter, expected) in cases {
            assert_eq!(matches(filter, &letter()), expected, "{filter}");
        }
    }

    #[test]
    fn what_was_requeued_is_not_open() {
        let deed = Deed { at: NOW, by: "ana".into() };
        let letter = DeadLetter { state: State::Requeued(deed), ..letter() };
        assert!(!matches("queue:mail", &letter));
        assert!(matches("state:requeued", &letter));
        assert!(!matches("state:discarded", &letter));
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        let cases = [
            ("quue:mail", "unknown key `quue`; did you mean `queue`?\n  quue:mail\n  ^^^^"),
            (
                "queue:mail reason:poisn",
                "expected one of exhausted, time_limit, rejected, unreadable, unknown, expired, \
                 poison, undeliverable, overflow, other; did you mean `poison`?\n  \
                 queue:mail reason:poisn\n  \x20                 ^^^^^",
            ),
            (r#"error:"a b"#, "the quote is not closed\n  error:\"a b\n        ^^^^"),
            ("queue:", "`queue:` has no value\n  queue:\n  ^^^^^^"),
            (
                "since:6",
                "expected a time such as 6h, 30m or 2026-11-25T13:00:00Z\n  since:6\n        ^",
            ),
        ];
        for (filter, expected) in cases {
            assert_eq!(Filter::parse(filter, NOW).unwrap_err().to_string(), expected);
        }
        let bare = Filter::parse("mail", NOW).unwrap_err();
        assert!(bare.message.starts_with("expected key:value"), "{bare}");
    }
}
