//! Which letters are meant: `queue:mail error:"timed out" since:6h`.

use super::{DeadLetter, Reason, State};
use crate::filter::{Expr, Field, Fields, FilterError, Kind, Pattern, Term, Value, parse};
use std::time::SystemTime;

/// A filter over dead letters.
#[derive(Debug, Clone)]
pub struct Filter {
    expr: Expr,
    now: SystemTime,
}

/// The word that means every state.
const ALL: &str = "all";

static FIELDS: Fields = Fields::new(&[
    Field::new("queue", Kind::Text),
    Field::new("task", Kind::Text),
    Field::new("reason", Kind::Word(&Reason::WORDS)),
    Field::new("error", Kind::Prose),
    Field::new("id", Kind::Id { shortest: 1 }),
    Field::new("since", Kind::Since),
    Field::new("until", Kind::Until),
    Field::new("state", Kind::Word(&["open", "requeued", "discarded", ALL])),
]);

impl Filter {
    /// What a filter over dead letters can be about.
    pub fn fields() -> &'static Fields {
        &FIELDS
    }

    /// Reads a filter in the language of [`crate::filter`]; an empty one means every open letter.
    ///
    /// - `queue:NAME`, `task:NAME`: `*` matches any text, `:~` is followed by a part of the name
    /// - `reason:WORD`: see [`Reason`]
    /// - `error:TEXT`: the error contains this, in upper or lower case
    /// - `id:ID`: the task id, or its beginning
    /// - `since:TIME`, `until:TIME`: as long ago as `6h`, or a date, with or without a time of day
    /// - `state:open|requeued|discarded|all`: `open` unless some state is named
    ///
    /// Alternatives stand in a list, `queue:mail,video`, or are said one by one, `queue:mail
    /// queue:video`: a letter has one queue. `OR`, `NOT` and parentheses say the rest.
    ///
    /// ```
    /// use celeriac::archive::Filter;
    /// use std::time::SystemTime;
    ///
    /// let text = r#"since:6h (queue:mail OR task:video.*) NOT error:"timed out""#;
    /// assert!(Filter::parse(text, SystemTime::now()).is_ok());
    /// let error = Filter::parse("quue:mail", SystemTime::now()).unwrap_err();
    /// assert_eq!(error.message, "unknown field `quue`; did you mean `queue`?");
    /// ```
    ///
    /// # Errors
    /// Where the text is none of this.
    pub fn parse(text: &str, now: SystemTime) -> Result<Self, FilterError> {
        let expr = match parse(text, &FIELDS)? {
            named if named.terms().iter().any(|term| term.field.name() == "state") => named,
            other => Expr::And(vec![other, parse("state:open", &FIELDS)?]),
        };
        Ok(Self { expr, now })
    }

    /// What it says, with the state that it means unless it names one.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Whether `letter` is meant.
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        self.holds(&self.expr, letter, Some(&letter.state)) == Some(true)
    }

    /// Whether `letter` can be meant, whatever becomes of it.
    pub(super) fn may_match(&self, letter: &DeadLetter) -> bool {
        self.holds(&self.expr, letter, None) != Some(false)
    }

    /// Nothing older than this is meant.
    pub(super) fn since(&self) -> Option<SystemTime> {
        self.earliest(&self.expr)
    }

    fn earliest(&self, expr: &Expr) -> Option<SystemTime> {
        match expr {
            Expr::And(parts) => parts.iter().filter_map(|part| self.earliest(part)).max(),
            Expr::Or(parts) => {
                let each: Option<Vec<_>> = parts.iter().map(|part| self.earliest(part)).collect();
                each?.into_iter().min()
            }
            Expr::Term(term) => {
                let from = |value: &Value| match value {
                    Value::Time(bounds) => bounds.at(self.now).0,
                    _ => None,
                };
                let each: Option<Vec<_>> = term.values.iter().map(|it| from(&it.value)).collect();
                each?.into_iter().min()
            }
            _ => None,
        }
    }

    /// Whether `expr` holds for a letter in this state; `None` where that depends on a state that
    /// is not known.
    fn holds(&self, expr: &Expr, letter: &DeadLetter, state: Option<&State>) -> Option<bool> {
        match expr {
            Expr::Or(parts) => any(parts.iter().map(|part| self.holds(part, letter, state))),
            Expr::And(parts) => {
                let each = parts.iter().map(|part| match part {
                    Expr::Term(term) => {
                        any(alternatives(term, parts).map(|it| self.says(it, letter, state)))
                    }
                    _ => self.holds(part, letter, state),
                });
                any(each.map(not)).map(|fails| !fails)
            }
            Expr::Not(part) => not(self.holds(part, letter, state)),
            Expr::Term(term) => self.says(term, letter, state),
            // The fields let nothing stand alone.
            Expr::Word(..) | Expr::Phrase(..) => Some(false),
        }
    }

    fn says(&self, term: &Term, letter: &DeadLetter, state: Option<&State>) -> Option<bool> {
        let text = match term.field.name() {
            "state" => return any(term.values.iter().map(|it| is_state(&it.value, state))),
            "queue" => letter.queue.as_deref(),
            "task" => letter.task.as_deref(),
            "reason" => Some(letter.reason.as_str()),
            "error" => letter.error.as_deref(),
            "id" => letter.id.as_ref().map(|id| id.as_str()),
            _ => None,
        };
        Some(term.values.iter().any(|given| match &given.value {
            Value::Present => text.is_some(),
            Value::Text(pattern) => text.is_some_and(|text| pattern.matches(text)),
            Value::Containing(pattern) => text.is_some_and(|text| Pattern::is_in(pattern, text)),
            Value::Id(beginning) => text.is_some_and(|text| text.starts_with(beginning)),
            Value::Word(word) => text == Some(*word),
            Value::Time(bounds) => letter.dead_at.is_some_and(|at| {
                let (from, to) = bounds.at(self.now);
                from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to)
            }),
            _ => false,
        }))
    }
}

/// The terms among `parts` of which one must hold because `term` is there: those about the same
/// field, of which a letter has one value.
fn alternatives<'a>(term: &'a Term, parts: &'a [Expr]) -> impl Iterator<Item = &'a Term> {
    let together = |other: &&Term| match term.field.kind() {
        Kind::Since | Kind::Until => std::ptr::eq(*other, term),
        _ => other.field == term.field,
    };
    let terms = parts.iter().filter_map(|part| match part {
        Expr::Term(term) => Some(term),
        _ => None,
    });
    terms.filter(together)
}

fn is_state(value: &Value, state: Option<&State>) -> Option<bool> {
    match value {
        Value::Present | Value::Word(ALL) => Some(true),
        Value::Word(word) => state.map(|state| state.as_str() == *word),
        _ => Some(false),
    }
}

fn not(holds: Option<bool>) -> Option<bool> {
    holds.map(|holds| !holds)
}

/// Whether one of them holds, as far as is known.
fn any(each: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut found = Some(false);
    for holds in each {
        match holds {
            Some(true) => return Some(true),
            Some(false) => {}
            None => found = None,
        }
    }
    found
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
    fn what_terms_cannot_say_is_said_with_words_and_parentheses() {
        let cases = [
            ("queue:video OR task:mail.*", true),
            ("queue:video (task:mail.* OR reason:poison)", false),
            ("NOT queue:video", true),
            ("-queue:mail", false),
            ("NOT (queue:mail reason:poison)", true),
            ("queue:video,mail", true),
            ("queue:mail NOT queue:mail", false),
            ("queue:*", true),
            ("queue:*i*", true),
            ("queue:*i", false),
            ("task:~SEND", true),
            ("reason:poison,EXHAUSTED", true),
            ("since:90m until:30m", true),
            ("since:30m until:90m", false),
            ("until:1970-01-01", true),
            ("state:requeued OR queue:mail", true),
            ("state:requeued OR (state:open queue:video)", false),
        ];
        for (filter, expected) in cases {
            assert_eq!(matches(filter, &letter()), expected, "{filter}");
        }
    }

    #[test]
    fn what_the_manual_shows_is_read() {
        let manual = include_str!("../../docs/filter.md");
        let (_, language) = manual.split_once("## The language").unwrap();
        let (language, _) = language.split_once("\n\nFields").unwrap();
        let written =
            language.lines().filter_map(|row| row.strip_prefix("| `")?.split("` |").next());
        let filters: Vec<_> = written.flat_map(|cell| cell.split("`, `")).collect();
        assert_eq!(filters.len(), 14, "{filters:?}");
        for filter in filters {
            Filter::parse(filter, NOW).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn what_a_letter_does_not_say_is_not_there() {
        let letter = DeadLetter { queue: None, error: None, dead_at: None, ..letter() };
        for filter in ["queue:*", "error:x", "since:90m", "until:30m"] {
            assert!(!matches(filter, &letter), "{filter}");
            assert!(matches(&format!("NOT {filter}"), &letter), "{filter}");
        }
    }

    #[test]
    fn a_state_that_is_not_known_yet_excludes_nothing() {
        let may = |filter: &str| Filter::parse(filter, NOW).unwrap().may_match(&letter());
        for filter in ["", "state:requeued", "NOT state:open", "state:requeued queue:mail"] {
            assert!(may(filter), "{filter}");
        }
        for filter in ["queue:video", "state:requeued queue:video", "NOT state:all"] {
            assert!(!may(filter), "{filter}");
        }
    }

    #[test]
    fn nothing_older_is_read_than_can_be_meant() {
        let cases = [
            ("", None),
            ("since:2h", Some(1)),
            ("since:2h since:1h", Some(2)),
            ("since:2h OR since:1h", Some(1)),
            ("since:2h OR queue:mail", None),
            ("queue:mail (since:2h OR since:1h)", Some(1)),
            ("NOT since:2h", None),
            ("until:2h", None),
        ];
        for (filter, expected) in cases {
            let since = Filter::parse(filter, NOW + hours(3)).unwrap().since();
            assert_eq!(since, expected.map(|at| NOW + hours(at)), "{filter}");
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
            ("quue:mail", "unknown field `quue`; did you mean `queue`?\n  quue:mail\n  ^^^^"),
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
        assert!(bare.message.starts_with("expected field:value"), "{bare}");
    }
}
