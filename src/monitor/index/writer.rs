//! The one that writes.

use super::super::ingest::Source;
use super::IndexError;
use super::words::{Known, Words};
use rusqlite::{Connection, OptionalExtension, Transaction};

/// Owns the connection that writes, and what it remembers between transactions.
#[derive(Debug)]
pub(in super::super) struct Writer {
    pub(super) connection: Connection,
    pub(super) known: Known,
    pub(super) detail: Detail,
}

/// How much is told of what a batch came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// By name and queue.
    Tasks,
    /// By worker too.
    Workers,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Result<Self, IndexError> {
        connection.execute("DELETE FROM tally", [])?;
        connection
            .execute("INSERT INTO tally SELECT state, count(*) FROM task GROUP BY state", [])?;
        Ok(Self { connection, known: Known::default(), detail: Detail::Tasks })
    }

    /// From now on tells of each batch what each worker told, too.
    ///
    /// # Errors
    /// None.
    pub(in super::super) fn tell_of_workers(&mut self) -> Result<(), IndexError> {
        self.detail = Detail::Workers;
        Ok(())
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

    pub(super) fn close(self) {
        // The log is written into the file by the last connection that closes; nothing is lost if not.
        drop(self.connection);
    }
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
