//! Names, which the index keeps as numbers of `word`.

use super::clause::{Clause, Look, glob, like, text};
use super::term::{begins, within};
use super::{SHORTEST_ID, failed};
use crate::filter::{Pattern, Term, Value};

/// The word in `column` is one of those that `term` says.
pub(super) fn clause(column: &str, term: &Term) -> Clause {
    let values = || term.values.iter().map(|given| &given.value);
    if values().any(|value| *value == Value::Present) {
        return Clause::bare(format!("{column} IS NOT NULL")).scan();
    }
    let word = |value: &Value| match value {
        Value::Text(pattern) => match pattern.exact() {
            Some(exact) => ("text = ?", exact.to_owned()),
            None => ("text GLOB ?", glob(pattern.pieces())),
        },
        Value::Containing(part) => (r"text LIKE ? ESCAPE '\'", within(part)),
        _ => ("text = ?", String::new()),
    };
    let (conditions, parameters): (Vec<_>, Vec<_>) =
        values().map(word).map(|(condition, parameter)| (condition, text(parameter))).unzip();
    // An index has the tasks of one word in the order of lists.
    let operator = if conditions == ["text = ?"] { "=" } else { "IN" };
    let words = format!("SELECT id FROM word WHERE {}", conditions.join(" OR "));
    Clause::new(format!("{column} {operator} ({words})"), parameters)
}

/// A word without a field: the beginning of an id, or a part of a name, of a worker or of an error.
pub(super) fn bare(word: &Pattern, look: Look) -> Clause {
    let names = |operator: &str, pattern: &str| {
        let words = format!("SELECT id FROM word WHERE text {operator}");
        let of = |column: &str| {
            let column = look.column(column);
            Clause::new(format!("{column} IN ({words})"), vec![text(pattern)])
        };
        ["name", "worker"].map(of)
    };
    let Some(exact) = word.exact() else {
        return Clause::any(names("GLOB ?", &glob(word.pieces())), look);
    };
    let parts = names(r"LIKE ? ESCAPE '\'", &like(["", exact, ""].into_iter()));
    let length = exact.chars().count();
    let id = (length >= SHORTEST_ID).then(|| begins(&look.column("id"), exact));
    let error = (length >= failed::TRIGRAM).then(|| failed::saying(exact));
    Clause::any(parts.into_iter().chain(id).chain(error), look)
}
