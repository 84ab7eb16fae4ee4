//! From the text behind an operator to a value of the field's kind.

use super::error::{Mistake, suggestion};
use super::lex::{Form, Op, Parts, Raw};
use super::value::{Bounds, Value};
use super::{Field, Kind, Pattern, Span, When};
use std::ops::Bound;
use std::time::Duration;

const SAME: &[Op] = &[Op::Is];
const TEXT: &[Op] = &[Op::Is, Op::Contains];
const ORDER: &[Op] = &[Op::Is, Op::Above, Op::AtLeast, Op::Below, Op::AtMost];

impl Kind {
    /// The operators that make sense with it.
    fn ops(self) -> &'static [Op] {
        match self {
            Self::Text | Self::Prose => TEXT,
            Self::Time | Self::Duration | Self::Number => ORDER,
            Self::Id { .. } | Self::Word(_) | Self::Since | Self::Until | Self::Truth => SAME,
        }
    }
}

/// Whether the operator makes sense with the field.
pub(super) fn op(field: Field, parts: &Parts) -> Result<(), Mistake> {
    let ops = field.kind().ops();
    if ops.contains(&parts.op) {
        return Ok(());
    }
    let (name, known) = (&parts.name.text, ops.iter().map(|op| op.as_str()));
    let known = known.collect::<Vec<_>>().join(" ");
    Err(Mistake::new(parts.op_span, format!("`{name}` is asked for with {known}")))
}

/// One of the values of a term.
pub(super) fn value(field: Field, parts: &Parts, raw: &Raw) -> Result<Value, Mistake> {
    check(parts, raw)?;
    let op = parts.op;
    let wrong = |message: String| Mistake::new(raw.span, message);
    match field.kind() {
        Kind::Since => time(raw).map(|from| Value::Time(Bounds { from, to: Bound::Unbounded })),
        Kind::Until => time(raw).map(|to| Value::Time(Bounds { from: Bound::Unbounded, to })),
        _ if raw.is_star() && matches!(op, Op::Is | Op::Contains) => Ok(Value::Present),
        Kind::Text if op == Op::Is => Ok(Value::Text(raw.pattern())),
        Kind::Text | Kind::Prose => Ok(Value::Containing(raw.pattern())),
        Kind::Id { shortest } => id(raw, shortest).map(Value::Id).map_err(wrong),
        Kind::Word(words) => word(&raw.text, words).map(Value::Word).map_err(wrong),
        Kind::Time => bounds(op, raw).map(Value::Time),
        Kind::Duration => bounds(op, raw).map(Value::Duration),
        Kind::Number => bounds(op, raw).map(Value::Number),
        Kind::Truth => truth(&raw.text).map(Value::Truth).map_err(wrong),
    }
}

/// Whether there is a value at all.
fn check(parts: &Parts, raw: &Raw) -> Result<(), Mistake> {
    raw.closed()?;
    if !raw.text.is_empty() || raw.form == Form::Beginning {
        return Ok(());
    }
    let start = parts.name.span.to(parts.op_span);
    if parts.values.len() > 1 {
        return Err(Mistake::new(start.to(raw.span), "a value is missing in this list"));
    }
    let (name, op) = (&parts.name.text, parts.op.as_str());
    Err(Mistake::new(start.to(raw.span), format!("`{name}{op}` has no value")))
}

impl Raw {
    /// Whether its quotes are closed.
    pub(super) fn closed(&self) -> Result<(), Mistake> {
        match self.form {
            Form::Endless => Err(Mistake::new(self.span, "the quote is not closed")),
            Form::Plain | Form::Phrase | Form::Beginning => Ok(()),
        }
    }

    /// Whether it stands for any text.
    pub(super) fn is_star(&self) -> bool {
        match self.form {
            Form::Plain => !self.text.is_empty() && self.text.chars().all(|c| c == '*'),
            Form::Beginning => self.text.is_empty(),
            Form::Phrase | Form::Endless => false,
        }
    }

    pub(super) fn pattern(&self) -> Pattern {
        match self.form {
            Form::Plain => Pattern::with_stars(&self.text),
            Form::Beginning => Pattern::beginning(&*self.text),
            Form::Phrase | Form::Endless => Pattern::exactly(&*self.text),
        }
    }
}

fn id(raw: &Raw, shortest: usize) -> Result<String, String> {
    let id = match raw.form {
        Form::Plain => raw.text.trim_end_matches('*'),
        _ => raw.text.as_str(),
    };
    if raw.form == Form::Plain && id.contains('*') {
        return Err("expected an id or its beginning".to_owned());
    }
    if id.chars().count() < shortest {
        return Err(format!("of an id at least {shortest} characters are needed"));
    }
    Ok(id.to_owned())
}

fn word(text: &str, words: &'static [&'static str]) -> Result<&'static str, String> {
    let found = words.iter().find(|word| word.eq_ignore_ascii_case(text));
    found
        .copied()
        .ok_or_else(|| format!("expected one of {}{}", words.join(", "), suggestion(text, words)))
}

fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err("expected yes or no".to_owned()),
    }
}

fn time(raw: &Raw) -> Result<Bound<When>, Mistake> {
    let when = When::of(&raw.text).map_err(|message| Mistake::new(raw.span, message))?;
    Ok(Bound::Included(when))
}

/// What can be compared.
trait Ordered: Clone {
    fn of(text: &str) -> Result<Self, String>;

    /// What it means without an operator, as for which it is not said how to compare.
    fn alone(self) -> Result<Bounds<Self>, String>;
}

impl Ordered for i64 {
    fn of(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "expected a whole number".to_owned())
    }

    fn alone(self) -> Result<Bounds<Self>, String> {
        Ok(Bounds { from: Bound::Included(self), to: Bound::Included(self) })
    }
}

impl Ordered for Duration {
    fn of(text: &str) -> Result<Self, String> {
        if text.parse::<f64>().is_ok() {
            return Err(format!("a duration needs a unit: {text}s, {text}ms, {text}m"));
        }
        let parsed = humantime::parse_duration(text);
        parsed.map_err(|_| "expected a duration such as 250ms, 2s or 5m".to_owned())
    }

    fn alone(self) -> Result<Bounds<Self>, String> {
        Err("say how to compare: with :> or :<, or a range such as 1s..5s".to_owned())
    }
}

impl Ordered for When {
    fn of(text: &str) -> Result<Self, String> {
        let expected = || "expected a time such as 6h, 30m or 2026-11-25T13:00:00Z".to_owned();
        Self::read(text).ok_or_else(expected)
    }

    /// Within the last two hours, but on the whole day.
    fn alone(self) -> Result<Bounds<Self>, String> {
        let to = match self {
            Self::Ago(_) => Bound::Unbounded,
            Self::At { .. } => Bound::Included(self.clone()),
        };
        Ok(Bounds { from: Bound::Included(self), to })
    }
}

fn bounds<T: Ordered>(op: Op, raw: &Raw) -> Result<Bounds<T>, Mistake> {
    let (from, to) = match op {
        Op::Above => (Bound::Excluded(raw.read()?), Bound::Unbounded),
        Op::AtLeast => (Bound::Included(raw.read()?), Bound::Unbounded),
        Op::Below => (Bound::Unbounded, Bound::Excluded(raw.read()?)),
        Op::AtMost => (Bound::Unbounded, Bound::Included(raw.read()?)),
        Op::Is | Op::Contains => match raw.text.split_once("..") {
            Some(ends) if raw.form == Form::Plain => raw.range(ends)?,
            _ => {
                let alone = raw.read::<T>()?.alone();
                return alone.map_err(|message| Mistake::new(raw.span, message));
            }
        },
    };
    Ok(Bounds { from, to })
}

impl Raw {
    fn read<T: Ordered>(&self) -> Result<T, Mistake> {
        T::of(&self.text).map_err(|message| Mistake::new(self.span, message))
    }

    fn range<T: Ordered>(&self, ends: (&str, &str)) -> Result<(Bound<T>, Bound<T>), Mistake> {
        let (from, to) = ends;
        if from.is_empty() && to.is_empty() {
            return Err(Mistake::new(self.span, "a range needs an end, such as 1.. or ..5"));
        }
        let length = |text: &str| text.chars().count();
        let first = Span { at: self.span.at, length: length(from) };
        let second = Span { at: self.span.at + length(from) + 2, length: length(to) };
        let side = |text: &str, span: Span| match text {
            "" => Ok(Bound::Unbounded),
            _ => T::of(text).map(Bound::Included).map_err(|message| Mistake::new(span, message)),
        };
        Ok((side(from, first)?, side(to, second)?))
    }
}
