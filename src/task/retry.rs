//! When a failed task is tried again.

use crate::backoff::Backoff;
use crate::protocol::HeaderValue;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often, after how long, and for which errors a task is tried again.
///
/// ```
/// use celeriac::backoff::Backoff;
/// use celeriac::task::RetryPolicy;
/// use std::time::Duration;
///
/// let seconds = Duration::from_secs;
/// let policy = RetryPolicy {
///     max_retries: Some(10),
///     backoff: Backoff { first: seconds(5), factor: 3.0, max: seconds(600), jitter: 0.2 },
///     give_up_on: vec!["ValueError".to_owned()],
///     ..RetryPolicy::default()
/// };
/// assert_eq!(policy.backoff.wait(1, 0.0), seconds(15));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Attempts after the first; 0 gives up at once, `None` never gives up.
    pub max_retries: Option<u32>,
    /// How long each attempt waits in the broker.
    pub backoff: Backoff,
    /// If not empty, only errors of these types are retried (the part of the type's name after
    /// the last `.` or `::` is enough; `*` and `?` match as in file names).
    pub retry_on: Vec<String>,
    /// Errors of these types are never retried. Wins over `retry_on`.
    pub give_up_on: Vec<String>,
}

impl Default for RetryPolicy {
    /// Three retries after about 1, 2 and 4 seconds.
    fn default() -> Self {
        Self {
            max_retries: Some(3),
            backoff: Backoff {
                first: Duration::from_secs(1),
                factor: 2.0,
                max: Duration::from_secs(600),
                jitter: 0.5,
            },
            retry_on: Vec::new(),
            give_up_on: Vec::new(),
        }
    }
}

impl RetryPolicy {
    /// Whether an error of type `kind` may be tried again, attempts left or not.
    ///
    /// ```
    /// # use celeriac::task::RetryPolicy;
    /// let policy = RetryPolicy {
    ///     retry_on: vec!["*Error".to_owned()],
    ///     give_up_on: vec!["AuthError".to_owned()],
    ///     ..RetryPolicy::default()
    /// };
    /// assert!(policy.covers("std::io::Error"));
    /// assert!(!policy.covers("smtp::AuthError") && !policy.covers("Timeout"));
    /// ```
    pub fn covers(&self, kind: &str) -> bool {
        let named = |patterns: &[String]| patterns.iter().any(|pattern| is_kind(pattern, kind));
        !named(&self.give_up_on) && (self.retry_on.is_empty() || named(&self.retry_on))
    }

    /// The policy as a message header, for a call that brings its own.
    ///
    /// ```
    /// # use celeriac::{protocol::HeaderValue, task::RetryPolicy};
    /// let HeaderValue::Table(table) = RetryPolicy::default().to_header() else { panic!() };
    /// assert_eq!(table["max"], 3_u32.into());
    /// assert_eq!(table["first"], 1000_u32.into()); // milliseconds
    /// ```
    pub fn to_header(&self) -> HeaderValue {
        let millis =
            |wait: Duration| HeaderValue::Int(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        let texts = |texts: &[String]| {
            HeaderValue::List(texts.iter().cloned().map(HeaderValue::Text).collect())
        };
        let max = self.max_retries.map_or(HeaderValue::Null, |max| HeaderValue::Int(max.into()));
        HeaderValue::Table(BTreeMap::from([
            ("max".to_owned(), max),
            ("first".to_owned(), millis(self.backoff.first)),
            ("factor".to_owned(), HeaderValue::Float(self.backoff.factor)),
            ("longest".to_owned(), millis(self.backoff.max)),
            ("jitter".to_owned(), HeaderValue::Float(self.backoff.jitter)),
            ("retry_on".to_owned(), texts(&self.retry_on)),
            ("give_up_on".to_owned(), texts(&self.give_up_on)),
        ]))
    }

    /// Reads [`RetryPolicy::to_header`]; what is absent or strange is taken from `self`.
    ///
    /// ```
    /// # use celeriac::{protocol::HeaderValue, task::RetryPolicy};
    /// let header = HeaderValue::Table([("max".to_owned(), 9_u32.into())].into());
    /// let policy = RetryPolicy::default().with_header(&header);
    /// assert_eq!(policy, RetryPolicy { max_retries: Some(9), ..RetryPolicy::default() });
    /// ```
    #[must_use]
    pub fn with_header(&self, header: &HeaderValue) -> Self {
        let HeaderValue::Table(table) = header else { return self.clone() };
        let millis = |name: &str, or: Duration| match table.get(name) {
            Some(HeaderValue::Int(millis)) => {
                u64::try_from(*millis).map_or(or, Duration::from_millis)
            }
            _ => or,
        };
        let float = |name: &str, or: f64| match table.get(name) {
            Some(HeaderValue::Float(value)) if value.is_finite() => *value,
            _ => or,
        };
        let texts = |name: &str, or: &[String]| match table.get(name) {
            Some(HeaderValue::List(values)) => values
                .iter()
                .filter_map(|value| match value {
                    HeaderValue::Text(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            _ => or.to_vec(),
        };
        Self {
            max_retries: match table.get("max") {
                Some(HeaderValue::Null) => None,
                Some(HeaderValue::Int(max)) => Some(u32::try_from(*max).unwrap_or(0)),
                _ => self.max_retries,
            },
            backoff: Backoff {
                first: millis("first", self.backoff.first),
                factor: float("factor", self.backoff.factor),
                max: millis("longest", self.backoff.max),
                jitter: float("jitter", self.backoff.jitter),
            },
            retry_on: texts("retry_on", &self.retry_on),
            give_up_on: texts("give_up_on", &self.give_up_on),
        }
    }
}

/// Whether `pattern` means the error type `kind`, whole or its last part.
fn is_kind(pattern: &str, kind: &str) -> bool {
    let last = kind.rsplit(['.', ':']).next().unwrap_or(kind);
    pattern == kind
        || pattern == last
        || globset::Glob::new(pattern).is_ok_and(|glob| {
            let glob = glob.compile_matcher();
            glob.is_match(kind) || glob.is_match(last)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_covers_what_it_lists_unless_it_gives_up_on_it() {
        let list = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let policy = |on: &[&str], off: &[&str]| RetryPolicy {
            retry_on: list(on),
            give_up_on: list(off),
            ..RetryPolicy::default()
        };
        assert!(policy(&[], &[]).covers("builtins.ValueError"));
        assert!(policy(&["ValueError"], &[]).covers("builtins.ValueError"));
        assert!(policy(&["*Error"], &[]).covers("std::io::Error"));
        assert!(!policy(&["Timeout"], &[]).covers("std::io::Error"));
        assert!(!policy(&["*"], &["Auth*"]).covers("AuthError"));
    }

    #[test]
    fn a_policy_survives_its_way_through_a_header() {
        let policy = RetryPolicy {
            max_retries: None,
            backoff: Backoff {
                first: Duration::from_millis(1500),
                factor: 3.0,
                max: Duration::from_secs(60),
                jitter: 0.25,
            },
            retry_on: vec!["A".to_owned()],
            give_up_on: vec!["B".to_owned()],
        };
        assert_eq!(RetryPolicy::default().with_header(&policy.to_header()), policy);
        assert_eq!(policy.with_header(&HeaderValue::Bool(true)), policy);
    }
}
