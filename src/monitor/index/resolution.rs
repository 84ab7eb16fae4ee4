//! What somebody has said is dealt with, until it happens again.
//!
//! It comes from the audit, which is read beside the events and not in one order with them. So it is
//! kept by itself, and asked again when a task fails: what failed before somebody said so is dealt
//! with, whichever was read first.

use super::super::change::Micros;
use super::super::state::State;
use crate::control::audit::Begun;
use rusqlite::{Connection, OptionalExtension, Transaction};

/// The audit's words.
pub(in super::super) const RESOLVE: &str = "resolve";
pub(in super::super) const UNRESOLVE: &str = "unresolve";

/// What can be dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// A kind of failure; its key is its title.
    Failure,
    /// A task; its key is its id.
    Task,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Failure, Self::Task];

    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Task => "task",
        }
    }

    /// Which tasks are of the key `?1`.
    fn condition(self) -> &'static str {
        match self {
            Self::Failure => "failure = (SELECT id FROM failure WHERE title = ?1)",
            Self::Task => "id = ?1",
        }
    }
}

/// Takes in what the audit says, if it is about this.
pub(super) fn note(transaction: &Transaction<'_>, begun: &Begun) -> rusqlite::Result<()> {
    let word = begun.arguments["kind"].as_str().unwrap_or_default();
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
    match (kind, begun.action.as_str()) {
        (Some(kind), RESOLVE) => resolve(transaction, kind, begun),
        (Some(kind), UNRESOLVE) => unresolve(transaction, kind, &begun.target),
        _ => Ok(()),
    }
}

fn resolve(transaction: &Transaction<'_>, kind: Kind, begun: &Begun) -> rusqlite::Result<()> {
    let Begun { target, at, by, .. } = begun;
    let keep = "INSERT OR REPLACE INTO resolution VALUES (?1, ?2, ?3, ?4)";
    transaction.execute(keep, (kind.as_str(), target, at, by))?;
    let condition = kind.condition();
    let resolve = format!(
        "UPDATE task SET resolved = ?2
         WHERE {condition} AND state = ?3 AND resolved IS NULL AND changed <= ?2"
    );
    transaction.execute(&resolve, (target, at, State::Failure.code()))?;
    recount(transaction, kind, target)
}

/// All tasks of it are open again, those too that were resolved one by one.
fn unresolve(transaction: &Transaction<'_>, kind: Kind, key: &str) -> rusqlite::Result<()> {
    let forget = "DELETE FROM resolution WHERE kind = ?1 AND key = ?2";
    transaction.execute(forget, (kind.as_str(), key))?;
    let condition = kind.condition();
    let open = format!("UPDATE task SET resolved = NULL WHERE {condition} AND resolved > 0");
    transaction.execute(&open, [key])?;
    recount(transaction, kind, key)
}

/// Counts again how many tasks are open in the kinds of failure that this is about.
fn recount(transaction: &Transaction<'_>, kind: Kind, key: &str) -> rusqlite::Result<()> {
    let which = match kind {
        Kind::Failure => "title = ?1",
        Kind::Task => "id = (SELECT failure FROM task WHERE id = ?1)",
    };
    let recount = format!(
        "UPDATE failure SET open = (SELECT count(*) FROM task WHERE task.failure = failure.id
         AND state = ?2 AND resolved IS NULL) WHERE {which}"
    );
    transaction.execute(&recount, (key, State::Failure.code())).map(drop)
}

/// When somebody has said that what failed at `at` is dealt with: the task, or failures of this
/// title.
pub(super) fn of(
    transaction: &Transaction<'_>,
    title: &str,
    task: &str,
    at: Micros,
) -> rusqlite::Result<Option<Micros>> {
    let mut said = transaction.prepare_cached(
        "SELECT max(at) FROM resolution
         WHERE ((kind = 'failure' AND key = ?1) OR (kind = 'task' AND key = ?2)) AND at >= ?3",
    )?;
    said.query_row((title, task, at), |row| row.get(0))
}

/// Who has said when that failures of this title are dealt with.
pub(super) fn of_failure(
    connection: &Connection,
    title: &str,
) -> rusqlite::Result<Option<(Micros, String)>> {
    let mut said = connection
        .prepare_cached("SELECT at, by FROM resolution WHERE kind = 'failure' AND key = ?1")?;
    said.query_row([title], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}
