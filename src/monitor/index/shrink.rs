//! Gives freed pages back to the disk, a few at a time, so that the file is about as large as what it
//! holds.
//!
//! Pages at the end move into the free ones before them, and the file is cut at the next checkpoint.
//! That takes the writer some tenths of a millisecond for each page, and nobody who reads waits for it.
//! An index that was made without knowing where its pages belong (`auto_vacuum`) keeps its size.

use super::{IndexError, Writer};

/// So many pages of 4 KiB at once.
const STEP: i64 = 32;

/// Of how many pages one stays free, and how many at least: what comes next has room at once, and the
/// file does not shrink and grow by turns.
const ONE_OF: i64 = 10;
const LEAST: i64 = 1_024;

impl Writer {
    /// Gives back what is free beyond a reserve, 32 pages at most. Returns how many pages.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub(in super::super) fn give_back(&mut self) -> Result<i64, IndexError> {
        let (pages, free) = (self.pages("page_count")?, self.pages("freelist_count")?);
        let spare = free - (pages / ONE_OF).max(LEAST);
        if spare <= 0 {
            return Ok(0);
        }
        // Each row that it answers with is one page.
        self.connection.pragma(None, "incremental_vacuum", spare.min(STEP), |_| Ok(()))?;
        Ok(free - self.pages("freelist_count")?)
    }

    fn pages(&self, which: &str) -> rusqlite::Result<i64> {
        self.connection.pragma_query_value(None, which, |row| row.get(0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FILE, Index};
    use super::*;
    use rusqlite::Connection;

    /// An index in `folder` of which most was deleted, and how large its file is.
    fn emptied(folder: &std::path::Path) -> Writer {
        drop(Index::open(folder).unwrap());
        let connection = Connection::open(folder.join(FILE)).unwrap();
        connection.execute_batch("CREATE TABLE filling (text TEXT)").unwrap();
        let text = "x".repeat(3_000);
        for _ in 0..10 {
            let fill = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 500)
                        INSERT INTO filling SELECT ?1 FROM n";
            connection.execute(fill, [&text]).unwrap();
        }
        connection.execute("DELETE FROM filling WHERE rowid % 10 > 0", []).unwrap();
        Writer::new(connection).unwrap()
    }

    fn size(writer: &Writer, folder: &std::path::Path) -> u64 {
        let done = "PRAGMA wal_checkpoint(TRUNCATE)";
        writer.connection.query_row(done, [], |_| Ok(())).unwrap();
        std::fs::metadata(folder.join(FILE)).unwrap().len()
    }

    #[test]
    fn what_is_free_is_given_back_in_small_steps_but_for_a_reserve() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = emptied(folder.path());
        let before = size(&writer, folder.path());
        let reader = Connection::open(folder.path().join(FILE)).unwrap();
        let left = |connection: &Connection| {
            let sql = "SELECT count(*), total(length(text)) FROM filling";
            connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
        };
        let held: (i64, f64) = left(&reader);
        let mut steps = 0;
        loop {
            let given = writer.give_back().unwrap();
            assert!(given <= STEP, "{given}");
            if given == 0 {
                break;
            }
            steps += 1;
            assert_eq!(left(&reader), held, "what is read is whole between the steps");
        }
        assert!(steps > 50, "{steps}");
        assert_eq!(writer.pages("freelist_count").unwrap(), LEAST);
        let after = size(&writer, folder.path());
        assert!(after * 2 < before, "{after} of {before}");
    }

    #[test]
    fn an_index_of_before_keeps_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let old = Connection::open(folder.path().join(FILE)).unwrap();
        old.execute_batch("CREATE TABLE of_before (a)").unwrap();
        drop(old);
        let mut writer = emptied(folder.path());
        assert!(writer.pages("freelist_count").unwrap() > LEAST);
        assert_eq!(writer.give_back().unwrap(), 0);
    }
}
