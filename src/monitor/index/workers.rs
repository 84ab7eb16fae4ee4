//! Workers, as they tell of themselves.

use super::super::change::{Beat, Micros, Pulse};
use super::super::record::Intern;
use super::super::state::State;
use super::words::Words;
use super::{IndexError, Writer};
use rusqlite::{Connection, Transaction, params};

/// A worker that has missed so many heartbeats is taken for lost.
const MISSED: i64 = 3;

/// How a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Presence {
    Up,
    /// It said that it stops.
    Offline,
    /// It says nothing any more.
    Lost,
}

/// A worker.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct WorkerRow {
    pub(in super::super) name: String,
    pub(in super::super) presence: Presence,
    pub(in super::super) seen: Micros,
    pub(in super::super) online: Option<Micros>,
    pub(in super::super) active: Option<i64>,
    pub(in super::super) processed: Option<i64>,
    pub(in super::super) load: Option<f64>,
    pub(in super::super) ident: Option<String>,
    pub(in super::super) version: Option<String>,
    pub(in super::super) pid: Option<i64>,
    pub(in super::super) dropped: i64,
}

impl WorkerRow {
    /// Whether it tells that it lives.
    pub(in super::super) fn is_up(&self) -> bool {
        self.presence == Presence::Up
    }
}

/// Takes in what a worker says of itself.
pub(super) fn note(
    transaction: &Transaction<'_>,
    words: &mut Words<'_>,
    pulse: &Pulse,
) -> rusqlite::Result<()> {
    let mut write = transaction.prepare_cached(
        "INSERT INTO worker VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (name) DO UPDATE SET
             beat = ?2, seen = ?3, online = coalesce(?4, online), every = ?5, active = ?6,
             processed = ?7, load = ?8, ident = ?9, version = ?10, pid = ?11, dropped = ?12
         WHERE seen <= ?3",
    )?;
    let beat = if pulse.beat == Beat::Offline { Presence::Offline } else { Presence::Up };
    let online = (pulse.beat == Beat::Online).then_some(pulse.at);
    let name = words.word(&pulse.node)?;
    write
        .execute(params![
            name,
            beat.code(),
            pulse.at,
            online,
            pulse.every,
            pulse.active,
            pulse.processed,
            pulse.load,
            pulse.ident,
            pulse.version,
            pulse.pid,
            pulse.dropped,
        ])
        .map(drop)
}

impl Writer {
    /// Takes workers for lost that have said nothing for too long at `now`, and what they had for
    /// lost with them. Returns their names.
    pub(in super::super) fn sweep(&mut self, now: Micros) -> Result<Vec<String>, IndexError> {
        self.transact(|transaction, _| {
            let mut silent = transaction.prepare_cached(
                "SELECT name, text FROM worker JOIN word ON word.id = name
                 WHERE beat = ?1 AND seen + ?2 * every < ?3",
            )?;
            let rows = silent.query_map((Presence::Up.code(), MISSED, now), |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })?;
            let gone = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            for (name, _) in &gone {
                lose(transaction, *name)?;
            }
            Ok(gone.into_iter().map(|(_, name)| name).collect())
        })
    }
}

fn lose(transaction: &Transaction<'_>, worker: i64) -> rusqlite::Result<()> {
    let note = "UPDATE worker SET beat = ?2, active = NULL WHERE name = ?1";
    transaction.execute(note, (worker, Presence::Lost.code()))?;
    for state in [State::Received, State::Started] {
        let mut lose = transaction.prepare_cached(
            "UPDATE task SET state = ?3 WHERE n IN (SELECT n FROM task INDEXED BY task_state WHERE state = ?2 AND worker = ?1)",
        )?;
        let lost = lose.execute((worker, state.code(), State::Lost.code()))? as i64;
        let mut count = transaction.prepare_cached(
            "INSERT INTO tally VALUES (?1, ?2) ON CONFLICT DO UPDATE SET count = count + ?2",
        )?;
        count.execute((state.code(), -lost))?;
        count.execute((State::Lost.code(), lost))?;
    }
    Ok(())
}

/// All workers, by name.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn all(connection: &Connection) -> Result<Vec<WorkerRow>, IndexError> {
    let mut query = connection.prepare_cached(
        "SELECT word.text AS node, worker.* FROM worker JOIN word ON word.id = worker.name
         ORDER BY word.text LIMIT 2000",
    )?;
    let rows = query.query_map([], |row| {
        Ok(WorkerRow {
            name: row.get("node")?,
            presence: Presence::of_code(row.get("beat")?),
            seen: row.get("seen")?,
            online: row.get("online")?,
            active: row.get("active")?,
            processed: row.get("processed")?,
            load: row.get("load")?,
            ident: row.get("ident")?,
            version: row.get("version")?,
            pid: row.get("pid")?,
            dropped: row.get("dropped")?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

impl Presence {
    /// The word for it.
    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Offline => "offline",
            Self::Lost => "lost",
        }
    }

    fn code(self) -> i64 {
        match self {
            Self::Up => 0,
            Self::Offline => 1,
            Self::Lost => 2,
        }
    }

    fn of_code(code: i64) -> Self {
        match code {
            0 => Self::Up,
            1 => Self::Offline,
            _ => Self::Lost,
        }
    }
}

/// Names of workers that say nothing any more and did so after `since`.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn lost(
    connection: &Connection,
    since: Micros,
) -> Result<Vec<String>, IndexError> {
    let mut query = connection.prepare_cached(
        "SELECT word.text FROM worker JOIN word ON word.id = worker.name
         WHERE beat = ?1 AND seen > ?2 ORDER BY word.text LIMIT 2000",
    )?;
    let rows = query.query_map((Presence::Lost.code(), since), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
