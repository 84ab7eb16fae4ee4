//! Applies what was told, many events in one transaction.
//!
//! Each task that is told of is read once, changed in memory by [`Record::take`], and written once.

use super::super::change::{Change, Micros, Step};
use super::super::failure::signature;
use super::super::ingest::Source;
use super::super::record::{Attempt, Record, Turn};
use super::super::state::State;
use super::super::totals;
use super::series::Counts;
use super::told::Tellings;
use super::writer::{Detail, Writer, note_offset};
use super::{IndexError, audit, dead, resolution, workers};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use std::collections::HashMap;

/// What is applied together.
#[derive(Debug)]
pub(in super::super) struct Batch {
    /// The stream that it comes from.
    source: Source,
    /// In the order of the stream.
    pub(in super::super) changes: Vec<Change>,
    /// The offset behind them.
    pub(in super::super) next: u64,
}

impl Batch {
    /// Nothing yet.
    pub(in super::super) fn new(source: Source) -> Self {
        Self { source, changes: Vec::new(), next: 0 }
    }
}

/// A task in memory, and what it was before.
struct Loaded {
    record: Record,
    before: Option<State>,
    open_before: Option<i64>,
}

const HOUR: Micros = 3_600_000_000;

impl Writer {
    /// Applies a batch, and notes that it was; what it came to.
    pub(in super::super) fn apply(&mut self, batch: &Batch) -> Result<totals::Batch, IndexError> {
        let detail = self.detail;
        self.transact(|transaction, words| {
            let mut tasks: HashMap<&str, Loaded> = HashMap::new();
            let mut counts = Counts::default();
            let mut tellings = Tellings::default();
            for change in &batch.changes {
                match change {
                    Change::Worker(pulse) => workers::note(transaction, words, pulse)?,
                    Change::Dead(entry) => dead::note(transaction, words, entry)?,
                    Change::Audit(record) => audit::note(transaction, record)?,
                    Change::Task(step, clock) => {
                        if !tasks.contains_key(step.id.as_str()) {
                            tasks.insert(&step.id, load(transaction, &step.id)?);
                        }
                        let Some(task) = tasks.get_mut(step.id.as_str()) else { continue };
                        let turn = task.record.take(step, *clock, words)?;
                        if detail == Detail::Workers {
                            tellings.add(&task.record, step);
                        }
                        if let Some(turn) = turn {
                            counts.add(&task.record, &turn);
                            let kind = failed(transaction, &mut task.record, step, &turn)?;
                            kind.into_iter().for_each(|kind| counts.fail(&task.record, kind));
                        }
                    }
                }
            }
            let mut tally = [0; State::ALL.len()];
            for (_, mut task) in in_order(tasks) {
                if let Some(before) = task.before {
                    tally[before.code() as usize] -= 1;
                }
                tally[task.record.state.code() as usize] += 1;
                keep(transaction, &mut task)?;
            }
            count_states(transaction, tally)?;
            note_offset(transaction, batch.source, batch.next)?;
            let told = tellings.keep(transaction)?;
            Ok(totals::Batch { told, ..counts.keep(transaction)? })
        })
    }
}

/// In the order in which they were first told of.
fn in_order(tasks: HashMap<&str, Loaded>) -> Vec<(Micros, Loaded)> {
    let first = |record: &Record| {
        let seen = record.sent.unwrap_or(record.changed);
        seen.min(record.received.unwrap_or(seen))
    };
    let mut tasks: Vec<_> = tasks.into_values().map(|task| (first(&task.record), task)).collect();
    tasks.sort_by_key(|(first, _)| *first);
    tasks
}

/// Notes a failure with those that are like it; the exception's type.
fn failed(
    transaction: &Transaction<'_>,
    record: &mut Record,
    step: &Step,
    turn: &Turn,
) -> Result<Option<String>, IndexError> {
    let (State::Failure, Some(error)) = (turn.state, &record.error) else { return Ok(None) };
    let signature = signature(error);
    let mut note = transaction.prepare_cached(
        "INSERT INTO failure (title, kind, count, open, first, last) VALUES (?1, ?2, 1, 0, ?3, ?3)
         ON CONFLICT (title) DO UPDATE SET count = count + 1, last = max(last, excluded.last)
         RETURNING id",
    )?;
    let id: i64 = note.query_row((&signature.title, &signature.kind, step.at), |row| row.get(0))?;
    let mut hour = transaction.prepare_cached(
        "INSERT INTO failure_hour (failure, hour, name, count) VALUES (?1, ?2, ?3, 1)
         ON CONFLICT DO UPDATE SET count = count + 1",
    )?;
    hour.execute((id, step.at - step.at % HOUR, record.name.unwrap_or_default()))?;
    record.failure = Some(id);
    record.resolved = resolution::of(transaction, &signature.title, &record.id, step.at)?;
    Ok(Some(signature.kind))
}

impl Loaded {
    /// The group of failures in which it counts as open.
    fn open(record: &Record) -> Option<i64> {
        let is_open = record.state == State::Failure && record.resolved.is_none();
        record.failure.filter(|_| is_open)
    }
}

fn load(transaction: &Transaction<'_>, id: &str) -> rusqlite::Result<Loaded> {
    let mut find = transaction.prepare_cached("SELECT * FROM task WHERE id = ?1")?;
    let Some(mut record) = find.query_row([id], record).optional()? else {
        let record = Record::new(id.to_owned());
        return Ok(Loaded { record, before: None, open_before: None });
    };
    let mut last = transaction
        .prepare_cached("SELECT * FROM attempt WHERE task = ?1 ORDER BY no DESC LIMIT 1")?;
    record.attempts.extend(last.query_row([record.n], attempt).optional()?);
    let (before, open_before) = (Some(record.state), Loaded::open(&record));
    Ok(Loaded { record, before, open_before })
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
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
        attempts: Vec::new(),
    })
}

pub(super) fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let outcome: Option<i64> = row.get("outcome")?;
    Ok(Attempt {
        no: row.get("no")?,
        worker: row.get("worker")?,
        pid: row.get("pid")?,
        started: row.get("started")?,
        ended: row.get("ended")?,
        outcome: outcome.map(State::of_code),
        error: row.get("error")?,
        traceback: row.get("traceback")?,
    })
}

fn keep(transaction: &Transaction<'_>, task: &mut Loaded) -> rusqlite::Result<()> {
    let record = &mut task.record;
    let is_new = record.n.is_none();
    // A row that is replaced keeps its number.
    let mut write = transaction.prepare_cached(
        "INSERT INTO task VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
                                  ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27)
         ON CONFLICT (n) DO UPDATE SET
             name = ?3, queue = ?4, worker = ?5, state = ?6, root = ?7, parent = ?8, retries = ?9,
             redelivered = ?10, eta = ?11, expires = ?12, sent = ?13, received = ?14, started = ?15,
             ended = ?16, changed = ?17, clock = ?18, wait = ?19, run = ?20, args = ?21,
             kwargs = ?22, result = ?23, error = ?24, failure = ?25, resolved = ?26,
             group_id = ?27",
    )?;
    write.execute(params![
        record.n,
        record.id,
        record.name,
        record.queue,
        record.worker,
        record.state.code(),
        record.root,
        record.parent,
        record.retries,
        record.redelivered,
        record.eta,
        record.expires,
        record.sent,
        record.received,
        record.started,
        record.ended,
        record.changed,
        record.clock,
        record.wait,
        record.run,
        record.args,
        record.kwargs,
        record.result,
        record.error,
        record.failure,
        record.resolved,
        record.group,
    ])?;
    let n = match record.n {
        Some(n) => n,
        None => transaction.last_insert_rowid(),
    };
    record.n = Some(n);
    for attempt in &record.attempts {
        keep_attempt(transaction, n, attempt)?;
    }
    count_open(transaction, task.open_before, Loaded::open(&task.record))?;
    match &task.record.error {
        Some(error) if task.record.failure.is_some() => keep_found(transaction, n, error, is_new),
        _ => Ok(()),
    }
}

fn keep_attempt(transaction: &Transaction<'_>, n: i64, attempt: &Attempt) -> rusqlite::Result<()> {
    let mut write = transaction.prepare_cached(
        "INSERT OR REPLACE INTO attempt VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    write
        .execute(params![
            n,
            attempt.no,
            attempt.worker,
            attempt.pid,
            attempt.started,
            attempt.ended,
            attempt.outcome.map(State::code),
            attempt.error,
            attempt.traceback,
        ])
        .map(drop)
}

fn count_open(
    transaction: &Transaction<'_>,
    before: Option<i64>,
    after: Option<i64>,
) -> rusqlite::Result<()> {
    if before == after {
        return Ok(());
    }
    let mut add =
        transaction.prepare_cached("UPDATE failure SET open = max(open + ?2, 0) WHERE id = ?1")?;
    for (failure, change) in [(before, -1), (after, 1)] {
        if let Some(failure) = failure {
            add.execute((failure, change))?;
        }
    }
    Ok(())
}

fn keep_found(
    transaction: &Transaction<'_>,
    n: i64,
    error: &str,
    is_new: bool,
) -> rusqlite::Result<()> {
    if !is_new {
        transaction.prepare_cached("DELETE FROM found WHERE rowid = ?1")?.execute([n])?;
    }
    let mut add = transaction.prepare_cached("INSERT INTO found (rowid, error) VALUES (?1, ?2)")?;
    add.execute((n, error)).map(drop)
}

fn count_states(
    transaction: &Transaction<'_>,
    tally: [i64; State::ALL.len()],
) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO tally VALUES (?1, ?2) ON CONFLICT DO UPDATE SET count = count + ?2",
    )?;
    for (code, change) in tally.into_iter().enumerate().filter(|(_, change)| *change != 0) {
        add.execute((code as i64, change))?;
    }
    Ok(())
}
