//! From a filter over dead letters to a condition on the table `dead`: what
//! [`crate::archive::Filter`] says of a letter, as SQL.

use super::clause::{Clause, Holds, Look, text};
use super::term::{begins, within};
use super::{bounds, name};
use crate::archive::Filter;
use crate::filter::{Expr, Kind, Term, Value};
use rusqlite::types::Value as Parameter;
use std::time::SystemTime;

/// The word that means every state.
const ALL: &str = "all";

/// A condition on the columns of `dead` that holds for the letters that `filter` means when it is
/// `now`, and its parameters.
pub(in super::super::super) fn condition(
    filter: &Filter,
    now: SystemTime,
) -> (String, Vec<Parameter>) {
    let Clause { sql, parameters, .. } = clause(filter.expr(), now);
    (sql, parameters)
}

fn clause(expr: &Expr, now: SystemTime) -> Clause {
    match expr {
        Expr::Or(parts) => any(parts.iter().map(|part| clause(part, now))),
        Expr::And(parts) => Clause::all(together(parts).into_iter().map(|part| match part {
            Part::Alternatives(terms) => any(terms.into_iter().map(|it| says(it, now))),
            Part::Other(part) => clause(part, now),
        })),
        Expr::Not(part) => clause(part, now).not(),
        Expr::Term(term) => says(term, now),
        // The fields let nothing stand alone.
        Expr::Word(..) | Expr::Phrase(..) => Clause::always(Holds::Never),
    }
}

/// What must hold beside everything else.
enum Part<'a> {
    /// One of these: a letter has one queue, one task, one reason.
    Alternatives(Vec<&'a Term>),
    Other(&'a Expr),
}

fn together(parts: &[Expr]) -> Vec<Part<'_>> {
    let mut whole: Vec<Part<'_>> = Vec::new();
    for part in parts {
        let Expr::Term(term) = part else {
            whole.push(Part::Other(part));
            continue;
        };
        let is_time = matches!(term.field.kind(), Kind::Since | Kind::Until);
        let same = whole.iter_mut().find_map(|it| match it {
            Part::Alternatives(terms) if !is_time && terms[0].field == term.field => Some(terms),
            _ => None,
        });
        match same {
            Some(terms) => terms.push(term),
            None => whole.push(Part::Alternatives(vec![term])),
        }
    }
    whole
}

fn says(term: &Term, now: SystemTime) -> Clause {
    let column = term.field.name();
    match column {
        "queue" | "task" => name::clause(column, term),
        _ => any(term.values.iter().map(|given| one(column, &given.value, now))),
    }
}

fn one(column: &str, value: &Value, now: SystemTime) -> Clause {
    match value {
        Value::Word(ALL) if column == "state" => Clause::always(Holds::Always),
        Value::Word(word) => Clause::new(format!("{column} = ?"), vec![text(*word)]),
        Value::Containing(part) => {
            Clause::new(format!(r"{column} LIKE ? ESCAPE '\'"), vec![text(within(part))])
        }
        Value::Id(beginning) => begins(column, beginning),
        Value::Time(_) => bounds::time("at", value, now),
        _ => Clause::bare(format!("{column} IS NOT NULL")),
    }
}

fn any(clauses: impl IntoIterator<Item = Clause>) -> Clause {
    Clause::any(clauses, Look::Follow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{DeadLetter, Deed, Entry, Reason, State};
    use crate::monitor::index::{Writer, dead};
    use rusqlite::Connection;
    use std::time::Duration;

    fn at(hours: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(hours * 3_600)
    }

    fn letter(offset: u64, task: &str, queue: Option<&str>, state: State) -> DeadLetter {
        DeadLetter {
            offset,
            reason: if offset == 1 { Reason::Exhausted } else { Reason::Rejected },
            error: (offset < 3).then(|| format!("SMTPTimeout: {offset}% done")),
            dead_at: Some(at(offset)),
            task: Some(task.to_owned()),
            id: Some(format!("a279a6c{offset}").into()),
            queue: queue.map(str::to_owned),
            exchange: None,
            routing_key: "mail".into(),
            worker: None,
            argsrepr: None,
            retries: 0,
            attempts: Vec::new(),
            size: 0,
            state,
        }
    }

    fn some() -> Vec<DeadLetter> {
        let requeued = State::Requeued(Deed { at: at(5), by: "ana".to_owned() });
        vec![
            letter(1, "mail.send", Some("mail"), State::Open),
            letter(2, "mail.send", Some("sms"), requeued),
            letter(3, "video.cut", Some("video"), State::Open),
            letter(4, "video.cut", None, State::Open),
        ]
    }

    /// The index says of each filter what the archive itself says.
    #[test]
    fn the_index_finds_what_the_archive_finds() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../schema.sql")).unwrap();
        let mut writer = Writer::new(connection).unwrap();
        let keep = writer.transact(|transaction, words| {
            some().into_iter().try_for_each(|letter| {
                Ok(dead::note(transaction, words, &Entry::Letter(Box::new(letter)))?)
            })
        });
        keep.unwrap();
        let now = at(6);
        for text in [
            "",
            "state:all",
            "state:requeued",
            "state:open,requeued queue:sms",
            "queue:mail queue:video",
            "queue:mail,sms state:*",
            "queue:*",
            "NOT queue:*",
            "NOT queue:mail",
            "task:video.* OR reason:exhausted",
            "task:~SEND state:all",
            "error:smtptimeout",
            "error:\"1% d\"",
            "NOT error:*",
            "id:a279a6c3,a279a6c4",
            "id:a279",
            "since:4h",
            "until:4h",
            "since:4h until:3h state:all",
            "NOT (queue:mail reason:exhausted) state:all",
            "state:requeued OR queue:mail",
        ] {
            let filter = Filter::parse(text, now).unwrap();
            let (sql, parameters) = condition(&filter, now);
            let (rows, _) = dead::list(&writer.connection, (&sql, parameters), None, 10).unwrap();
            let mut found: Vec<_> = rows.iter().map(|row| row.offset).collect();
            found.reverse();
            let meant = some().into_iter().filter(|letter| filter.matches(letter));
            let meant: Vec<_> = meant.map(|letter| letter.offset as i64).collect();
            assert_eq!(found, meant, "{text}: {sql}");
        }
    }
}
