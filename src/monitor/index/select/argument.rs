//! Conditions on arguments, of which the index has only what Python shows: `{'tenant': 'acme'}`.
//!
//! A text is searched for what the argument would look like in it, as text and, where it reads so,
//! as a number, `True`, `False` or `None`. It is not taken apart, so that some things cannot be told
//! apart: a key from the same key further inside, in another argument or in a text; a position from
//! any later one, the first aside. What tellers cut off, behind 1,024 bytes, is not found.

use super::clause::{Clause, Holds, Look, glob_exactly, text};
use crate::filter::{Pattern, Value};
use crate::protocol::{self, Repr};

/// What may stand behind a value that is not text.
const ENDS: &str = "[],})]";

/// The argument `path` of those with names has this value.
pub(super) fn named(path: &str, value: &Value) -> Clause {
    let keys: Vec<_> = path.split('.').map(|key| glob_exactly(&python(key))).collect();
    clause("kwargs", &format!("*{}: ", keys.join(": {*")), value)
}

/// The argument at `path`, from 0, of those without names has this value; or something inside it.
pub(super) fn at(path: &str, value: &Value) -> Clause {
    let (place, inside) = path.split_once('.').unwrap_or((path, ""));
    let start = match place.parse::<u16>() {
        Ok(0) => "[[(]",
        Ok(_) => "[[(]*, ",
        Err(_) => return Clause::always(Holds::Never),
    };
    let keys = inside.split('.').filter(|key| !key.is_empty());
    let keys: Vec<_> = keys.map(|key| format!("{{*{}: ", glob_exactly(&python(key)))).collect();
    clause("args", &format!("{start}{}", keys.concat()), value)
}

fn clause(column: &str, before: &str, value: &Value) -> Clause {
    let globs = match value {
        Value::Text(pattern) => match pattern.exact() {
            Some(exact) => exactly(exact),
            None => vec![format!("['\"]{}", stars(pattern)), stars(pattern)],
        },
        Value::Containing(pattern) => vec![format!("*{}*", inner(pattern))],
        _ => vec!["*".to_owned()],
    };
    let each = globs.into_iter().map(|behind| {
        Clause::new(format!("{column} GLOB ?"), vec![text(format!("{before}{behind}"))])
    });
    Clause::any(each, Look::Follow).scan()
}

/// What a value that somebody writes as `exact` may look like.
fn exactly(exact: &str) -> Vec<String> {
    let bare = match exact {
        "true" | "True" => Some("True"),
        "false" | "False" => Some("False"),
        "null" | "None" => Some("None"),
        number if number.parse::<f64>().is_ok() => Some(number),
        _ => None,
    };
    let quoted = format!("{}*", glob_exactly(&python(exact)));
    let bare = bare.map(|bare| format!("{}{ENDS}*", glob_exactly(bare)));
    [quoted].into_iter().chain(bare).collect()
}

/// What a value with stars in it may look like, from its first character on.
fn stars(pattern: &Pattern) -> String {
    let end = if pattern.pieces().last() == Some("") { "" } else { "[]'\",})]*" };
    inner(pattern) + end
}

/// The pieces as they look within a text that Python shows.
fn inner(pattern: &Pattern) -> String {
    let pieces = pattern.pieces().map(|piece| {
        let shown = python(piece);
        glob_exactly(&shown[1..shown.len() - 1])
    });
    pieces.collect::<Vec<_>>().join("*")
}

/// As Python shows a text.
fn python(text: &str) -> String {
    Repr(&protocol::Value::from(text)).to_string()
}
