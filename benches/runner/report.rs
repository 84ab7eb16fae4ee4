//! What was measured, as a table and as JSON.

use crate::side::Cost;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// One side of a comparison, over all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) label: String,
    /// Messages per round.
    pub(crate) count: usize,
    /// The row that this one is compared with.
    pub(crate) against: Option<usize>,
    pub(crate) rounds: Vec<Cost>,
}

/// Rows that were measured in the same rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

/// A figure with the aim it is held to.
#[derive(Debug, Serialize)]
pub(crate) struct Aim {
    pub(crate) what: String,
    pub(crate) measured: f64,
    pub(crate) aim: f64,
    pub(crate) unit: &'static str,
    pub(crate) sense: Sense,
}

/// Which side of an aim is the good one.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) enum Sense {
    AtMost,
    AtLeast,
}

/// All of one run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) tables: Vec<Table>,
    pub(crate) figures: Vec<(String, String)>,
    pub(crate) aims: Vec<Aim>,
}

impl Row {
    fn median(&self, of: impl Fn(&Cost) -> f64) -> f64 {
        median(self.rounds.iter().map(of))
    }

    /// Microseconds of processor time per message.
    pub(crate) fn cpu(&self) -> f64 {
        self.median(|cost| self.per_message(cost.cpu))
    }

    /// Messages per second.
    pub(crate) fn rate(&self) -> f64 {
        self.median(|cost| self.count as f64 / cost.wall.as_secs_f64())
    }

    fn broker(&self) -> Option<f64> {
        let known = self.rounds.iter().all(|cost| cost.broker.is_some());
        known.then(|| self.median(|cost| self.per_message(cost.broker.unwrap_or_default())))
    }

    fn per_message(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.count as f64
    }

    /// The share `p` of all single times, in microseconds. The first tenth of each round, in which a
    /// side may still be starting, does not count.
    pub(crate) fn percentile(&self, p: f64) -> f64 {
        let settled = |cost: &'_ Cost| cost.times.len() / 10;
        let times = self.rounds.iter().flat_map(|cost| &cost.times[settled(cost)..]);
        percentile(times.map(|(_, time)| *time), p)
    }
}

impl Table {
    /// The median over the rounds of a ratio within each round.
    pub(crate) fn ratio(&self, row: usize, to: usize, of: impl Fn(&Cost) -> Duration) -> f64 {
        let (row, to) = (&self.rows[row], &self.rows[to]);
        let pairs = row.rounds.iter().zip(&to.rounds);
        median(
            pairs.map(|(a, b)| {
                row.per_message(of(a)) / to.per_message(of(b)).max(f64::MIN_POSITIVE)
            }),
        )
    }

    /// Processor time of our process against that of another row.
    pub(crate) fn cpu_ratio(&self, row: usize, to: usize) -> f64 {
        self.ratio(row, to, |cost| cost.cpu)
    }

    /// The rate against that of another row.
    pub(crate) fn rate_ratio(&self, row: usize, to: usize) -> f64 {
        1.0 / self.ratio(row, to, |cost| cost.wall)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", self.title)?;
        writeln!(f, "| | rate/s | CPU µs | broker CPU µs | peak MiB | CPU ÷ bare | rate ÷ bare |")?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- | --- |")?;
        for (number, row) in self.rows.iter().enumerate() {
            let broker = row.broker().map_or("?".to_owned(), |time| format!("{time:.0}"));
            let peak = row.median(|cost| cost.memory.1 as f64 / 1024.0);
            let (rate, cpu) = (row.rate(), row.cpu());
            write!(f, "| {} | {rate:.0} | {cpu:.1} | {broker} | {peak:.0} |", row.label)?;
            match row.against {
                Some(to) => {
                    let (cpu, rate) = (self.cpu_ratio(number, to), self.rate_ratio(number, to));
                    writeln!(f, " {cpu:.2} | {rate:.2} |")?;
                }
                None => writeln!(f, " | |")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, measured, aim, unit, sense } = self;
        let (sign, is_met) = match sense {
            Sense::AtMost => ("≤", measured <= aim),
            Sense::AtLeast => ("≥", measured >= aim),
        };
        let verdict = if is_met { "met" } else { "missed" };
        write!(f, "| {what} | {measured:.2} {unit} | {sign} {aim} {unit} | {verdict} |")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            writeln!(f, "{table}")?;
        }
        if !self.figures.is_empty() {
            writeln!(f, "### Single figures\n\n| | |\n| --- | --- |")?;
        }
        for (what, figure) in &self.figures {
            writeln!(f, "| {what} | {figure} |")?;
        }
        writeln!(f, "\n### Aims\n\n| | measured | aim | |\n| --- | --- | --- | --- |")?;
        self.aims.iter().try_for_each(|aim| writeln!(f, "{aim}"))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    percentile(values, 0.5)
}

/// The value below which the share `p` of all lies; the middle of two for the median of an even
/// number.
pub(crate) fn percentile(values: impl Iterator<Item = f64>, p: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    let place = p * (values.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    values[low] + (values[high] - values[low]) * place.fract()
}
