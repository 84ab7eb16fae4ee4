//! The one that writes.

use super::super::change::{Micros, micros};
use super::super::ingest::Source;
use super::super::state::State;
use super::IndexError;
use super::words::{Known, Words};
use rusqlite::{Connection, OptionalExtension, Transaction};
use std::time::SystemTime;

/// Owns the connection that writes, and what it remembers between transactions.
#[derive(Debug)]
pub(in super::super) struct Writer {
    pub(super) connection: Connection,
    pub(super) known: Known,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Result<Self, IndexError> {
        connection.execute("DELETE FROM tally", [])?;
        connection
            .execute("INSERT INTO tally SELECT state, count(*) FROM task GROUP BY state", [])?;
        Ok(Self { connection, known: Known::default() })
    }

    /// The offset of a stream behind everything that was applied; `None` before the first.
    pub(in super::super) fn next_offset(&self, source: Source) -> Result<Option<u64>, IndexError> {
        let sql = "SELECT value FROM meta WHERE key = ?1";
        let found: Option<i64> =
            self.connection.query_row(sql, [source.key()], |row| row.get(0)).optional()?;
        Ok(found.and_then(|next| u64::try_from(next).ok()))
    }

    /// Does something in one transaction.
    pub(super) fn transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &mut Words<'_>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let transaction = self.connection.transaction()?;
        let mut words = Words { known: &mut self.known, connection: &transaction };
        let done = work(&transaction, &mut words);
        let done = done.and_then(|done| Ok((transaction.commit()?, done)));
        if done.is_err() {
            self.known.forget();
        }
        done.map(|((), done)| done)
    }

    /// Deletes what ended before these times, at most `most` tasks of each. Returns how many.
    pub(in super::super) fn prune(
        &mut self,
        successes: SystemTime,
        others: SystemTime,
        most: usize,
    ) -> Result<usize, IndexError> {
        self.transact(|transaction, _| {
            let mut gone = 0;
            for state in State::ALL {
                let before = if state == State::Success { successes } else { others };
                gone += prune(transaction, state, micros(before), most)?;
            }
            Ok(gone)
        })
    }

    pub(super) fn close(self) {
        // The log is written into the file by the last connection that closes; nothing is lost if not.
        drop(self.connection);
    }
}

/// The oldest come first in the index of states, so that one that is young enough ends the search.
fn prune(
    transaction: &Transaction<'_>,
    state: State,
    before: Micros,
    most: usize,
) -> rusqlite::Result<usize> {
    let mut oldest = transaction.prepare_cached(
        "SELECT n, changed, failure FROM task WHERE state = ?1 ORDER BY n LIMIT ?2",
    )?;
    let rows = oldest.query_map((state.code(), most as i64), |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Micros>(1)?, row.get::<_, Option<i64>>(2)?))
    })?;
    let old = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut gone = 0;
    for (n, _, failure) in old.into_iter().take_while(|(_, changed, _)| *changed < before) {
        transaction.prepare_cached("DELETE FROM task WHERE n = ?1")?.execute([n])?;
        transaction.prepare_cached("DELETE FROM attempt WHERE task = ?1")?.execute([n])?;
        if let Some(failure) = failure {
            transaction.prepare_cached("DELETE FROM found WHERE rowid = ?1")?.execute([n])?;
            let close = "UPDATE failure SET open = max(open - 1, 0) WHERE id = ?1";
            if state == State::Failure {
                transaction.prepare_cached(close)?.execute([failure])?;
            }
        }
        gone += 1;
    }
    if gone > 0 {
        let tally = "UPDATE tally SET count = count - ?2 WHERE state = ?1";
        transaction.prepare_cached(tally)?.execute((state.code(), gone as i64))?;
    }
    Ok(gone)
}

/// Notes how far a stream was read.
pub(super) fn note_offset(
    transaction: &Transaction<'_>,
    source: Source,
    next: u64,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    let next = i64::try_from(next).unwrap_or(i64::MAX);
    transaction.prepare_cached(sql)?.execute((source.key(), next)).map(drop)
}
