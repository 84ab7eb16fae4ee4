//! Questions about failures that are the same.

use super::super::change::Micros;
use super::{IndexError, resolution};
use rusqlite::{Connection, OptionalExtension, Row};

const HOUR: Micros = 3_600_000_000;

/// The trend has so many hours.
const HOURS: i64 = 24;

/// So many names of tasks are told of one kind.
const NAMES: i64 = 3;

/// A kind of failure.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct FailureRow {
    pub(in super::super) id: i64,
    /// Type and message without what differs.
    pub(in super::super) title: String,
    /// The exception's type.
    pub(in super::super) kind: String,
    /// How often it has happened.
    pub(in super::super) count: i64,
    /// Tasks that have failed so and were not dealt with.
    pub(in super::super) open: i64,
    pub(in super::super) first: Micros,
    pub(in super::super) last: Micros,
    /// When somebody has said that it is dealt with, and who.
    pub(in super::super) resolved: Option<(Micros, String)>,
}

/// Whether somebody has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Standing {
    Open,
    /// Somebody has dealt with it.
    Resolved,
    /// Somebody had, and it happened again.
    Regressed,
}

impl Standing {
    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Regressed => "regressed",
        }
    }
}

impl FailureRow {
    /// Whether somebody has to look.
    pub(in super::super) fn standing(&self) -> Standing {
        match &self.resolved {
            None => Standing::Open,
            Some((at, _)) if self.last <= *at => Standing::Resolved,
            Some(_) => Standing::Regressed,
        }
    }
}

/// Which list of kinds of failure is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct FailureList {
    /// Those that happened since then.
    pub(in super::super) since: Micros,
    pub(in super::super) order: FailureOrder,
    pub(in super::super) listed: Listed,
    /// At most so many.
    pub(in super::super) limit: usize,
}

/// Which kinds of failure are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Listed {
    All,
    /// Those that nobody has dealt with since they happened last.
    Unresolved,
}

/// What is told of a kind of failure beside itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in super::super) struct Spread {
    /// Tasks that it happened in, the most frequent first; not all where there are many.
    pub(in super::super) names: Vec<String>,
    /// How often in each of the last 24 hours, the oldest first.
    pub(in super::super) hours: Vec<i64>,
}

/// What the list goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) enum FailureOrder {
    /// The last that happened first.
    #[default]
    Last,
    /// The most frequent first.
    Count,
}

const COLUMNS: &str = "id, title, kind, count, open, first, last";

/// How many kinds of failure nobody has dealt with.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn failing(connection: &Connection) -> Result<i64, IndexError> {
    let mut query = connection.prepare_cached("SELECT count(*) FROM failure WHERE open > 0")?;
    Ok(query.query_row([], |row| row.get(0))?)
}

/// One kind of failure.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn failure(
    connection: &Connection,
    id: i64,
) -> Result<Option<FailureRow>, IndexError> {
    let sql = format!("SELECT {COLUMNS} FROM failure WHERE id = ?1");
    let found = connection.prepare_cached(&sql)?.query_row([id], kind).optional()?;
    found.map(|row| said(connection, row)).transpose()
}

/// With what somebody has said of it.
fn said(connection: &Connection, row: FailureRow) -> Result<FailureRow, IndexError> {
    let resolved = resolution::of_failure(connection, &row.title)?;
    Ok(FailureRow { resolved, ..row })
}

/// Kinds of failure, with their spread at `now`.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn failures(
    connection: &Connection,
    wanted: FailureList,
    now: Micros,
) -> Result<Vec<(FailureRow, Spread)>, IndexError> {
    let FailureList { since, order, listed, limit } = wanted;
    let order = match order {
        FailureOrder::Last => "last",
        FailureOrder::Count => "count",
    };
    let condition = match listed {
        Listed::All => "1",
        Listed::Unresolved => {
            "NOT EXISTS (SELECT 1 FROM resolution WHERE kind = 'failure' AND key = title AND at >= last)"
        }
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM failure WHERE last >= ?1 AND {condition}
         ORDER BY {order} DESC, id DESC LIMIT ?2"
    );
    let mut query = connection.prepare_cached(&sql)?;
    let rows =
        query.query_map((since, limit as i64), kind)?.collect::<rusqlite::Result<Vec<_>>>()?;
    rows.into_iter()
        .map(|row| Ok((spread(connection, row.id, now)?, said(connection, row)?)))
        .map(|it| it.map(|(spread, row)| (row, spread)))
        .collect()
}

/// The kinds of failure that tasks of one name have had since `since`, the most frequent first, each
/// with how often; at most `limit`.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn of_name(
    connection: &Connection,
    name: &str,
    since: Micros,
    limit: usize,
) -> Result<Vec<(FailureRow, i64)>, IndexError> {
    let mut query = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, own FROM failure JOIN (
             SELECT failure, sum(count) AS own FROM failure_hour
             WHERE name = (SELECT id FROM word WHERE text = ?1) AND hour >= ?2 GROUP BY failure
         ) ON failure = id ORDER BY own DESC, id DESC LIMIT ?3"
    ))?;
    let begin = since - since % HOUR;
    let rows =
        query.query_map((name, begin, limit as i64), |row| Ok((kind(row)?, row.get("own")?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// One kind of failure, with its spread at `now`.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn one(
    connection: &Connection,
    id: i64,
    now: Micros,
) -> Result<Option<(FailureRow, Spread)>, IndexError> {
    let Some(row) = failure(connection, id)? else { return Ok(None) };
    Ok(Some((row, spread(connection, id, now)?)))
}

fn spread(connection: &Connection, id: i64, now: Micros) -> Result<Spread, IndexError> {
    let mut names = connection.prepare_cached(
        "SELECT word.text FROM failure_hour JOIN word ON word.id = failure_hour.name
         WHERE failure = ?1 GROUP BY word.id ORDER BY sum(count) DESC LIMIT ?2",
    )?;
    let names = names.query_map((id, NAMES), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let begin = now - now % HOUR - (HOURS - 1) * HOUR;
    let mut hours = vec![0; HOURS as usize];
    let mut query = connection.prepare_cached(
        "SELECT hour, sum(count) FROM failure_hour WHERE failure = ?1 AND hour >= ?2 GROUP BY hour",
    )?;
    let mut rows = query.query((id, begin))?;
    while let Some(row) = rows.next()? {
        let at = (row.get::<_, Micros>(0)? - begin) / HOUR;
        if let Some(hour) = usize::try_from(at).ok().and_then(|at| hours.get_mut(at)) {
            *hour = row.get(1)?;
        }
    }
    Ok(Spread { names, hours })
}

fn kind(row: &Row<'_>) -> rusqlite::Result<FailureRow> {
    Ok(FailureRow {
        id: row.get("id")?,
        title: row.get("title")?,
        kind: row.get("kind")?,
        count: row.get("count")?,
        open: row.get("open")?,
        first: row.get("first")?,
        last: row.get("last")?,
        resolved: None,
    })
}
