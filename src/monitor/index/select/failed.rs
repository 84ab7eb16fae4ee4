//! Failures.

use super::bounds;
use super::clause::{Clause, Look, text};
use super::term::within;
use crate::filter::{Pattern, Value};

/// Trigrams do not find shorter texts.
pub(super) const TRIGRAM: usize = 3;

/// Of these there is an index.
const HAS_FAILED: &str = "failure > 0";

/// The task has failed, with this in its error.
pub(super) fn with(value: &Value) -> Clause {
    let Value::Containing(part) = value else {
        return Clause::bare(HAS_FAILED).leading();
    };
    let pieces: Vec<_> = part.pieces().filter(|piece| !piece.is_empty()).collect();
    let long = pieces.iter().filter(|piece| piece.chars().count() >= TRIGRAM);
    let found: Vec<_> = long.map(|piece| phrase(piece)).collect();
    // Their order, and what is too short for trigrams.
    let read = || {
        let sql = format!(r"({HAS_FAILED} AND error LIKE ? ESCAPE '\')");
        Clause::new(sql, vec![text(within(part))])
    };
    if found.is_empty() {
        return read().scan();
    }
    let sql = "n IN (SELECT rowid FROM found WHERE found MATCH ?)";
    let all_found = Clause::new(sql, vec![text(found.join(" AND "))]);
    Clause::all([all_found].into_iter().chain((pieces.len() > 1).then(read)))
}

/// The task has failed, with this text in its error.
pub(super) fn saying(part: &str) -> Clause {
    with(&Value::Containing(Pattern::exactly(part)))
}

/// The task has failed like those of a group.
pub(super) fn like(value: &Value) -> Clause {
    match value {
        Value::Number(_) => bounds::number("failure", value),
        _ => Clause::bare(HAS_FAILED).leading(),
    }
}

/// The task has failed, and somebody has said of that what is to be said, or nobody has.
pub(super) fn resolved(value: &Value, look: Look) -> Clause {
    let clause = match value {
        Value::Truth(false) => Clause::bare(format!("({HAS_FAILED} AND resolved IS NULL)")),
        _ => Clause::bare(format!("({HAS_FAILED} AND resolved > 0)")),
    };
    if look == Look::Lead { clause.leading() } else { clause }
}

/// A text for the full-text search that means only itself.
fn phrase(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
