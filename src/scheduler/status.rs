//! What a scheduler tells about itself, for health checks and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
    schedules: AtomicU64,
    /// Milliseconds after `started` at which the loop turned last.
    turned: AtomicU64,
    counts: [AtomicU64; COUNTS],
    /// Runs by lateness: at most `BOUNDS[n]` late, and the rest.
    late: [AtomicU64; BOUNDS.len() + 1],
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
}

const COUNTS: usize = 5;

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
            schedules: AtomicU64::new(0),
            turned: AtomicU64::new(0),
            counts: Default::default(),
            late: Default::default(),
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
        self.shared.counts[count as usize].load(Ordering::Relaxed)
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

    pub(super) fn began(&self, term: u64, schedules: usize) {
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

    pub(super) fn add(&self, count: Count, number: u64) {
        self.shared.counts[count as usize].fetch_add(number, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, late: Duration) {
        let millis = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        let place = BOUNDS.partition_point(|bound| *bound < millis);
        self.shared.late[place].fetch_add(1, Ordering::Relaxed);
        self.add(Count::Sent, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_by_how_late_they_were() {
        let status = Status::default();
        for late in [0, 1, 2, 3, 50, 51, 99_000] {
            status.sent(Duration::from_millis(late));
        }
        let counted: Vec<_> = status.lateness().filter(|(_, count)| *count > 0).collect();
        let expected =
            [(Some(1), 2), (Some(2), 1), (Some(5), 1), (Some(50), 1), (Some(100), 1), (None, 1)];
        assert_eq!(counted, expected);
        assert_eq!(status.count(Count::Sent), 7);
    }
}
