//! Counts over time: what charts are drawn from, so that nobody has to go through all tasks.

use super::super::change::Micros;
use super::super::histogram::Histogram;
use super::super::record::{Record, Turn, Word};
use super::super::state::State;
use super::super::totals::{Batch, Exceptions, Took, Turns};
use super::IndexError;
use rusqlite::{Connection, OptionalExtension, Transaction};
use std::collections::HashMap;

const SECOND: Micros = 1_000_000;

/// How long the stretches are in which things are counted: ten seconds, a minute, an hour.
pub(super) const STEPS: [Micros; 3] = [10 * SECOND, 60 * SECOND, 3_600 * SECOND];

/// What one batch adds.
#[derive(Debug, Default)]
pub(super) struct Counts {
    stretches: HashMap<Key, Count>,
    /// The same without time, for metrics.
    turns: HashMap<(Word, Word, State), Sum>,
    /// Failures by the name of the task and the exception's type.
    exceptions: HashMap<(Word, String), u64>,
}

#[derive(Debug, Default)]
struct Sum {
    count: u64,
    wait: Took,
    run: Took,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    step: Micros,
    at: Micros,
    name: Word,
    queue: Word,
    state: State,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    count: i64,
    wait: Histogram,
    run: Histogram,
}

impl Counts {
    pub(super) fn add(&mut self, record: &Record, turn: &Turn) {
        let (name, queue) = (record.name.unwrap_or(0), record.queue.unwrap_or(0));
        let sum = self.turns.entry((name, queue, turn.state)).or_default();
        sum.count += 1;
        turn.wait.into_iter().for_each(|wait| sum.wait.add(wait));
        turn.run.into_iter().for_each(|run| sum.run.add(run));
        for step in STEPS {
            let at = turn.at - turn.at % step;
            let key = Key { step, at, name, queue, state: turn.state };
            let count = self.stretches.entry(key).or_default();
            count.count += 1;
            if let Some(wait) = turn.wait {
                count.wait.add(wait);
            }
            if let Some(run) = turn.run {
                count.run.add(run);
            }
        }
    }

    /// Counts a failure with an exception of the type `kind`.
    pub(super) fn fail(&mut self, record: &Record, kind: String) {
        *self.exceptions.entry((record.name.unwrap_or(0), kind)).or_default() += 1;
    }

    /// Writes what was counted into the index, and gives it for metrics.
    pub(super) fn keep(self, transaction: &Transaction<'_>) -> rusqlite::Result<Batch> {
        let mut text = transaction.prepare_cached("SELECT text FROM word WHERE id = ?1")?;
        let mut text = |word: Word| -> rusqlite::Result<String> {
            let text: Option<String> = text.query_row([word], |row| row.get(0)).optional()?;
            Ok(text.unwrap_or_default())
        };
        let mut batch = Batch::default();
        for ((name, queue, state), Sum { count, wait, run }) in self.turns {
            let (name, queue) = (text(name)?, text(queue)?);
            batch.turns.push(Turns { name, queue, state, count, wait, run });
        }
        for ((name, kind), count) in self.exceptions {
            batch.exceptions.push(Exceptions { name: text(name)?, kind, count });
        }
        let mut find = transaction.prepare_cached(
            "SELECT count, wait, run FROM series
             WHERE step = ?1 AND at = ?2 AND name = ?3 AND queue = ?4 AND state = ?5",
        )?;
        let mut write = transaction.prepare_cached(
            "INSERT OR REPLACE INTO series VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for (key, mut count) in self.stretches {
            let (step, at, state) = (key.step, key.at, key.state.code());
            let found = find.query_row((step, at, key.name, key.queue, state), |row| {
                Ok((row.get::<_, i64>(0)?, histogram(row, 1)?, histogram(row, 2)?))
            });
            if let Some((before, wait, run)) = found.optional()? {
                count.count += before;
                count.wait.add_all(&wait);
                count.run.add_all(&run);
            }
            let (wait, run) = (count.wait.to_bytes(), count.run.to_bytes());
            write.execute((step, at, key.name, key.queue, state, count.count, wait, run))?;
        }
        Ok(batch)
    }
}

fn histogram(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Histogram> {
    Ok(Histogram::from_bytes(row.get_ref(column)?.as_blob()?))
}

/// Counts of one stretch of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct Stretch {
    pub(in super::super) at: Micros,
    pub(in super::super) counts: HashMap<State, i64>,
    pub(in super::super) wait: Histogram,
    pub(in super::super) run: Histogram,
}

/// The counts since `since`, of every stretch of the longest step that still gives some sixty of
/// them; the step too.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn since(
    connection: &Connection,
    since: Micros,
    now: Micros,
) -> Result<(Micros, Vec<Stretch>), IndexError> {
    stretches(connection, None, since, now)
}

/// The same of the tasks of one name.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn of_name(
    connection: &Connection,
    name: &str,
    since: Micros,
    now: Micros,
) -> Result<(Micros, Vec<Stretch>), IndexError> {
    stretches(connection, Some(name), since, now)
}

fn stretches(
    connection: &Connection,
    name: Option<&str>,
    since: Micros,
    now: Micros,
) -> Result<(Micros, Vec<Stretch>), IndexError> {
    let span = now - since;
    let step = STEPS.into_iter().rev().find(|step| span / step >= 60).unwrap_or(STEPS[0]);
    let only = match name {
        Some(_) => "AND name = (SELECT id FROM word WHERE text = ?3)",
        None => "AND ?3 IS NULL",
    };
    let mut query = connection.prepare_cached(&format!(
        "SELECT at, state, count, wait, run FROM series
         WHERE step = ?1 AND at >= ?2 {only} ORDER BY at"
    ))?;
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut rows = query.query((step, since - since % step, name))?;
    while let Some(row) = rows.next()? {
        let at = row.get(0)?;
        if stretches.last().is_none_or(|last| last.at != at) {
            stretches.push(Stretch { at, ..Stretch::default() });
        }
        let Some(stretch) = stretches.last_mut() else { continue };
        *stretch.counts.entry(State::of_code(row.get(1)?)).or_default() += row.get::<_, i64>(2)?;
        stretch.wait.add_all(&histogram(row, 3)?);
        stretch.run.add_all(&histogram(row, 4)?);
    }
    Ok((step, stretches))
}

/// What stretches are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum By {
    Name,
    Queue,
}

/// The counts since `since` of each name or queue; `None` is where none was told.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn by(
    connection: &Connection,
    by: By,
    since: Micros,
    now: Micros,
) -> Result<HashMap<Option<String>, Stretch>, IndexError> {
    // A coarse step has less to add up; some six of them are exact enough at the edge.
    let step = STEPS.into_iter().rev().find(|step| (now - since) / step >= 6).unwrap_or(STEPS[0]);
    let column = match by {
        By::Name => "name",
        By::Queue => "queue",
    };
    let mut query = connection.prepare_cached(&format!(
        "SELECT text, state, count, wait, run FROM series LEFT JOIN word ON word.id = series.{column}
         WHERE step = ?1 AND at >= ?2"
    ))?;
    let mut groups = HashMap::<Option<String>, Stretch>::new();
    let mut rows = query.query((step, since - since % step))?;
    while let Some(row) = rows.next()? {
        let group = groups.entry(row.get(0)?).or_default();
        *group.counts.entry(State::of_code(row.get(1)?)).or_default() += row.get::<_, i64>(2)?;
        group.wait.add_all(&histogram(row, 3)?);
        group.run.add_all(&histogram(row, 4)?);
    }
    Ok(groups)
}

impl Stretch {
    /// All of them together.
    pub(in super::super) fn sum(stretches: &[Self]) -> Self {
        let mut sum = Self::default();
        for stretch in stretches {
            for (state, count) in &stretch.counts {
                *sum.counts.entry(*state).or_default() += count;
            }
            sum.wait.add_all(&stretch.wait);
            sum.run.add_all(&stretch.run);
        }
        sum
    }

    /// How many came to this.
    pub(in super::super) fn count(&self, state: State) -> i64 {
        self.counts.get(&state).copied().unwrap_or_default()
    }

    /// Attempts that ended for good.
    pub(in super::super) fn ended(&self) -> i64 {
        let ended = |(state, _): &(&State, &i64)| !state.is_open();
        self.counts.iter().filter(ended).map(|(_, count)| count).sum()
    }

    /// Those of them that failed.
    pub(in super::super) fn failed(&self) -> i64 {
        let failed = |(state, _): &(&State, &i64)| !state.is_open() && state.is_bad();
        self.counts.iter().filter(failed).map(|(_, count)| count).sum()
    }
}
