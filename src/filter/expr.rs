//! What a filter says, read.

use super::value::{OF_OPERATORS, phrase};
use super::{Field, Kind, Pattern, Span, Value};
use std::fmt;

/// What a filter says. Shown, it is a text that is read as the same again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// At least one of these, of which there are at least two.
    Or(Vec<Expr>),
    /// Each of these; nothing is said when there are none.
    And(Vec<Expr>),
    /// Not this.
    Not(Box<Expr>),
    /// This about a field.
    Term(Term),
    /// A word without a field.
    Word(Pattern, Span),
    /// A text in quotes without a field.
    Phrase(String, Span),
}

/// What is said about a field: one of the values holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The field.
    pub field: Field,
    /// What stands behind its name, such as `user.plan` in `kwargs.user.plan`; else empty.
    pub path: String,
    /// At least one.
    pub values: Vec<Given>,
    /// All of it.
    pub span: Span,
}

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The value.
    pub value: Value,
    /// Where it stands.
    pub span: Span,
}

impl Expr {
    /// What is said of every task alike: nothing.
    pub const EVERYTHING: Self = Self::And(Vec::new());

    /// Every term in it, wherever it stands, in the order of the text.
    pub fn terms(&self) -> Vec<&Term> {
        match self {
            Self::Or(parts) | Self::And(parts) => parts.iter().flat_map(Self::terms).collect(),
            Self::Not(part) => part.terms(),
            Self::Term(term) => vec![term],
            Self::Word(..) | Self::Phrase(..) => Vec::new(),
        }
    }

    fn binds(&self) -> Binds {
        match self {
            Self::Or(_) => Binds::Or,
            Self::And(_) => Binds::And,
            _ => Binds::Tightly,
        }
    }

    /// In parentheses, unless it binds tighter than what it stands in.
    fn show_in(&self, around: Binds, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.binds() > around { write!(f, "{self}") } else { write!(f, "({self})") }
    }
}

/// How tightly an expression holds together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binds {
    Or,
    And,
    Tightly,
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut join = |parts: &[Self], between: &str, around: Binds| {
            parts.iter().enumerate().try_for_each(|(index, part)| {
                f.write_str(if index > 0 { between } else { "" })?;
                part.show_in(around, f)
            })
        };
        match self {
            Self::Or(parts) => join(parts, " OR ", Binds::Or),
            Self::And(parts) => join(parts, " ", Binds::And),
            Self::Not(part) => {
                f.write_str("NOT ")?;
                part.show_in(Binds::And, f)
            }
            Self::Term(term) => write!(f, "{term}"),
            Self::Word(word, _) => f.write_str(&word.pieces().collect::<Vec<_>>().join("*")),
            Self::Phrase(text, _) => f.write_str(&phrase(text)),
        }
    }
}

impl Term {
    /// The operator that all values can be written with.
    fn op(&self) -> &'static str {
        let mut ops = self.values.iter().map(|given| given.value.op());
        let first = ops.next().unwrap_or(":");
        match self.field.kind() {
            Kind::Since | Kind::Until | Kind::Prose => ":",
            Kind::Text if ops.any(|op| op == ":~") => ":~",
            Kind::Text => first,
            _ if ops.all(|op| op == first) => first,
            _ => ":",
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.path.is_empty() { "" } else { "." };
        let op = self.op();
        // `since:2h` has an end that is open without saying so.
        let form = match self.field.kind() {
            Kind::Since | Kind::Until => ":>",
            _ => op,
        };
        let values: Vec<_> = self.values.iter().map(|given| given.value.behind(form)).collect();
        let values = values.join(",");
        // Where both say the same, this one ends before whatever comes.
        let op = if op == ":" && values.starts_with(OF_OPERATORS) { ":~" } else { op };
        write!(f, "{}{dot}{}{op}{values}", self.field.name(), self.path)
    }
}
