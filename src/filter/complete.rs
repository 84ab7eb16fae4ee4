//! What could stand where somebody writes.

use super::lex::{Form, Lexeme, Piece, Raw, lex};
use super::{Fields, Kind, Span};

/// What could stand at a place, and in place of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What it replaces: what is written of it up to the cursor.
    pub span: Span,
    /// What could stand there.
    pub expected: Expected,
}

/// What could stand at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// One of these texts, as they are: `queue:`, `yes`.
    One(Vec<String>),
    /// A value of a field, which is to be [`quoted`](super::quoted); who asks knows which there are.
    Value {
        /// Name of the field.
        field: &'static str,
        /// The path behind it, or nothing.
        path: String,
        /// How the value begins.
        beginning: String,
    },
}

/// Lengths of time that are offered.
const AGO: &[&str] = &["15m", "1h", "6h", "24h", "7d"];

/// What could stand at `cursor`, which counts characters; behind the end is at the end.
///
/// ```
/// use celeriac::filter::{Expected, Field, Fields, Kind, complete};
///
/// static FIELDS: Fields = Fields::new(&[Field::new("queue", Kind::Text)]);
/// let value = Expected::Value { field: "queue", path: String::new(), beginning: "em".into() };
/// assert_eq!(complete("NOT queue:em", 12, &FIELDS).expected, value);
/// assert_eq!(complete("q", 1, &FIELDS).expected, Expected::One(vec!["queue:".into()]));
/// ```
pub fn complete(text: &str, cursor: usize, fields: &Fields) -> Completion {
    let before: Vec<char> = text.chars().take(cursor).collect();
    let here = Span { at: before.len(), length: 0 };
    let last = lex(&before).pop();
    // A piece that ended before the cursor is done.
    match last.filter(|piece| piece.span.to(here) == piece.span && !piece.is_done()) {
        Some(Piece { lexeme: Lexeme::Term(mut parts), span }) => {
            let found = fields.find(&parts.name.text);
            match (found, parts.values.pop()) {
                (Some((field, path)), Some(raw)) => Completion {
                    span: raw.span,
                    expected: value(field.name(), field.kind(), path, &raw),
                },
                _ => Completion { span, expected: Expected::One(Vec::new()) },
            }
        }
        Some(Piece { lexeme: Lexeme::Bare(raw), span }) => {
            Completion { span, expected: names(&raw.text, fields) }
        }
        // `or` may be the beginning of a name as well.
        Some(Piece { lexeme: Lexeme::And | Lexeme::Or | Lexeme::Not, span }) if span.length > 1 => {
            let word: String = before[span.at..].iter().collect();
            Completion { span, expected: names(&word, fields) }
        }
        _ => Completion { span: here, expected: names("", fields) },
    }
}

impl Piece {
    /// Whether nothing can be added to it.
    fn is_done(&self) -> bool {
        let closed = |raw: &Raw| matches!(raw.form, Form::Phrase | Form::Beginning);
        match &self.lexeme {
            Lexeme::Term(parts) => parts.values.last().is_some_and(closed),
            Lexeme::Bare(raw) => closed(raw),
            _ => false,
        }
    }
}

fn names(beginning: &str, fields: &Fields) -> Expected {
    let beginning = beginning.to_lowercase();
    let starts = fields.known().iter().map(|field| field.start());
    Expected::One(starts.filter(|name| name.starts_with(&beginning)).collect())
}

fn value(field: &'static str, kind: Kind, path: &str, raw: &Raw) -> Expected {
    let words = match kind {
        Kind::Word(words) => words,
        Kind::Truth => &["yes", "no"],
        Kind::Time | Kind::Since | Kind::Until => AGO,
        Kind::Duration | Kind::Number => &[],
        Kind::Text | Kind::Prose | Kind::Id { .. } => {
            let (path, beginning) = (path.to_owned(), raw.text.clone());
            return Expected::Value { field, path, beginning };
        }
    };
    let beginning = raw.text.to_lowercase();
    let fits = words.iter().filter(|word| word.starts_with(&beginning));
    Expected::One(fits.map(|word| (*word).to_owned()).collect())
}
