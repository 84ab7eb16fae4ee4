//! When an entry is due: one question, [`Schedule::next_after`].

use super::cron::Cron;
use super::instant::to_timestamp;
use super::sun::Sun;
use crate::units::format_duration;
use std::time::{Duration, SystemTime};

/// When something is due. Pure: it knows no clock and keeps nothing.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// By the calendar and a clock on the wall.
    Cron(Box<Cron>),
    /// At fixed distances of real time.
    Every {
        /// The distance; not zero.
        period: Duration,
        /// A time at which it is due; the others follow from it.
        from: SystemTime,
    },
    /// Once.
    At(SystemTime),
    /// By the sun.
    Sun(Sun),
}

/// So many runs are looked at to tell how far apart they are.
const SAMPLE: usize = 50;

impl Schedule {
    /// The first time it is due after `time`, if there is one.
    pub fn next_after(&self, time: SystemTime) -> Option<SystemTime> {
        match self {
            Self::Cron(cron) => cron.next_after(time),
            Self::Every { period, from } => next_multiple(*period, *from, time),
            Self::At(at) => (*at > time).then_some(*at),
            Self::Sun(sun) => sun.next_after(time),
        }
    }

    /// All times it is due after `time`, in order.
    pub fn after(&self, time: SystemTime) -> impl Iterator<Item = SystemTime> {
        std::iter::successors(self.next_after(time), |due| self.next_after(*due))
    }

    /// The shortest distance between two of the next runs; `None` when there is only one.
    pub fn shortest_gap(&self, from: SystemTime) -> Option<Duration> {
        if let Self::Every { period, .. } = self {
            return Some(*period);
        }
        let dues: Vec<SystemTime> = self.after(from).take(SAMPLE).collect();
        dues.windows(2).filter_map(|pair| pair[1].duration_since(pair[0]).ok()).min()
    }

    /// What it says, in words.
    pub fn words(&self) -> String {
        match self {
            Self::Cron(cron) => match cron.zone() {
                Some(zone) => format!("{}, {zone}", cron.words()),
                None => cron.words(),
            },
            Self::Every { period, .. } => format!("every {}", format_duration(*period)),
            Self::At(at) => format!("once, {}", to_timestamp(*at)),
            Self::Sun(sun) => sun.words(),
        }
    }
}

/// The first of `from`, `from + period`, `from - period`, ... that is after `time`.
fn next_multiple(period: Duration, from: SystemTime, time: SystemTime) -> Option<SystemTime> {
    let nanos = period.as_nanos();
    let rest = |distance: Duration| duration(distance.as_nanos() % nanos);
    match time.duration_since(from) {
        Ok(since) => time.checked_add(period - rest(since)),
        Err(error) => {
            let rest = rest(error.duration());
            time.checked_add(if rest.is_zero() { period } else { rest })
        }
    }
}

fn duration(nanos: u128) -> Duration {
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    Duration::new(seconds, u32::try_from(nanos % 1_000_000_000).unwrap_or(0))
}
