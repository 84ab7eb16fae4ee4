//! What is said about one field, as a condition.

use super::super::super::state::State;
use super::clause::{Ask, Clause, Holds, Look, like, text};
use super::{argument, bounds, failed, name};
use crate::filter::{Pattern, Term, Value};

/// When a task was first told of.
const FIRST: &str = "coalesce(sent, received, started, changed)";

/// One of the values of `term` holds.
pub(super) fn clause(term: &Term, ask: Ask) -> Clause {
    let values = || term.values.iter().map(|given| &given.value);
    let each = |one: &dyn Fn(&Value) -> Clause| Clause::any(values().map(one), ask.look);
    let column = |name: &str| ask.look.column(name);
    match (term.field.name(), term.path.as_str()) {
        ("state", _) => in_states(&states(term), ask.look),
        (name @ ("name" | "queue" | "worker"), _) => name::clause(&column(name), term),
        ("id", _) => each(&|value| id("id", value)),
        ("root", _) => each(&|value| below(value, ask.look)),
        ("parent", _) => each(&|value| id("parent", value)),
        ("group", _) => each(&|value| id("group_id", value)),
        ("error", _) => each(&failed::with),
        ("sig", _) => each(&failed::like),
        ("resolved", _) => each(&|value| failed::resolved(value, ask.look)),
        ("since" | "until", _) => each(&|value| bounds::time(&column("changed"), value, ask.now)),
        ("received", _) => each(&|value| bounds::time("received", value, ask.now).scan()),
        ("started", _) => each(&|value| bounds::time("started", value, ask.now).scan()),
        ("finished", _) => each(&|value| bounds::time("ended", value, ask.now).scan()),
        ("run", _) => each(&|value| bounds::lasting("run", value).scan()),
        ("wait", _) => each(&|value| bounds::lasting("wait", value).scan()),
        ("age", _) => each(&|value| bounds::ago(FIRST, value, ask.now).scan()),
        ("try", _) => each(&|value| bounds::number("retries + 1", value).scan()),
        ("retries", _) => each(&|value| bounds::number("retries", value).scan()),
        ("redelivered", _) => each(&|value| bounds::number("redelivered", value).scan()),
        (shown @ ("kwargs" | "args" | "result"), "") => each(&|value| part_of(shown, value).scan()),
        ("kwargs", path) => each(&|value| argument::named(path, value)),
        ("args", path) => each(&|value| argument::at(path, value)),
        _ => Clause::always(Holds::Never),
    }
}

/// All states but those of `term`.
pub(super) fn other_states(term: &Term) -> Vec<State> {
    let named = states(term);
    State::ALL.into_iter().filter(|state| !named.contains(state)).collect()
}

pub(super) fn states(term: &Term) -> Vec<State> {
    let means = |state: &State| {
        term.values.iter().any(|given| match given.value {
            Value::Word("open") => state.is_open(),
            Value::Word("bad") => state.is_bad(),
            Value::Word(word) => state.as_str().eq_ignore_ascii_case(word),
            _ => true,
        })
    };
    State::ALL.into_iter().filter(means).collect()
}

pub(super) fn in_states(states: &[State], look: Look) -> Clause {
    let codes: Vec<_> = states.iter().map(|state| state.code().to_string()).collect();
    let column = look.column("state");
    match codes.as_slice() {
        [code] => Clause::bare(format!("{column} = {code}")),
        _ if codes.len() == State::ALL.len() => Clause::always(Holds::Always),
        _ => Clause::bare(format!("{column} IN ({})", codes.join(", "))),
    }
}

fn id(column: &str, value: &Value) -> Clause {
    match value {
        Value::Id(beginning) => begins(column, beginning),
        _ => Clause::bare(format!("{column} IS NOT NULL")),
    }
}

/// The task is the root that is meant, which does not name itself, or below it.
fn below(value: &Value, look: Look) -> Clause {
    Clause::any(["root", "id"].map(|column| id(column, value)), look)
}

/// The text in `column` begins with `beginning`.
pub(super) fn begins(column: &str, beginning: &str) -> Clause {
    // No character is behind this one.
    let end = format!("{beginning}{}", char::MAX);
    let sql = format!("({column} >= ? AND {column} < ?)");
    Clause::new(sql, vec![text(beginning), text(end)])
}

fn part_of(column: &str, value: &Value) -> Clause {
    match value {
        Value::Containing(part) => {
            Clause::new(format!(r"{column} LIKE ? ESCAPE '\'"), vec![text(within(part))])
        }
        _ => Clause::bare(format!("{column} IS NOT NULL")),
    }
}

/// For `LIKE`: somewhere in a text.
pub(super) fn within(part: &Pattern) -> String {
    like([""].into_iter().chain(part.pieces()).chain([""]))
}
