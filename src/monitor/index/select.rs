//! From a filter to a condition on the table `task`.
//!
//! What somebody wrote goes into parameters only; the text of a condition is ours. Which parts an
//! index answers is known here: of a filter that has others, only the newest tasks that the indexed
//! parts leave are looked at, and [`Selection::reach`] says so.

pub(in super::super) mod acts;
mod argument;
mod bounds;
mod clause;
mod failed;
pub(in super::super) mod letters;
mod name;
mod term;
#[cfg(test)]
mod tests;

use super::super::state::State;
use crate::filter::{Expr, Field, Fields, Kind};
use clause::{Ask, Clause, Cost, Look};
use rusqlite::types::Value;
use std::time::SystemTime;

/// Of an id at least so many characters are needed: fewer mean too many tasks.
const SHORTEST_ID: usize = 6;

const ID: Kind = Kind::Id { shortest: SHORTEST_ID };

/// What a filter over tasks may ask about.
pub(crate) static FIELDS: Fields = Fields::new(&[
    Field::new("state", Kind::Word(&STATES)),
    Field::new("name", Kind::Text),
    Field::new("queue", Kind::Text),
    Field::new("worker", Kind::Text),
    Field::new("error", Kind::Prose),
    Field::new("since", Kind::Since),
    Field::new("until", Kind::Until),
    Field::new("id", ID),
    Field::new("root", ID),
    Field::new("parent", ID),
    Field::new("group", ID),
    Field::new("sig", Kind::Number),
    Field::new("resolved", Kind::Truth),
    Field::new("received", Kind::Time),
    Field::new("started", Kind::Time),
    Field::new("finished", Kind::Time),
    Field::new("run", Kind::Duration),
    Field::new("wait", Kind::Duration),
    Field::new("age", Kind::Duration),
    Field::new("try", Kind::Number),
    Field::new("retries", Kind::Number),
    Field::new("redelivered", Kind::Number),
    Field::new("kwargs", Kind::Prose),
    Field::below("kwargs", Kind::Text),
    Field::new("args", Kind::Prose),
    Field::below("args", Kind::Text),
    Field::new("result", Kind::Prose),
])
.with_bare_words();

/// The words behind `state:`; those of [`State`] are in its order.
const STATES: [&str; State::ALL.len() + 2] = [
    "sent",
    "received",
    "scheduled",
    "started",
    "retry",
    "success",
    "failure",
    "revoked",
    "rejected",
    "expired",
    "lost",
    "open",
    "bad",
];

/// Which tasks a filter means, for SQL.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Selection {
    /// A condition on the columns of `task`.
    pub(in super::super) condition: String,
    /// Its parameters, in order.
    pub(in super::super) parameters: Vec<Value>,
    /// The same, to be asked of a few thousand tasks one by one.
    pub(super) near: (String, Vec<Value>),
    /// How far it looks.
    pub(in super::super) reach: Reach,
}

/// How far a selection looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Reach {
    /// At every task.
    All,
    /// At so many of the newest that the parts with an index leave.
    Newest(u32),
}

impl Selection {
    /// The tasks that `filter` means when it is `now`. Where no index helps, not more than `newest`
    /// are looked at.
    pub(in super::super) fn of(filter: &Expr, now: SystemTime, newest: u32) -> Self {
        let ask = |look: Look| Ask { now, look };
        let mut parts = Vec::new();
        conjuncts(filter, &mut parts);
        let near = Clause::all(parts.iter().map(|part| clause(part, ask(Look::Near))));
        let (indexed, scanned): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| clause(part, ask(Look::Lead)).cost == Cost::Index);
        let mut clauses = lead(&indexed, now);
        let reach = if scanned.is_empty() { Reach::All } else { Reach::Newest(newest) };
        if reach != Reach::All {
            clauses = vec![newest_of(clauses, newest)];
        }
        clauses.extend(scanned.iter().map(|part| clause(part, ask(Look::Follow))));
        let Clause { sql, parameters, .. } = Clause::all(clauses);
        Self { condition: sql, parameters, near: (near.sql, near.parameters), reach }
    }
}

/// The parts that must all hold.
fn conjuncts<'a>(filter: &'a Expr, parts: &mut Vec<&'a Expr>) {
    match filter {
        Expr::And(inner) => inner.iter().for_each(|part| conjuncts(part, parts)),
        other => parts.push(other),
    }
}

/// The conditions of `parts`, for each of which there is an index. That which leaves the fewest tasks
/// leads to them: SQLite, which does not know the data, would take any.
fn lead(parts: &[&Expr], now: SystemTime) -> Vec<Clause> {
    let Some(best) = parts.iter().map(|part| left(part)).min() else { return Vec::new() };
    let (leading, following): (Vec<&Expr>, Vec<&Expr>) =
        parts.iter().partition(|part| left(part) == best);
    let lead = leading.into_iter().map(|part| clause(part, Ask { now, look: Look::Lead }));
    let lead: Vec<_> = match best {
        // A beginning and an end lead to what is between them only together.
        Left::Time => vec![Clause::all(lead).leading()],
        _ => lead.collect(),
    };
    let follow = following.into_iter().map(|part| clause(part, Ask { now, look: Look::Follow }));
    lead.into_iter().chain(follow).collect()
}

/// How many tasks a part of a filter leaves, the fewest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    WhatIsRare,
    Name,
    Time,
    RareState,
    Worker,
    Queue,
    State,
}

fn left(part: &Expr) -> Left {
    match part {
        Expr::Term(term) => match term.field.name() {
            "name" => Left::Name,
            "since" | "until" => Left::Time,
            "state" if !term::states(term).contains(&State::Success) => Left::RareState,
            "worker" => Left::Worker,
            "queue" => Left::Queue,
            "state" => Left::State,
            _ => Left::WhatIsRare,
        },
        Expr::Not(_) => match other_states(part) {
            Some(states) if !states.contains(&State::Success) => Left::RareState,
            _ => Left::State,
        },
        _ => Left::WhatIsRare,
    }
}

/// Of a part that says which states are not meant, all others.
fn other_states(part: &Expr) -> Option<Vec<State>> {
    let Expr::Not(part) = part else { return None };
    match part.as_ref() {
        Expr::Term(term) if term.field.name() == "state" => Some(term::other_states(term)),
        _ => None,
    }
}

/// The newest of those for which `indexed` hold.
fn newest_of(indexed: Vec<Clause>, newest: u32) -> Clause {
    let newest = Value::Integer(newest.into());
    if indexed.is_empty() {
        // Tasks are numbered without gaps, but for what was deleted.
        return Clause::new("n > (SELECT max(n) FROM task) - ?", vec![newest]);
    }
    let Clause { sql, mut parameters, .. } = Clause::all(indexed);
    parameters.push(newest);
    let sql = format!("n IN (SELECT n FROM task WHERE {sql} ORDER BY n DESC LIMIT ?)");
    Clause::new(sql, parameters)
}

fn clause(filter: &Expr, ask: Ask) -> Clause {
    match filter {
        Expr::Or(parts) => Clause::any(parts.iter().map(|part| clause(part, ask)), ask.look),
        Expr::And(parts) => Clause::all(parts.iter().map(|part| clause(part, ask))),
        Expr::Not(inner) => match other_states(filter) {
            Some(states) => term::in_states(&states, ask.look),
            None => clause(inner, Ask { look: Look::Follow, ..ask }).not(),
        },
        Expr::Term(term) => term::clause(term, ask),
        Expr::Word(word, _) => name::bare(word, ask.look),
        Expr::Phrase(text, _) => failed::saying(text),
    }
}
