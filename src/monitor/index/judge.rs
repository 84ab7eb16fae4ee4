//! Whether something can be done with a letter or a task now, as far as the index knows.

use super::super::operations::Action;
use super::super::state::State;
use super::dead::{self, DeadRow};
use super::{IndexError, tasks};
use crate::archive::State as Became;
use rusqlite::Connection;
use rusqlite::types::Value;

/// What there is to do.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Judged {
    /// Something is to be done with this letter.
    Letter(Box<DeadRow>),
    /// Something is to be done with this task.
    Task {
        /// Its id.
        id: String,
        /// Its name, if it was told.
        name: Option<String>,
    },
    /// Nothing, and why.
    Skip(&'static str),
}

/// Why nothing is done with a letter or a task.
pub(in super::super) const REQUEUED: &str = "already requeued";
pub(in super::super) const DISCARDED: &str = "already discarded";
pub(in super::super) const NO_QUEUE: &str = "nothing tells which queue it came from; name one";
pub(in super::super) const NOT_KEPT: &str = "no longer kept";
pub(in super::super) const NO_LETTER: &str = "its message is not in the archive";
pub(in super::super) const ENDED: &str = "it has ended";
pub(in super::super) const RUNS: &str = "it runs already; terminate it on its page";

/// Looks at the letter or the task with this key.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn judge(
    index: &Connection,
    action: Action,
    addressed: Addressed,
    key: i64,
) -> Result<Judged, IndexError> {
    if action == Action::Revoke {
        return Ok(match task(index, key)? {
            None => Judged::Skip(NOT_KEPT),
            Some(task) if task.state == State::Started => Judged::Skip(RUNS),
            Some(task) if task.state.is_open() => Judged::Task { id: task.id, name: task.name },
            Some(_) => Judged::Skip(ENDED),
        });
    }
    let Some(row) = letter(index, action, key)? else {
        return Ok(Judged::Skip(if action == Action::Retry { NO_LETTER } else { NOT_KEPT }));
    };
    let has_place = row.queue.is_some() || addressed == Addressed::Yes || !action.publishes();
    Ok(match row.became() {
        Became::Requeued(_) => Judged::Skip(REQUEUED),
        Became::Discarded(_) => Judged::Skip(DISCARDED),
        Became::Open if !has_place => Judged::Skip(NO_QUEUE),
        Became::Open => Judged::Letter(Box::new(row)),
    })
}

/// The letter with this key, or the newest of the task with it.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn letter(
    index: &Connection,
    action: Action,
    key: i64,
) -> Result<Option<DeadRow>, IndexError> {
    if action != Action::Retry {
        return dead::one(index, key);
    }
    let Some(task) = task(index, key)? else { return Ok(None) };
    let newest = ("id = ?", vec![Value::Text(task.id)]);
    Ok(dead::list(index, newest, None, 1)?.0.pop())
}

/// Whether it is said to which queue messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Addressed {
    /// To one that was named.
    Yes,
    /// Each to the one that it came from.
    No,
}

fn task(index: &Connection, key: i64) -> Result<Option<tasks::TaskRow>, IndexError> {
    Ok(tasks::list(index, ("n = ?", vec![Value::Integer(key)]), None, 1)?.tasks.pop())
}
