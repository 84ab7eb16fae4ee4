//! Deletes what is too old, a little at a time, so that nothing waits for it.

use super::super::change::{Micros, micros};
use super::super::state::State;
use super::series::STEPS;
use super::{IndexError, Writer, operations};
use rusqlite::Transaction;
use std::time::{Duration, SystemTime};

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Keep {
    /// Tasks that have succeeded.
    pub(in super::super) success: Duration,
    /// All other tasks, counts by the hour, and operations that have ended.
    pub(in super::super) other: Duration,
    /// Dead letters: as long as the archive has them.
    pub(in super::super) dead: Duration,
}

/// Counts of ten seconds and of a minute are kept for as long as a chart shows them.
const TEN_SECONDS: Duration = Duration::from_secs(6 * 3_600);
const MINUTE: Duration = Duration::from_secs(48 * 3_600);

impl Writer {
    /// Deletes what is too old at `now`, at most `most` tasks of each state. Returns how many tasks.
    pub(in super::super) fn prune(
        &mut self,
        now: SystemTime,
        keep: Keep,
        most: usize,
    ) -> Result<usize, IndexError> {
        let before = |age| micros(now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH));
        self.transact(|transaction, _| {
            let counts = [TEN_SECONDS, MINUTE, keep.other];
            let mut series =
                transaction.prepare_cached("DELETE FROM series WHERE step = ?1 AND at < ?2")?;
            for (step, age) in STEPS.into_iter().zip(counts) {
                series.execute((step, before(age)))?;
            }
            let hours = "DELETE FROM failure_hour WHERE hour < ?1";
            transaction.prepare_cached(hours)?.execute([before(keep.other)])?;
            let dead = "DELETE FROM dead WHERE at < ?1";
            transaction.prepare_cached(dead)?.execute([before(keep.dead)])?;
            operations::prune(transaction, before(keep.other))?;
            let mut gone = 0;
            for state in State::ALL {
                let age = if state == State::Success { keep.success } else { keep.other };
                gone += tasks(transaction, state, before(age), most)?;
            }
            Ok(gone)
        })
    }
}

/// The oldest come first in the index of states, so that one that is young enough ends the search.
fn tasks(
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

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    fn rows(writer: &Writer, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        writer.connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_is_old_goes_and_what_is_young_stays() {
        let connection = Connection::open_in_memory().unwrap();
        super::super::MIGRATIONS.iter().for_each(|it| connection.execute_batch(it).unwrap());
        let day = 86_400_000_000_i64;
        for (n, age, state) in
            [(1, 9, State::Success), (2, 9, State::Failure), (3, 1, State::Success)]
        {
            let changed = 100 * day - age * day;
            connection
                .execute(
                    "INSERT INTO task (n, id, state, retries, redelivered, changed, clock)
                     VALUES (?1, ?1, ?2, 0, 0, ?3, 0)",
                    (n, state.code(), changed),
                )
                .unwrap();
            for step in STEPS {
                let sql = "INSERT INTO series VALUES (?1, ?2, 0, 0, 0, 1, x'', x'')";
                connection.execute(sql, (step, changed)).unwrap_or_default();
            }
        }
        for (n, age, phase) in
            [(1, 31, "done"), (2, 29, "done"), (3, 31, "unknown"), (4, 31, "paused")]
        {
            let at = 100 * day - age * day;
            let ended = (phase == "done").then_some(at);
            let sql = "INSERT INTO operation VALUES (?1, ?1, '', '', 1, NULL, '', ?2, 0, 0, 0, 0, 0, 0, ?3, ?4)";
            connection.execute(sql, (n, phase, at, ended)).unwrap();
            let sql = "INSERT INTO operation_failure VALUES (?1, 0, '', '', '')";
            connection.execute(sql, [n]).unwrap();
        }
        let mut writer = Writer::new(connection).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100 * 86_400);
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let keep = Keep { success: days(7), other: days(30), dead: days(7) };
        assert_eq!(writer.prune(now, keep, 10).unwrap(), 1, "the old success");
        assert_eq!(rows(&writer, "task"), 2);
        assert_eq!(rows(&writer, "operation WHERE n IN (2, 4)"), 2, "what is young or goes on");
        assert_eq!(rows(&writer, "operation"), 2);
        assert_eq!(rows(&writer, "operation_failure"), 2);
        assert_eq!(rows(&writer, "series WHERE step = 10000000"), 0, "ten seconds, for hours");
        assert_eq!(rows(&writer, "series WHERE step = 60000000"), 1, "minutes, for two days");
        assert_eq!(rows(&writer, "series WHERE step = 3600000000"), 2, "hours, for the history");
        assert_eq!(rows(&writer, "tally WHERE state = 5 AND count = 1"), 1);
        assert_eq!(writer.prune(now, keep, 10).unwrap(), 0, "once");
    }
}
