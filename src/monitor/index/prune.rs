//! Deletes what is too old or too much, a little at a time, so that nothing waits for it.

use super::super::change::{Micros, micros};
use super::super::state::State;
use super::series::STEPS;
use super::{IndexError, Writer, depths, operations};
use rusqlite::Transaction;
use std::time::{Duration, SystemTime};

/// How long things are kept, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Keep {
    /// Tasks that have succeeded.
    pub(in super::super) success: Duration,
    /// All other tasks, counts by the hour, and operations that have ended.
    pub(in super::super) other: Duration,
    /// Dead letters: as long as the archive has them.
    pub(in super::super) dead: Duration,
    /// Beyond so many bytes the oldest tasks that have ended go, however young.
    pub(in super::super) size: u64,
}

/// Counts of ten seconds and of a minute are kept for as long as a chart shows them.
const TEN_SECONDS: Duration = Duration::from_secs(6 * 3_600);
const MINUTE: Duration = Duration::from_secs(48 * 3_600);

impl Writer {
    /// Deletes what is too old at `now`, at most `most` tasks of each state, and then `most` more if
    /// what is left is too much. Returns how many tasks.
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
            depths::prune(transaction, depths::KEPT.map(before))?;
            let dead = "DELETE FROM dead WHERE at < ?1";
            transaction.prepare_cached(dead)?.execute([before(keep.dead)])?;
            operations::prune(transaction, before(keep.other))?;
            let mut gone = 0;
            for state in State::ALL {
                let age = if state == State::Success { keep.success } else { keep.other };
                gone += tasks(transaction, state, before(age), most)?;
            }
            if used(transaction)? > keep.size {
                gone += oldest(transaction, most)?;
            }
            Ok(gone)
        })
    }
}

/// How many bytes the index holds. The file is larger: what is deleted leaves room in it, some of which
/// is kept for what comes next.
fn used(transaction: &Transaction<'_>) -> rusqlite::Result<u64> {
    let number = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    Ok(u64::try_from(pages * number("page_size")?).unwrap_or_default())
}

/// In which order tasks go when there is no room: nobody looks for what went well, everybody for what
/// failed. What has not ended stays.
const SPARED_LESS: [State; 5] =
    [State::Success, State::Revoked, State::Expired, State::Rejected, State::Failure];

/// Deletes the oldest of the tasks that are spared least.
fn oldest(transaction: &Transaction<'_>, most: usize) -> rusqlite::Result<usize> {
    for state in SPARED_LESS {
        let gone = tasks(transaction, state, Micros::MAX, most)?;
        if gone > 0 {
            return Ok(gone);
        }
    }
    Ok(0)
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
        let keep = Keep { success: days(7), other: days(30), dead: days(7), size: u64::MAX };
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

    #[test]
    fn where_there_is_no_room_the_oldest_successes_go_and_failures_last() {
        let connection = Connection::open_in_memory().unwrap();
        super::super::MIGRATIONS.iter().for_each(|it| connection.execute_batch(it).unwrap());
        let now = micros(SystemTime::now());
        let result = "x".repeat(4_000);
        let states = [State::Failure, State::Started].into_iter();
        for (n, state) in (1..).zip(states.chain(std::iter::repeat_n(State::Success, 100))) {
            let sql =
                "INSERT INTO task (n, id, state, retries, redelivered, changed, clock, result)
                       VALUES (?1, ?1, ?2, 0, 0, ?3, 0, ?4)";
            connection.execute(sql, (n, state.code(), now, &result)).unwrap();
        }
        let mut writer = Writer::new(connection).unwrap();
        let left = |writer: &Writer| {
            let sql = "SELECT min(n) FROM task WHERE state = ?1";
            let first = writer.connection.query_row(sql, [State::Success.code()], |row| row.get(0));
            (rows(writer, "task"), first.unwrap())
        };
        let age = Duration::from_secs(3_600);
        let mut prune = |size| {
            let keep = Keep { success: age, other: age, dead: age, size };
            let gone = writer.prune(SystemTime::now(), keep, 10).unwrap();
            (gone, left(&writer))
        };
        assert_eq!(prune(10_000_000), (0, (102, Some(3))), "there is room");
        assert_eq!(prune(300_000), (10, (92, Some(13))), "a slice, the oldest first");
        while prune(300_000).0 > 0 {}
        let (_, (some, _)) = prune(300_000);
        assert!((10..40).contains(&some), "{some} of 4 KB in 300 KB, which has tables too");
        while prune(0).0 > 0 {}
        assert_eq!(prune(0), (0, (1, None)), "what has not ended stays");
    }
}
