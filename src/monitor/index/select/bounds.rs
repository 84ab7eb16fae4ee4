//! From where to where: numbers, durations and times.

use super::clause::Clause;
use crate::clock::{micros, micros_in};
use crate::filter::{Bounds, Value};
use rusqlite::types::Value as Parameter;
use std::ops::Bound;
use std::time::SystemTime;

pub(super) fn number(column: &str, value: &Value) -> Clause {
    match value {
        Value::Number(Bounds { from, to }) => between(column, *from, *to),
        _ => present(column),
    }
}

pub(super) fn lasting(column: &str, value: &Value) -> Clause {
    match value {
        Value::Duration(Bounds { from, to }) => {
            between(column, from.map(micros_in), to.map(micros_in))
        }
        _ => present(column),
    }
}

/// How long before `now` the time in `column` is.
pub(super) fn ago(column: &str, value: &Value, now: SystemTime) -> Clause {
    lasting(&format!("({} - {column})", micros(now)), value)
}

pub(super) fn time(column: &str, value: &Value, now: SystemTime) -> Clause {
    let Value::Time(bounds) = value else { return present(column) };
    let (from, to) = bounds.at(now);
    let from = from.map_or(Bound::Unbounded, |from| Bound::Included(micros(from)));
    let to = to.map_or(Bound::Unbounded, |to| Bound::Excluded(micros(to)));
    between(column, from, to)
}

fn present(column: &str) -> Clause {
    Clause::bare(format!("{column} IS NOT NULL"))
}

fn between(column: &str, from: Bound<i64>, to: Bound<i64>) -> Clause {
    let end = |(including, excluding): (&str, &str), bound: Bound<i64>| {
        let (operator, value) = match bound {
            Bound::Included(value) => (including, value),
            Bound::Excluded(value) => (excluding, value),
            Bound::Unbounded => return None,
        };
        Some(Clause::new(format!("{column} {operator} ?"), vec![Parameter::Integer(value)]))
    };
    if let (Bound::Included(one), Bound::Included(other)) = (from, to)
        && one == other
    {
        return Clause::new(format!("{column} = ?"), vec![Parameter::Integer(one)]);
    }
    Clause::all(end((">=", ">"), from).into_iter().chain(end(("<=", "<"), to)))
}
