//! Questions about tasks.

use super::super::change::Micros;
use super::super::record::Attempt;
use super::super::state::State;
use super::select::Selection;
use super::{IndexError, apply};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use std::collections::BTreeMap;

/// What a list shows of a task, and most of what its own page does.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct TaskRow {
    /// Its place in lists: the higher, the newer.
    pub(in super::super) n: i64,
    pub(in super::super) id: String,
    pub(in super::super) name: Option<String>,
    pub(in super::super) queue: Option<String>,
    pub(in super::super) worker: Option<String>,
    pub(in super::super) state: State,
    pub(in super::super) root: Option<String>,
    pub(in super::super) parent: Option<String>,
    pub(in super::super) group: Option<String>,
    pub(in super::super) retries: i64,
    pub(in super::super) redelivered: i64,
    pub(in super::super) eta: Option<Micros>,
    pub(in super::super) expires: Option<Micros>,
    pub(in super::super) sent: Option<Micros>,
    pub(in super::super) received: Option<Micros>,
    pub(in super::super) started: Option<Micros>,
    pub(in super::super) ended: Option<Micros>,
    pub(in super::super) changed: Micros,
    pub(in super::super) clock: i64,
    pub(in super::super) wait: Option<Micros>,
    pub(in super::super) run: Option<Micros>,
    pub(in super::super) args: Option<String>,
    pub(in super::super) kwargs: Option<String>,
    pub(in super::super) result: Option<String>,
    pub(in super::super) error: Option<String>,
    pub(in super::super) failure: Option<i64>,
    pub(in super::super) resolved: Option<Micros>,
}

/// An attempt, and where it ran.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct AttemptRow {
    pub(in super::super) attempt: Attempt,
    pub(in super::super) worker: Option<String>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct TaskPage {
    /// Newest first.
    pub(in super::super) tasks: Vec<TaskRow>,
    /// Where the older ones go on; `None` at the end.
    pub(in super::super) older: Option<i64>,
}

/// So many tasks are looked at one by one before indexes are asked.
const NEAR: i64 = 10_000;

const COLUMNS: &str = "n, task.id AS id, name.text AS name, queue.text AS queue,
    worker.text AS worker, state, root, parent, retries, redelivered, eta, expires, sent, received,
    started, ended, changed, clock, wait, run, args, kwargs, result, error, failure, resolved, group_id";

const JOINS: &str = "LEFT JOIN word AS name ON name.id = task.name
    LEFT JOIN word AS queue ON queue.id = task.queue
    LEFT JOIN word AS worker ON worker.id = task.worker";

/// The newest tasks of a selection, older than `before`, at most `limit`.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn select(
    connection: &Connection,
    selection: &Selection,
    before: Option<i64>,
    limit: usize,
) -> Result<TaskPage, IndexError> {
    // When most tasks pass, what an index leads to would have to be sorted first.
    let (near, parameters) = &selection.near;
    let near = format!("{near} AND n >= ifnull(?, (SELECT max(n) FROM task)) - {NEAR}");
    let before_near = before.map_or(Value::Null, Value::Integer);
    let parameters = parameters.iter().cloned().chain([before_near]).collect();
    let page = rows(connection, "task NOT INDEXED", (&near, parameters), before, limit)?;
    if page.older.is_some() {
        return Ok(page);
    }
    list(connection, (&selection.condition, selection.parameters.clone()), before, limit)
}

/// The newest tasks for which `condition` holds, over the columns of `task`, with its parameters;
/// older than `before`, at most `limit`.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn list(
    connection: &Connection,
    condition: (&str, Vec<Value>),
    before: Option<i64>,
    limit: usize,
) -> Result<TaskPage, IndexError> {
    rows(connection, "task", condition, before, limit)
}

fn rows(
    connection: &Connection,
    source: &str,
    (condition, parameters): (&str, Vec<Value>),
    before: Option<i64>,
    limit: usize,
) -> Result<TaskPage, IndexError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM (SELECT * FROM {source} WHERE ({condition}) AND n < ? ORDER BY n DESC LIMIT ?) AS task
         {JOINS} ORDER BY n DESC"
    );
    let mut query = connection.prepare_cached(&sql)?;
    let more = [Value::Integer(before.unwrap_or(i64::MAX)), Value::Integer(limit as i64 + 1)];
    let rows = query.query_map(params_from_iter(parameters.into_iter().chain(more)), task)?;
    let mut tasks = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let is_more = tasks.len() > limit;
    tasks.truncate(limit);
    let older = tasks.last().map(|last| last.n).filter(|_| is_more);
    Ok(TaskPage { tasks, older })
}

/// The numbers of the oldest tasks for which `condition` holds, at most `limit`.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn keys(
    connection: &Connection,
    (condition, parameters): (&str, Vec<Value>),
    limit: usize,
) -> Result<Vec<i64>, IndexError> {
    let sql = format!("SELECT n FROM task WHERE ({condition}) ORDER BY n LIMIT {limit}");
    let mut query = connection.prepare_cached(&sql)?;
    let keys = query.query_map(params_from_iter(parameters), |row| row.get(0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// One task and its attempts, the first first.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn one(
    connection: &Connection,
    id: &str,
) -> Result<Option<(TaskRow, Vec<AttemptRow>)>, IndexError> {
    let sql = format!("SELECT {COLUMNS} FROM task {JOINS} WHERE task.id = ?1");
    let found = connection.prepare_cached(&sql)?.query_row([id], task).optional()?;
    let Some(found) = found else { return Ok(None) };
    let attempts = attempts(connection, found.n)?;
    Ok(Some((found, attempts)))
}

/// The attempts of the task with this number, the first first.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn attempts(
    connection: &Connection,
    n: i64,
) -> Result<Vec<AttemptRow>, IndexError> {
    let mut query = connection.prepare_cached(
        "SELECT attempt.*, word.text AS node FROM attempt
         LEFT JOIN word ON word.id = attempt.worker WHERE task = ?1 ORDER BY no LIMIT 1000",
    )?;
    let attempts = query.query_map([n], |row| {
        Ok(AttemptRow { attempt: apply::attempt(row)?, worker: row.get("node")? })
    })?;
    Ok(attempts.collect::<rusqlite::Result<_>>()?)
}

/// The ids of the tasks that one has sent, the first first.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn children(
    connection: &Connection,
    id: &str,
) -> Result<Vec<String>, IndexError> {
    let sql = "SELECT id FROM task WHERE parent = ?1 ORDER BY n LIMIT 1000";
    let mut query = connection.prepare_cached(sql)?;
    let children = query.query_map([id], |row| row.get(0))?;
    Ok(children.collect::<rusqlite::Result<_>>()?)
}

/// How many tasks are in each state.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn states(
    connection: &Connection,
) -> Result<BTreeMap<State, i64>, IndexError> {
    let mut query = connection.prepare_cached("SELECT state, count FROM tally WHERE count > 0")?;
    let rows = query.query_map([], |row| Ok((State::of_code(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn task(row: &Row<'_>) -> rusqlite::Result<TaskRow> {
    Ok(TaskRow {
        n: row.get("n")?,
        id: row.get("id")?,
        name: row.get("name")?,
        queue: row.get("queue")?,
        worker: row.get("worker")?,
        state: State::of_code(row.get("state")?),
        root: row.get("root")?,
        parent: row.get("parent")?,
        group: row.get("group_id")?,
        retries: row.get("retries")?,
        redelivered: row.get("redelivered")?,
        eta: row.get("eta")?,
        expires: row.get("expires")?,
        sent: row.get("sent")?,
        received: row.get("received")?,
        started: row.get("started")?,
        ended: row.get("ended")?,
        changed: row.get("changed")?,
        clock: row.get("clock")?,
        wait: row.get("wait")?,
        run: row.get("run")?,
        args: row.get("args")?,
        kwargs: row.get("kwargs")?,
        result: row.get("result")?,
        error: row.get("error")?,
        failure: row.get("failure")?,
        resolved: row.get("resolved")?,
    })
}

/// The newest task; 0 where there is none.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn newest(connection: &Connection) -> Result<i64, IndexError> {
    let mut query = connection.prepare_cached("SELECT coalesce(max(n), 0) FROM task")?;
    Ok(query.query_row([], |row| row.get(0))?)
}

/// The queues that tasks were sent to, as far as it was told.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn queues(connection: &Connection) -> Result<Vec<String>, IndexError> {
    words(connection, "queue")
}

/// The values of `column`, which is one of `name`, `queue` and `worker`, that tasks have.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn words(
    connection: &Connection,
    column: &'static str,
) -> Result<Vec<String>, IndexError> {
    // From one to the next in the index, not through all tasks.
    let mut query = connection.prepare_cached(&format!(
        "WITH RECURSIVE known (at) AS (
             SELECT min({column}) FROM task
             UNION ALL
             SELECT (SELECT min({column}) FROM task WHERE {column} > known.at) FROM known
             WHERE at IS NOT NULL
         )
         SELECT text FROM known JOIN word ON word.id = known.at ORDER BY text LIMIT 2000",
    ))?;
    let rows = query.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The name and the queue of a task, as far as they are known.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn names(
    connection: &Connection,
    id: &str,
) -> Result<(Option<String>, Option<String>), IndexError> {
    let mut query = connection.prepare_cached(
        "SELECT name.text, queue.text FROM task
         LEFT JOIN word AS name ON name.id = task.name
         LEFT JOIN word AS queue ON queue.id = task.queue WHERE task.id = ?1",
    )?;
    let found = query.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(found.unwrap_or_default())
}

#[cfg(test)]
impl TaskRow {
    /// A task of which nothing is known but its state.
    pub(in super::super) fn of(state: State) -> Self {
        Self {
            n: 0,
            id: String::new(),
            name: None,
            queue: None,
            worker: None,
            state,
            root: None,
            parent: None,
            group: None,
            retries: 0,
            redelivered: 0,
            eta: None,
            expires: None,
            sent: None,
            received: None,
            started: None,
            ended: None,
            changed: 0,
            clock: 0,
            wait: None,
            run: None,
            args: None,
            kwargs: None,
            result: None,
            error: None,
            failure: None,
            resolved: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_that_tasks_have_is_found() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema.sql")).unwrap();
        for (word, text) in [(1, "mail"), (2, "sms"), (3, "nobody's"), (4, "video")] {
            connection.execute("INSERT INTO word VALUES (?1, ?2)", (word, text)).unwrap();
        }
        for (id, queue) in [("a", 2), ("b", 1), ("c", 4), ("d", 2)] {
            let sql = "INSERT INTO task (id, queue, state, retries, redelivered, changed, clock)
                       VALUES (?1, ?2, 0, 0, 0, 0, 0)";
            connection.execute(sql, (id, queue)).unwrap();
        }
        assert_eq!(queues(&connection).unwrap(), ["mail", "sms", "video"]);
        assert!(words(&connection, "name").unwrap().is_empty());
        assert_eq!(names(&connection, "b").unwrap(), (None, Some("mail".to_owned())));
    }
}
