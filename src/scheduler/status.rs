//! What a scheduler tells about itself, for health checks and metrics.

use crate::clock::{micros, time_of};
use crate::control::leader::RunCounts;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A view of a running scheduler. Cloning is cheap; all clones see the same one.
#[derive(Debug, Clone)]
pub struct Status {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    leads: AtomicBool,
    in_contact: AtomicBool,
    term: AtomicU64,
    /// Since when it stands in line, in microseconds since 1970; 0 while it does not.
    in_line: AtomicI64,
    schedules: AtomicU64,
    /// Milliseconds after `started` at which the loop turned last.
    turned: AtomicU64,
    tallies: Mutex<Tallies>,
    /// Runs by lateness: at most `BOUNDS[n]` late, and the rest.
    late: [AtomicU64; BOUNDS.len() + 1],
    /// The lateness of all runs together, in microseconds.
    late_sum: AtomicU64,
    /// When it looks for a run next, in microseconds since 1970; 0 for never.
    next: AtomicI64,
}

#[derive(Debug, Default)]
struct Tallies {
    all: Tally,
    /// Of the first [`NAMES`] schedules by their names, and of all others under [`OTHERS`].
    by_schedule: BTreeMap<String, Tally>,
}

/// What was counted of one schedule.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) counts: [u64; COUNTS],
    /// When the last run that was sent was due.
    pub(super) last: Option<SystemTime>,
}

impl Tally {
    /// What became of runs.
    pub(super) fn runs(&self) -> RunCounts {
        let count = |of: Count| self.counts[of as usize];
        RunCounts {
            sent: count(Count::Sent),
            missed: count(Count::Missed),
            skipped: count(Count::Skipped),
            failed: count(Count::Failed),
        }
    }
}

/// Something that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Count {
    /// Runs that the broker has confirmed.
    Sent,
    /// Runs left out because nobody could send them in time, or another stood for them.
    Missed,
    /// Runs left out because the one before had not ended.
    Skipped,
    /// Runs that cannot be sent at all.
    Failed,
    /// Runs that the broker did not confirm in time; they are sent again.
    Unconfirmed,
    /// Runs that were revoked because the next was due.
    Stopped,
}

const COUNTS: usize = 6;

/// So many schedules are counted by their names.
const NAMES: usize = 500;

/// The name under which all others are counted.
const OTHERS: &str = "_other";

/// Bounds of lateness, in milliseconds.
const BOUNDS: [u64; 11] = [1, 2, 5, 10, 20, 50, 100, 250, 1000, 10_000, 60_000];

/// A loop that has not turned for so long hangs.
const HANGS: Duration = Duration::from_secs(30);

impl Default for Status {
    fn default() -> Self {
        let shared = Shared {
            started: Instant::now(),
            leads: AtomicBool::new(false),
            in_contact: AtomicBool::new(false),
            term: AtomicU64::new(0),
            in_line: AtomicI64::new(0),
            schedules: AtomicU64::new(0),
            turned: AtomicU64::new(0),
            tallies: Mutex::default(),
            late: Default::default(),
            late_sum: AtomicU64::new(0),
            next: AtomicI64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Status {
    /// Whether this scheduler leads.
    pub fn leads(&self) -> bool {
        self.shared.leads.load(Ordering::Relaxed)
    }

    /// Whether it leads, or stands in line to lead.
    pub fn is_in_contact(&self) -> bool {
        self.leads() || self.shared.in_contact.load(Ordering::Relaxed)
    }

    /// Its last term as leader; 0 if it has never led.
    pub fn term(&self) -> u64 {
        self.shared.term.load(Ordering::Relaxed)
    }

    /// How many schedules it has.
    pub fn schedules(&self) -> u64 {
        self.shared.schedules.load(Ordering::Relaxed)
    }

    /// Whether its loop turns.
    pub fn is_alive(&self) -> bool {
        let turned = Duration::from_millis(self.shared.turned.load(Ordering::Relaxed));
        self.shared.started.elapsed().saturating_sub(turned) < HANGS
    }

    /// How often something happened since it started.
    pub fn count(&self, count: Count) -> u64 {
        self.tallies().all.counts[count as usize]
    }

    /// How many runs were sent at most so late, and how late: milliseconds with the runs that are
    /// above the bound before; `None` stands for no bound.
    pub fn lateness(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = BOUNDS.iter().copied().map(Some).chain([None]);
        bounds.zip(self.shared.late.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    pub(super) fn stands_by(&self, in_contact: bool) {
        self.shared.leads.store(false, Ordering::Relaxed);
        self.shared.in_contact.store(in_contact, Ordering::Relaxed);
    }

    /// It stands in line from now on.
    pub(super) fn lines_up(&self, now: SystemTime) {
        self.shared.in_line.store(micros(now), Ordering::Relaxed);
    }

    /// Since when it stands in line to lead, if it does.
    pub(super) fn stands_by_since(&self) -> Option<SystemTime> {
        time(self.shared.in_line.load(Ordering::Relaxed))
    }

    pub(super) fn began(&self, term: u64, schedules: usize) {
        self.shared.in_line.store(0, Ordering::Relaxed);
        self.shared.term.store(term, Ordering::Relaxed);
        self.has(schedules);
        self.shared.leads.store(true, Ordering::Relaxed);
    }

    pub(super) fn has(&self, schedules: usize) {
        self.shared.schedules.store(schedules as u64, Ordering::Relaxed);
    }

    pub(super) fn turned(&self) {
        let now = u64::try_from(self.shared.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.shared.turned.store(now, Ordering::Relaxed);
    }

    pub(super) fn add(&self, count: Count, schedule: &str, number: u64) {
        self.tally(schedule, |tally| tally.counts[count as usize] += number);
    }

    pub(super) fn sent(&self, schedule: &str, due: SystemTime, late: Duration) {
        let millis = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        let place = BOUNDS.partition_point(|bound| *bound < millis);
        self.shared.late[place].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.shared.late_sum.fetch_add(micros, Ordering::Relaxed);
        self.tally(schedule, |tally| {
            tally.counts[Count::Sent as usize] += 1;
            tally.last = tally.last.max(Some(due));
        });
    }

    pub(super) fn waits_for(&self, next: Option<SystemTime>) {
        self.shared.next.store(next.map_or(0, micros), Ordering::Relaxed);
    }

    /// When it looks for a run next, if it leads and has any.
    pub fn next(&self) -> Option<SystemTime> {
        time(self.shared.next.load(Ordering::Relaxed)).filter(|_| self.leads())
    }

    /// The lateness of all runs that were sent, together.
    pub(super) fn lateness_sum(&self) -> Duration {
        Duration::from_micros(self.shared.late_sum.load(Ordering::Relaxed))
    }

    /// What was counted, by schedule; a bounded number of them.
    pub(super) fn by_schedule(&self) -> BTreeMap<String, Tally> {
        self.tallies().by_schedule.clone()
    }

    fn tally(&self, schedule: &str, mut note: impl FnMut(&mut Tally)) {
        let mut tallies = self.tallies();
        note(&mut tallies.all);
        let known = tallies.by_schedule.contains_key(schedule);
        let name = if known || tallies.by_schedule.len() < NAMES { schedule } else { OTHERS };
        match tallies.by_schedule.get_mut(name) {
            Some(tally) => note(tally),
            None => note(tallies.by_schedule.entry(name.to_owned()).or_default()),
        }
    }

    fn tallies(&self) -> MutexGuard<'_, Tallies> {
        self.shared.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time that was noted; nothing for 0.
fn time(micros: i64) -> Option<SystemTime> {
    (micros > 0).then(|| time_of(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_by_how_late_they_were() {
        let status = Status::default();
        for late in [0, 1, 2, 3, 50, 51, 99_000] {
            status.sent("a", SystemTime::UNIX_EPOCH, Duration::from_millis(late));
        }
        let counted: Vec<_> = status.lateness().filter(|(_, count)| *count > 0).collect();
        let expected =
            [(Some(1), 2), (Some(2), 1), (Some(5), 1), (Some(50), 1), (Some(100), 1), (None, 1)];
        assert_eq!(counted, expected);
        assert_eq!(status.count(Count::Sent), 7);
        assert_eq!(status.lateness_sum(), Duration::from_millis(99_107));
    }

    #[test]
    fn no_number_of_schedules_makes_more_than_so_many_counts() {
        let status = Status::default();
        for number in 0..NAMES + 20 {
            status.add(Count::Missed, &number.to_string(), 2);
        }
        status.add(Count::Missed, "7", 1);
        let counted = status.by_schedule();
        assert_eq!(counted.len(), NAMES + 1);
        assert_eq!(counted["7"].counts[Count::Missed as usize], 3);
        assert_eq!(counted[OTHERS].counts[Count::Missed as usize], 40);
        assert_eq!(status.count(Count::Missed), 2 * (NAMES as u64 + 20) + 1);
    }
}
