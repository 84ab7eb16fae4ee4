//! What stands behind an operator, read.

use super::{Pattern, When};
use crate::units::format_duration;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::time::{Duration, SystemTime};

/// What is said about a field.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// There is anything at all: `*`.
    Present,
    /// The text is this as a whole.
    Text(Pattern),
    /// The text has this in it, in upper or lower case.
    Containing(Pattern),
    /// The id is this, or begins with it.
    Id(String),
    /// One of the words of the field's kind.
    Word(&'static str),
    /// Within these times.
    Time(Bounds<When>),
    /// Within these lengths of time.
    Duration(Bounds<Duration>),
    /// Within these numbers.
    Number(Bounds<i64>),
    /// Yes or no.
    Truth(bool),
}

/// From where to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds<T> {
    /// The lower end.
    pub from: Bound<T>,
    /// The upper end.
    pub to: Bound<T>,
}

impl<T> RangeBounds<T> for Bounds<T> {
    fn start_bound(&self) -> Bound<&T> {
        self.from.as_ref()
    }

    fn end_bound(&self) -> Bound<&T> {
        self.to.as_ref()
    }
}

impl Bounds<When> {
    /// The first instant within, and the first one that is not any more, when it is `now`.
    pub fn at(&self, now: SystemTime) -> (Option<SystemTime>, Option<SystemTime>) {
        let from = match &self.from {
            Bound::Included(when) => Some(when.start(now)),
            Bound::Excluded(when) => Some(when.end(now)),
            Bound::Unbounded => None,
        };
        let to = match &self.to {
            Bound::Included(when) => Some(when.end(now)),
            Bound::Excluded(when) => Some(when.start(now)),
            Bound::Unbounded => None,
        };
        (from, to)
    }
}

/// A text as it must be written to be read as this value, in quotes where it needs them.
///
/// ```
/// use celeriac::filter::quoted;
///
/// assert_eq!(quoted("mail"), "mail");
/// assert_eq!(quoted("timed out"), r#""timed out""#);
/// ```
pub fn quoted(text: &str) -> String {
    if is_plain(text) && !text.is_empty() { text.to_owned() } else { phrase(text) }
}

/// What would be read as part of the operator before it.
pub(super) const OF_OPERATORS: [char; 3] = ['<', '>', '~'];

/// Whether no character of it means anything else.
fn is_plain(text: &str) -> bool {
    let means = |c: char| c.is_whitespace() || matches!(c, '"' | '(' | ')' | ',' | '*');
    !text.contains(means) && !text.starts_with(OF_OPERATORS)
}

pub(super) fn phrase(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

/// What is compared, as it is written.
trait Written: PartialEq {
    fn written(&self) -> String;

    /// Whether it stands for itself when it stands alone.
    fn is_alone(&self) -> bool;
}

impl Written for i64 {
    fn written(&self) -> String {
        self.to_string()
    }

    fn is_alone(&self) -> bool {
        true
    }
}

impl Written for Duration {
    fn written(&self) -> String {
        format_duration(*self)
    }

    fn is_alone(&self) -> bool {
        false
    }
}

impl Written for When {
    fn written(&self) -> String {
        match self {
            Self::Ago(ago) => format_duration(*ago),
            Self::At { written, .. } => quoted(written),
        }
    }

    fn is_alone(&self) -> bool {
        matches!(self, Self::At { .. })
    }
}

/// The operator that says `bounds` with one value, if there is one.
fn op<T>(bounds: &Bounds<T>) -> &'static str {
    match (&bounds.from, &bounds.to) {
        (Bound::Excluded(_), _) => ":>",
        (_, Bound::Excluded(_)) => ":<",
        (Bound::Included(_), Bound::Unbounded) => ":>=",
        (Bound::Unbounded, Bound::Included(_)) => ":<=",
        _ => ":",
    }
}

/// What stands behind `op` to say `bounds`.
fn behind<T: Written>(bounds: &Bounds<T>, op: &str) -> String {
    let side = |bound: &Bound<T>| match bound {
        Bound::Included(value) | Bound::Excluded(value) => value.written(),
        Bound::Unbounded => String::new(),
    };
    let (from, to) = (side(&bounds.from), side(&bounds.to));
    match (&bounds.from, &bounds.to) {
        (Bound::Included(one), Bound::Included(other)) if one == other && one.is_alone() => from,
        _ if op == ":" => format!("{from}..{to}"),
        _ => from + &to,
    }
}

impl Value {
    /// The operator that is in front of it, if it needs one of its own.
    pub(super) fn op(&self) -> &'static str {
        match self {
            Self::Containing(_) => ":~",
            Self::Time(bounds) => op(bounds),
            Self::Duration(bounds) => op(bounds),
            Self::Number(bounds) => op(bounds),
            _ => ":",
        }
    }

    /// What stands behind `op`.
    pub(super) fn behind(&self, op: &str) -> String {
        match self {
            Self::Time(bounds) => behind(bounds, op),
            Self::Duration(bounds) => behind(bounds, op),
            Self::Number(bounds) => behind(bounds, op),
            Self::Present => "*".to_owned(),
            Self::Text(pattern) | Self::Containing(pattern) => pattern.to_string(),
            Self::Id(id) => quoted(id),
            Self::Word(word) => (*word).to_owned(),
            Self::Truth(true) => "yes".to_owned(),
            Self::Truth(false) => "no".to_owned(),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.exact(), self.prefix()) {
            (Some(text), _) => f.write_str(&quoted(text)),
            (_, Some(text)) if is_plain(text) => write!(f, "{text}*"),
            (_, Some(text)) => write!(f, "{}*", phrase(text)),
            _ => f.write_str(&self.pieces().collect::<Vec<_>>().join("*")),
        }
    }
}
