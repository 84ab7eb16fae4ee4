//! Questions about workflows: tasks that have one root.

use super::super::change::Micros;
use super::super::state::State;
use super::IndexError;
use super::tasks::{self, TaskRow};
use rusqlite::types::Value;
use rusqlite::{Connection, Row};

/// Roots are looked for among so many tasks at once.
const WINDOW: i64 = 20_000;

/// Of a workflow so many tasks are counted.
const COUNTED: i64 = 10_000;

/// A workflow.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Workflow {
    pub(in super::super) root: String,
    /// `None` where nothing was told of the root itself, or it is too old to be kept.
    pub(in super::super) first: Option<TaskRow>,
    /// Tasks that are known, the root among them.
    pub(in super::super) tasks: i64,
    /// Of those, what has ended, and what of it ended badly.
    pub(in super::super) ended: i64,
    pub(in super::super) bad: i64,
    /// When something was last told of one of them.
    pub(in super::super) changed: Micros,
    /// The place of its newest task.
    last: i64,
}

/// How far tasks that belong together are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Counts {
    /// Tasks that are known.
    pub(in super::super) tasks: i64,
    /// Of those, what has ended, and what of it ended badly.
    pub(in super::super) ended: i64,
    pub(in super::super) bad: i64,
    /// When something was last told of one of them.
    pub(in super::super) changed: Micros,
}

/// A group: tasks that were sent side by side, as far as workers tell.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Group {
    pub(in super::super) id: String,
    pub(in super::super) counts: Counts,
}

/// A part of the list of workflows.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in super::super) struct WorkflowPage {
    /// Those with the newest tasks first.
    pub(in super::super) workflows: Vec<Workflow>,
    /// Where the older ones go on; `None` at the end.
    pub(in super::super) older: Option<i64>,
}

/// The workflows whose newest task is older than `before`, at most `limit`.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn list(
    connection: &Connection,
    before: Option<i64>,
    limit: usize,
) -> Result<WorkflowPage, IndexError> {
    let mut newest = connection.prepare_cached("SELECT coalesce(max(n), 0) + 1 FROM task")?;
    let before = match before {
        Some(before) => before,
        None => newest.query_row([], |row| row.get(0))?,
    };
    let start = before - WINDOW;
    // A root whose newest task is younger was on the page before.
    let mut query = connection.prepare_cached(
        "SELECT root, max(n) AS last FROM task
         WHERE root IS NOT NULL AND n < ?1 AND n >= ?2
           AND NOT EXISTS (SELECT 1 FROM task AS other WHERE other.root = task.root AND other.n >= ?1)
         GROUP BY root ORDER BY last DESC LIMIT ?3",
    )?;
    let rows = query.query_map((before, start, limit as i64 + 1), |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    let mut found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let is_more = found.len() > limit;
    found.truncate(limit);
    let older = match found.last() {
        Some((_, last)) if is_more => Some(*last),
        _ => Some(start).filter(|start| *start > 1),
    };
    let workflows = found.into_iter().map(|(root, last)| workflow(connection, root, last));
    Ok(WorkflowPage { workflows: workflows.collect::<Result<_, _>>()?, older })
}

fn workflow(connection: &Connection, root: String, last: i64) -> Result<Workflow, IndexError> {
    let Counts { tasks, ended, bad, changed } = counts(connection, "root", &root)?;
    let first = tasks::list(connection, ("id = ?", vec![Value::Text(root.clone())]), None, 1)?;
    let first = first.tasks.into_iter().next();
    let own = |is: fn(&State) -> bool| i64::from(first.as_ref().is_some_and(|it| is(&it.state)));
    Ok(Workflow {
        tasks: tasks + i64::from(first.is_some()),
        ended: ended + own(|it| !it.is_open()),
        bad: bad + own(|it| !it.is_open() && it.is_bad()),
        changed: first.as_ref().map_or(changed, |first| changed.max(first.changed)),
        root,
        first,
        last,
    })
}

/// How far the tasks are of which `column` is `id`.
fn counts(connection: &Connection, column: &'static str, id: &str) -> Result<Counts, IndexError> {
    let codes = |is: fn(&State) -> bool| -> String {
        let codes = State::ALL.iter().filter(|state| is(state));
        codes.map(|state| state.code().to_string()).collect::<Vec<_>>().join(", ")
    };
    let (open, bad) = (codes(|it| it.is_open()), codes(|it| !it.is_open() && it.is_bad()));
    let mut count = connection.prepare_cached(&format!(
        "SELECT count(*), count(*) FILTER (WHERE state NOT IN ({open})),
                count(*) FILTER (WHERE state IN ({bad})), coalesce(max(changed), 0)
         FROM (SELECT state, changed FROM task WHERE {column} = ?1 LIMIT {COUNTED})"
    ))?;
    let counts = |row: &Row<'_>| {
        let (tasks, ended, bad, changed) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Counts { tasks, ended, bad, changed })
    };
    Ok(count.query_row([id], counts)?)
}

/// How far a group is.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn group(connection: &Connection, id: String) -> Result<Group, IndexError> {
    Ok(Group { counts: counts(connection, "group_id", &id)?, id })
}

/// The members of a group, the oldest first: at most `limit`, the first ones.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn members(
    connection: &Connection,
    group: &str,
    limit: usize,
) -> Result<Vec<TaskRow>, IndexError> {
    oldest(connection, "group_id", group, limit)
}

/// The tasks of a workflow, the oldest first: at most `limit`, the first ones.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn tasks(
    connection: &Connection,
    root: &str,
    limit: usize,
) -> Result<Vec<TaskRow>, IndexError> {
    let own = ("id = ?", vec![Value::Text(root.to_owned())]);
    let mut all = tasks::list(connection, own, None, 1)?.tasks;
    all.extend(oldest(connection, "root", root, limit)?);
    Ok(all)
}

/// The first tasks of which `column` is `id`, at most `limit`.
fn oldest(
    connection: &Connection,
    column: &'static str,
    id: &str,
    limit: usize,
) -> Result<Vec<TaskRow>, IndexError> {
    // The numbered parameter is the only one; those behind it are counted on.
    let first = format!(
        "{column} = ?1 AND n <= ifnull(
             (SELECT n FROM task WHERE {column} = ?1 ORDER BY n LIMIT 1 OFFSET {}), {})",
        limit.saturating_sub(1),
        i64::MAX
    );
    let parameters = vec![Value::Text(id.to_owned())];
    let mut found = tasks::list(connection, (&first, parameters), None, limit)?.tasks;
    found.reverse();
    Ok(found)
}
