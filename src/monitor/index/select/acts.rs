//! From a filter over what people did to a condition on the table `audit`.

use super::bounds;
use super::clause::{Clause, Look, glob, text};
use super::term::within;
use crate::filter::{Expr, Field, Fields, Kind, Pattern, Value};
use rusqlite::types::Value as Parameter;
use std::time::SystemTime;

/// What a filter over the audit may ask about. A word alone is looked for in who, what and to what.
pub(in super::super::super) static FIELDS: Fields = Fields::new(&[
    Field::new("by", Kind::Text),
    Field::new("action", Kind::Text),
    Field::new("target", Kind::Text),
    Field::new("outcome", Kind::Word(&OUTCOMES)),
    Field::new("since", Kind::Since),
    Field::new("until", Kind::Until),
])
.with_bare_words();

/// As the API has them; `open` is what nobody has told the end of.
const OUTCOMES: [&str; 7] =
    ["done", "partial", "refused", "unknown_target", "no_answer", "error", "open"];

const COLUMNS: [&str; 3] = ["by", "action", "target"];

/// A condition on the columns of `audit` that holds for what `filter` means when it is `now`, and
/// its parameters.
pub(in super::super::super) fn condition(
    filter: &Expr,
    now: SystemTime,
) -> (String, Vec<Parameter>) {
    let Clause { sql, parameters, .. } = clause(filter, now);
    (sql, parameters)
}

fn clause(filter: &Expr, now: SystemTime) -> Clause {
    match filter {
        Expr::Or(parts) => any(parts.iter().map(|part| clause(part, now))),
        Expr::And(parts) => Clause::all(parts.iter().map(|part| clause(part, now))),
        Expr::Not(inner) => clause(inner, now).not(),
        Expr::Term(term) => {
            any(term.values.iter().map(|given| says(term.field.name(), &given.value, now)))
        }
        Expr::Word(word, _) => any(COLUMNS.map(|column| like(column, &within(word)))),
        Expr::Phrase(phrase, _) => {
            any(COLUMNS
                .map(|column| like(column, &super::clause::like(["", phrase, ""].into_iter()))))
        }
    }
}

fn says(field: &'static str, value: &Value, now: SystemTime) -> Clause {
    match (field, value) {
        ("since" | "until", _) => bounds::time("at", value, now),
        ("outcome", Value::Word("open")) => Clause::bare("ended IS NULL".to_owned()),
        ("outcome", Value::Word(word)) => {
            Clause::new("json_extract(outcome, '$.status') = ?".to_owned(), vec![text(*word)])
        }
        (column, Value::Text(pattern)) => is(column, pattern),
        (column, Value::Containing(part)) => like(column, &within(part)),
        (column, _) => Clause::bare(format!("{column} IS NOT NULL")),
    }
}

fn is(column: &str, pattern: &Pattern) -> Clause {
    match pattern.exact() {
        Some(exact) => Clause::new(format!("{column} = ?"), vec![text(exact)]),
        None => Clause::new(format!("{column} GLOB ?"), vec![text(glob(pattern.pieces()))]),
    }
}

fn like(column: &str, pattern: &str) -> Clause {
    Clause::new(format!(r"{column} LIKE ? ESCAPE '\'"), vec![text(pattern)])
}

fn any(clauses: impl IntoIterator<Item = Clause>) -> Clause {
    Clause::any(clauses, Look::Follow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::parse;
    use rusqlite::{Connection, params_from_iter};
    use std::time::Duration;

    #[test]
    fn who_did_what_to_what_and_what_came_of_it() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../schema.sql")).unwrap();
        for (id, by, action, target, ended) in [
            ("1", "ana", "retry", "a279", Some("done")),
            ("2", "bo", "purge", "mail", Some("refused")),
            ("3", "ana", "rate limit", "alpha@web1", None),
        ] {
            let outcome = ended.map(|status| format!("{{\"status\":\"{status}\"}}"));
            let at = id.parse::<i64>().unwrap() * 3_600_000_000;
            connection
                .execute(
                    "INSERT INTO audit (id, at, by, action, target, arguments, ended, outcome)
                     VALUES (?1, ?2, ?3, ?4, ?5, '{}', ?6, ?7)",
                    (id, at, by, action, target, ended.map(|_| at), outcome),
                )
                .unwrap();
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(4 * 3_600);
        for (q, found) in [
            ("", "123"),
            ("by:ana", "13"),
            ("by:a*", "13"),
            ("action:\"rate limit\"", "3"),
            ("action:retry,purge", "12"),
            ("target:~web", "3"),
            ("-by:ana", "2"),
            ("outcome:refused", "2"),
            ("outcome:open", "3"),
            ("since:90m", "3"),
            ("web", "3"),
            ("\"rate lim\"", "3"),
            ("by:ana OR target:mail", "123"),
            ("by:\"x' OR 1=1 --\"", ""),
        ] {
            let (condition, parameters) = condition(&parse(q, &FIELDS).unwrap(), now);
            let sql = format!("SELECT id FROM audit WHERE {condition} ORDER BY n");
            let mut query = connection.prepare(&sql).unwrap();
            let ids = query.query_map(params_from_iter(parameters), |row| row.get::<_, String>(0));
            assert_eq!(ids.unwrap().map(Result::unwrap).collect::<String>(), found, "{q}");
        }
    }
}
