//! Dead letters: the archive, so far as lists show it. Bodies stay in the archive.

use super::super::change::{Micros, micros, time_of};
use super::super::record::Intern;
use super::IndexError;
use super::words::Words;
use crate::archive::{DeadLetter, Deed, Entry, Mark, State};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, params_from_iter};

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in super::super) struct DeadRow {
    pub(in super::super) offset: i64,
    pub(in super::super) at: Option<Micros>,
    pub(in super::super) reason: String,
    pub(in super::super) task: Option<String>,
    pub(in super::super) id: Option<String>,
    pub(in super::super) queue: Option<String>,
    pub(in super::super) worker: Option<String>,
    pub(in super::super) error: Option<String>,
    pub(in super::super) args: Option<String>,
    pub(in super::super) retries: i64,
    pub(in super::super) size: i64,
    pub(in super::super) state: String,
    pub(in super::super) done: Option<Micros>,
    pub(in super::super) by: Option<String>,
}

impl DeadRow {
    /// What became of it.
    pub(in super::super) fn became(&self) -> State {
        let at = self.done.map_or(std::time::SystemTime::UNIX_EPOCH, time_of);
        let deed = Deed { at, by: self.by.clone().unwrap_or_default() };
        match self.state.as_str() {
            "requeued" => State::Requeued(deed),
            "discarded" => State::Discarded(deed),
            _ => State::Open,
        }
    }
}

/// So many letters are looked at for what they have in a column.
const LOOKED_AT: usize = 20_000;

/// The values of `column`, which is `task` or `queue`, that the newest letters have. There is no index
/// of them: an archive is small, and each letter that comes would pay for it.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn words(
    connection: &Connection,
    column: &'static str,
) -> Result<Vec<String>, IndexError> {
    let mut query = connection.prepare_cached(&format!(
        "SELECT DISTINCT text
         FROM (SELECT {column} AS own FROM dead ORDER BY offset DESC LIMIT {LOOKED_AT})
         JOIN word ON word.id = own ORDER BY text LIMIT 2000",
    ))?;
    let rows = query.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Takes in a message of the archive.
pub(super) fn note(
    transaction: &Transaction<'_>,
    words: &mut Words<'_>,
    entry: &Entry,
) -> rusqlite::Result<()> {
    match entry {
        Entry::Letter(letter) => add(transaction, words, letter),
        Entry::Mark(mark) => turn(transaction, mark),
    }
}

fn add(
    transaction: &Transaction<'_>,
    words: &mut Words<'_>,
    letter: &DeadLetter,
) -> rusqlite::Result<()> {
    let mut word = |text: &Option<String>| text.as_ref().map(|it| words.word(it)).transpose();
    let (task, queue, worker) = (word(&letter.task)?, word(&letter.queue)?, word(&letter.worker)?);
    let mut add = transaction.prepare_cached(
        "INSERT OR REPLACE INTO dead
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, NULL, NULL)",
    )?;
    let id = letter.id.as_ref().map(|id| id.as_str());
    add.execute(params![
        offset(letter.offset),
        letter.dead_at.map(micros),
        letter.reason.as_str(),
        task,
        id,
        queue,
        worker,
        letter.error,
        letter.argsrepr,
        letter.retries,
        i64::try_from(letter.size).unwrap_or(i64::MAX),
        letter.state.as_str(),
    ])
    .map(drop)
}

fn turn(transaction: &Transaction<'_>, mark: &Mark) -> rusqlite::Result<()> {
    let mut turn = transaction.prepare_cached(
        "UPDATE dead SET state = ?3, done = ?4, by = ?5 WHERE offset = ?1 AND id IS ?2",
    )?;
    let (id, deed) = (mark.id.as_ref().map(|id| id.as_str()), mark.state.deed());
    let (at, by) = (deed.map(|deed| micros(deed.at)), deed.map(|deed| deed.by.as_str()));
    turn.execute((offset(mark.offset), id, mark.state.as_str(), at, by)).map(drop)
}

fn offset(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

const COLUMNS: &str = "dead.offset AS offset, at, reason, task.text AS task, dead.id AS id,
    queue.text AS queue, worker.text AS worker, error, args, retries, size, state, done, by";

const JOINS: &str = "LEFT JOIN word AS task ON task.id = dead.task
    LEFT JOIN word AS queue ON queue.id = dead.queue
    LEFT JOIN word AS worker ON worker.id = dead.worker";

/// The newest letters for which `condition` holds, over the columns of `dead`, with its parameters;
/// older than `before`, at most `limit`; and where the older ones go on.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn list(
    connection: &Connection,
    (condition, parameters): (&str, Vec<Value>),
    before: Option<i64>,
    limit: usize,
) -> Result<(Vec<DeadRow>, Option<i64>), IndexError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM (SELECT * FROM dead WHERE ({condition}) AND offset < ?
         ORDER BY offset DESC LIMIT ?) AS dead {JOINS} ORDER BY offset DESC"
    );
    let mut query = connection.prepare_cached(&sql)?;
    let more = [Value::Integer(before.unwrap_or(i64::MAX)), Value::Integer(limit as i64 + 1)];
    let rows = query.query_map(params_from_iter(parameters.into_iter().chain(more)), letter)?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let is_more = rows.len() > limit;
    rows.truncate(limit);
    let older = rows.last().map(|last| last.offset).filter(|_| is_more);
    Ok((rows, older))
}

/// The places of the oldest letters for which `condition` holds, at most `limit`.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn keys(
    connection: &Connection,
    (condition, parameters): (&str, Vec<Value>),
    limit: usize,
) -> Result<Vec<i64>, IndexError> {
    let sql = format!("SELECT offset FROM dead WHERE ({condition}) ORDER BY offset LIMIT {limit}");
    let mut query = connection.prepare_cached(&sql)?;
    let keys = query.query_map(params_from_iter(parameters), |row| row.get(0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// How many letters there are for which `condition` holds, counted up to `most`.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn count(
    connection: &Connection,
    (condition, parameters): (&str, Vec<Value>),
    most: usize,
) -> Result<usize, IndexError> {
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM dead WHERE ({condition}) LIMIT {most})");
    let mut query = connection.prepare_cached(&sql)?;
    let number: i64 = query.query_row(params_from_iter(parameters), |row| row.get(0))?;
    Ok(usize::try_from(number).unwrap_or_default())
}

/// The letter at this place of the archive, an offset.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn one(
    connection: &Connection,
    place: i64,
) -> Result<Option<DeadRow>, IndexError> {
    let sql = format!("SELECT {COLUMNS} FROM dead {JOINS} WHERE dead.offset = ?1");
    let mut query = connection.prepare_cached(&sql)?;
    Ok(query.query_row([place], letter).optional()?)
}

/// Whether the archive has a message of this task.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn has(connection: &Connection, id: &str) -> Result<bool, IndexError> {
    let mut query = connection.prepare_cached("SELECT 1 FROM dead WHERE id = ?1 LIMIT 1")?;
    Ok(query.exists([id])?)
}

/// How many letters there are, by what became of them.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn states(connection: &Connection) -> Result<Vec<(String, i64)>, IndexError> {
    let mut query = connection.prepare_cached("SELECT state, count(*) FROM dead GROUP BY state")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many letters there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Totals {
    /// Nobody has dealt with them.
    pub(in super::super) open: i64,
    /// All that are kept.
    pub(in super::super) kept: i64,
}

/// How many letters there are.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn totals(connection: &Connection) -> Result<Totals, IndexError> {
    let states = states(connection)?;
    let open = states.iter().find(|(state, _)| state == "open").map_or(0, |(_, count)| *count);
    Ok(Totals { open, kept: states.iter().map(|(_, count)| count).sum() })
}

/// How many letters nobody has dealt with, counted up to `most`.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn open(connection: &Connection, most: i64) -> Result<i64, IndexError> {
    let mut query = connection.prepare_cached(
        "SELECT count(*) FROM (SELECT 1 FROM dead WHERE state = 'open' LIMIT ?1)",
    )?;
    Ok(query.query_row([most], |row| row.get(0))?)
}

fn letter(row: &Row<'_>) -> rusqlite::Result<DeadRow> {
    Ok(DeadRow {
        offset: row.get("offset")?,
        at: row.get("at")?,
        reason: row.get("reason")?,
        task: row.get("task")?,
        id: row.get("id")?,
        queue: row.get("queue")?,
        worker: row.get("worker")?,
        error: row.get("error")?,
        args: row.get("args")?,
        retries: row.get("retries")?,
        size: row.get("size")?,
        state: row.get("state")?,
        done: row.get("done")?,
        by: row.get("by")?,
    })
}
