//! Operations: what was to be done with which, and how far that is.

use super::super::change::Micros;
use super::super::operations::{Action, Came, Phase, Plan, Wish};
use super::dead::DeadRow;
use super::judge::{Addressed, Judged, judge, letter};
use super::{IndexError, Writer};
use crate::control::audit::{Begun, Ended};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// An operation.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct OperationRow {
    /// Its place in lists: the higher, the newer.
    pub(in super::super) n: i64,
    /// Its id, which is that of its record in the audit.
    pub(in super::super) id: String,
    pub(in super::super) plan: Plan,
    /// Who began it.
    pub(in super::super) by: String,
    pub(in super::super) phase: Phase,
    /// How many letters or tasks it is about.
    pub(in super::super) matched: i64,
    /// How many have had their turn.
    pub(in super::super) place: i64,
    /// How many are in hand; while nothing runs, those that somebody died over.
    pub(in super::super) hand: i64,
    pub(in super::super) done: i64,
    pub(in super::super) failed: i64,
    pub(in super::super) skipped: i64,
    pub(in super::super) begun: Micros,
    pub(in super::super) ended: Option<Micros>,
}

/// What did not go well.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct FailureLine {
    pub(in super::super) target: String,
    pub(in super::super) outcome: String,
    pub(in super::super) detail: String,
}

/// So many failures of one operation are kept one by one; all are counted.
const REPORTED: i64 = 1_000;

/// What stands before the action in the audit's records of operations.
pub(in super::super) const BULK: &str = "bulk ";

const COLUMNS: &str =
    "n, id, action, q, rate, queue, by, phase, matched, place, hand, done, failed,
    skipped, begun, ended";

impl Writer {
    /// Takes in an operation that waits for its turn, with what it is about.
    pub(in super::super) fn plan(
        &mut self,
        begun: &Begun,
        plan: &Plan,
        keys: &[i64],
    ) -> Result<(), IndexError> {
        self.transact(|transaction, _| {
            let n = keep(transaction, begun, plan, keys.len() as i64, Phase::Waiting)?;
            let mut add = transaction
                .prepare_cached("INSERT OR REPLACE INTO operation_target VALUES (?1, ?2, ?3)")?;
            for (place, key) in (0_i64..).zip(keys) {
                add.execute((n, place, key))?;
            }
            Ok(())
        })
    }

    /// Changes the phase as somebody wishes; the phase that it was in where that cannot be. `None`
    /// when there is no such operation.
    pub(in super::super) fn wish(
        &mut self,
        id: &str,
        wish: Wish,
    ) -> Result<Option<Result<Phase, Phase>>, IndexError> {
        self.transact(|transaction, _| {
            let phase = "SELECT phase FROM operation WHERE id = ?1";
            let phase: Option<String> =
                transaction.query_row(phase, [id], |row| row.get(0)).optional()?;
            let Some(phase) = phase.map(|word| Phase::parse(&word)) else { return Ok(None) };
            let Some(next) = wish.turns(phase) else { return Ok(Some(Err(phase))) };
            let turn = "UPDATE operation SET phase = ?2 WHERE id = ?1";
            transaction.execute(turn, (id, next.as_str()))?;
            Ok(Some(Ok(next)))
        })
    }

    /// Says that it runs, unless somebody has paused or cancelled it; whether it does.
    pub(in super::super) fn run(&mut self, n: i64) -> Result<bool, IndexError> {
        self.transact(|transaction, _| {
            let run = "UPDATE operation SET phase = 'running'
                       WHERE n = ?1 AND phase IN ('waiting', 'running')";
            Ok(transaction.execute(run, [n])? > 0)
        })
    }

    /// Takes the next `many` in hand, and looks at them; `None` when somebody has paused or
    /// cancelled the operation. Whoever dies now leaves it written what was in hand.
    pub(in super::super) fn take(
        &mut self,
        n: i64,
        many: usize,
    ) -> Result<Option<Vec<Judged>>, IndexError> {
        self.transact(|transaction, _| {
            let take = "UPDATE operation SET hand = ?2 WHERE n = ?1 AND phase = 'running'";
            if transaction.prepare_cached(take)?.execute((n, many as i64))? == 0 {
                return Ok(None);
            }
            next(transaction, n, many).map(Some)
        })
    }

    /// Writes down what came of those that were in hand, in their order.
    pub(in super::super) fn settle(&mut self, n: i64, came: &[Came]) -> Result<(), IndexError> {
        self.transact(|transaction, _| {
            let place: i64 =
                transaction
                    .query_row("SELECT place FROM operation WHERE n = ?1", [n], |row| row.get(0))?;
            let mut tally = Tally::default();
            for (at, came) in (place..).zip(came) {
                tally.add(transaction, n, at, came)?;
            }
            let settle = "UPDATE operation SET place = place + ?2, hand = 0, done = done + ?3,
                          failed = failed + ?4, skipped = skipped + ?5 WHERE n = ?1";
            let mut settle = transaction.prepare_cached(settle)?;
            settle.execute((n, came.len() as i64, tally.done, tally.failed, tally.skipped))?;
            Ok(())
        })
    }

    /// It has ended, and the audit knows.
    pub(in super::super) fn end(
        &mut self,
        n: i64,
        phase: Phase,
        at: Micros,
    ) -> Result<(), IndexError> {
        self.transact(|transaction, _| {
            let end = "UPDATE operation SET phase = ?2, ended = ?3, hand = 0 WHERE n = ?1";
            transaction.execute(end, (n, phase.as_str(), at))?;
            transaction.execute("DELETE FROM operation_target WHERE operation = ?1", [n])?;
            Ok(())
        })
    }
}

#[derive(Default)]
struct Tally {
    done: i64,
    failed: i64,
    skipped: i64,
}

impl Tally {
    fn add(
        &mut self,
        transaction: &Transaction<'_>,
        n: i64,
        place: i64,
        came: &Came,
    ) -> rusqlite::Result<()> {
        match came {
            Came::Done => self.done += 1,
            Came::Skipped(reason) => {
                self.skipped += 1;
                let skip = "INSERT INTO operation_skip VALUES (?1, ?2, 1)
                            ON CONFLICT DO UPDATE SET count = count + 1";
                transaction.prepare_cached(skip)?.execute((n, reason))?;
            }
            Came::Failed { target, outcome, detail } => {
                self.failed += 1;
                let fail = "INSERT OR REPLACE INTO operation_failure SELECT ?1, ?2, ?3, ?4, ?5
                            WHERE (SELECT failed FROM operation WHERE n = ?1) + ?6 <= ?7";
                transaction.prepare_cached(fail)?.execute((
                    n,
                    place,
                    target,
                    outcome.as_str(),
                    detail,
                    self.failed,
                    REPORTED,
                ))?;
            }
        }
        Ok(())
    }
}

fn keep(
    transaction: &Transaction<'_>,
    begun: &Begun,
    plan: &Plan,
    matched: i64,
    phase: Phase,
) -> rusqlite::Result<i64> {
    // The audit may have been read before whoever began it wrote it down here.
    let mut add = transaction.prepare_cached(
        "INSERT INTO operation (id, action, q, rate, queue, by, phase, matched, place, hand, done,
                                failed, skipped, begun)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, 0, 0, 0, ?9)
         ON CONFLICT (id) DO UPDATE SET phase = excluded.phase
             WHERE operation.phase = 'unknown' AND operation.ended IS NULL",
    )?;
    let (action, phase) = (plan.action.as_str(), phase.as_str());
    let (by, at) = (&begun.by, begun.at);
    add.execute(params![begun.id, action, plan.q, plan.rate, plan.to, by, phase, matched, at])?;
    transaction.query_row("SELECT n FROM operation WHERE id = ?1", [&begun.id], |row| row.get(0))
}

/// Deletes operations that are over since before then, with their reports; those too of which
/// nothing more was told.
pub(super) fn prune(transaction: &Transaction<'_>, before: Micros) -> rusqlite::Result<()> {
    let mut old = transaction.prepare_cached(
        "SELECT n FROM operation WHERE ended < ?1 OR (phase = 'unknown' AND begun < ?1)",
    )?;
    let old = old.query_map([before], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
    for n in old {
        transaction.execute("DELETE FROM operation WHERE n = ?1", [n])?;
        for table in ["operation_target", "operation_skip", "operation_failure"] {
            transaction.execute(&format!("DELETE FROM {table} WHERE operation = ?1"), [n])?;
        }
    }
    Ok(())
}

/// Takes in what the audit says of an operation: one of ours is known already.
pub(super) fn note_begun(transaction: &Transaction<'_>, begun: &Begun) -> rusqlite::Result<()> {
    let plan: Option<Plan> = serde_json::from_value(begun.arguments.clone()).ok();
    let Some(plan) = plan.filter(|_| begun.action.starts_with(BULK)) else { return Ok(()) };
    let matched = begun.arguments["matched"].as_i64().unwrap_or_default();
    keep(transaction, begun, &plan, matched, Phase::Unknown).map(drop)
}

/// Takes in what the audit says of how an operation ended.
pub(super) fn note_ended(transaction: &Transaction<'_>, ended: &Ended) -> rusqlite::Result<()> {
    let number = |name: &str| ended.outcome[name].as_i64().unwrap_or_default();
    let mut end = transaction.prepare_cached(
        "UPDATE operation SET phase = ?2, ended = ?3, place = ?4, done = ?5, failed = ?6,
         skipped = ?7 WHERE id = ?1 AND phase = 'unknown'",
    )?;
    let phase = Phase::parse(ended.outcome["phase"].as_str().unwrap_or_default()).as_str();
    let (done, failed, skipped) = (number("done"), number("failed"), number("skipped"));
    let place = done + failed + skipped;
    end.execute((&ended.id, phase, ended.at, place, done, failed, skipped)).map(drop)
}

/// The next `many` of an operation, looked at.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn next(
    index: &Connection,
    n: i64,
    many: usize,
) -> Result<Vec<Judged>, IndexError> {
    let (action, queue): (String, Option<String>) =
        index.query_row("SELECT action, queue FROM operation WHERE n = ?1", [n], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let action = Action::parse(&action).unwrap_or(Action::Requeue);
    let addressed = if queue.is_some() { Addressed::Yes } else { Addressed::No };
    let keys = keys(index, n, many)?;
    keys.into_iter().map(|key| judge(index, action, addressed, key)).collect()
}

fn keys(index: &Connection, n: i64, many: usize) -> rusqlite::Result<Vec<i64>> {
    let mut keys = index.prepare_cached(
        "SELECT key FROM operation_target
         WHERE operation = ?1 AND place >= (SELECT place FROM operation WHERE n = ?1)
         ORDER BY place LIMIT ?2",
    )?;
    let keys = keys.query_map((n, many as i64), |row| row.get(0))?;
    keys.collect()
}

/// What somebody had in hand who died: the letter of each, and how it is judged now.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn in_hand(
    index: &Connection,
    row: &OperationRow,
) -> Result<Vec<(Option<DeadRow>, Judged)>, IndexError> {
    let hand = usize::try_from(row.hand).unwrap_or_default();
    let keys = keys(index, row.n, hand)?.into_iter();
    let letters = keys.map(|key| letter(index, row.plan.action, key));
    let letters = letters.collect::<Result<Vec<_>, _>>()?;
    Ok(letters.into_iter().zip(next(index, row.n, hand)?).collect())
}

/// The operation whose turn it is: one whose end is to be told, one that runs, the oldest that waits.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn whose_turn(index: &Connection) -> Result<Option<OperationRow>, IndexError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM operation
         WHERE ended IS NULL AND phase IN ('waiting', 'running', 'cancelled')
         ORDER BY phase = 'cancelled' DESC, phase = 'running' DESC, n LIMIT 1"
    );
    Ok(index.prepare_cached(&sql)?.query_row([], operation).optional()?)
}

/// The newest operations, older than `before`, at most `limit`; and where the older ones go on.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn list(
    index: &Connection,
    before: Option<i64>,
    limit: usize,
) -> Result<(Vec<OperationRow>, Option<i64>), IndexError> {
    let sql = format!("SELECT {COLUMNS} FROM operation WHERE n < ?1 ORDER BY n DESC LIMIT ?2");
    let mut query = index.prepare_cached(&sql)?;
    let rows = query.query_map((before.unwrap_or(i64::MAX), limit as i64 + 1), operation)?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let is_more = rows.len() > limit;
    rows.truncate(limit);
    let older = rows.last().map(|last| last.n).filter(|_| is_more);
    Ok((rows, older))
}

/// One operation, by its id.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn one(
    index: &Connection,
    id: &str,
) -> Result<Option<OperationRow>, IndexError> {
    let sql = format!("SELECT {COLUMNS} FROM operation WHERE id = ?1");
    Ok(index.prepare_cached(&sql)?.query_row([id], operation).optional()?)
}

/// Why some were passed over, and how many.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn skips(
    index: &Connection,
    n: i64,
) -> Result<BTreeMap<String, i64>, IndexError> {
    let mut query =
        index.prepare_cached("SELECT reason, count FROM operation_skip WHERE operation = ?1")?;
    let rows = query.query_map([n], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// With which it did not go well, the first first.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn failures(
    index: &Connection,
    n: i64,
    limit: usize,
) -> Result<Vec<FailureLine>, IndexError> {
    let mut query = index.prepare_cached(
        "SELECT target, outcome, detail FROM operation_failure WHERE operation = ?1
         ORDER BY place LIMIT ?2",
    )?;
    let rows = query.query_map((n, limit as i64), |row| {
        Ok(FailureLine { target: row.get(0)?, outcome: row.get(1)?, detail: row.get(2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn operation(row: &Row<'_>) -> rusqlite::Result<OperationRow> {
    let action: String = row.get("action")?;
    let phase: String = row.get("phase")?;
    Ok(OperationRow {
        n: row.get("n")?,
        id: row.get("id")?,
        plan: Plan {
            action: Action::parse(&action).unwrap_or(Action::Requeue),
            q: row.get("q")?,
            rate: row.get("rate")?,
            to: row.get("queue")?,
        },
        by: row.get("by")?,
        phase: Phase::parse(&phase),
        matched: row.get("matched")?,
        place: row.get("place")?,
        hand: row.get("hand")?,
        done: row.get("done")?,
        failed: row.get("failed")?,
        skipped: row.get("skipped")?,
        begun: row.get("begun")?,
        ended: row.get("ended")?,
    })
}

impl OperationRow {
    /// What the audit is told of the end.
    pub(in super::super) fn outcome(&self, phase: Phase) -> Json {
        let status = match (self.done, self.failed) {
            (_, 0) if phase == Phase::Done => "done",
            (0, 1..) => "error",
            _ => "partial",
        };
        serde_json::json!({
            "status": status,
            "phase": phase.as_str(),
            "matched": self.matched,
            "done": self.done,
            "failed": self.failed,
            "skipped": self.skipped,
        })
    }
}
