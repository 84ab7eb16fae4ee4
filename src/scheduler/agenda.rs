//! The agenda: which runs are due now, and when to look again. Pure; the caller brings the time.
//!
//! It remembers, for each entry, the run that comes next, in a heap by the time at which it is
//! sent. Everything follows from the entries and one time, up to which all is dealt with: that is
//! all that a scheduler hands to its successor.

use super::entry::{Entry, MissedRuns};
use crate::ids::TaskId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The entries with their next runs.
#[derive(Debug)]
pub struct Agenda {
    entries: Vec<Arc<Entry>>,
    /// By the time of sending: the run that is due then, and the entry's place.
    heap: BinaryHeap<Reverse<(SystemTime, SystemTime, usize)>>,
}

/// One run that is due.
#[derive(Debug, Clone)]
pub struct Run {
    /// What is sent.
    pub entry: Arc<Entry>,
    /// When it was due.
    pub due: SystemTime,
    /// When it was to be sent: when it was due, and its jitter.
    pub planned: SystemTime,
}

/// What is to be done now.
#[derive(Debug, Default)]
pub struct Turn {
    /// What is to be sent, in the order in which it was due.
    pub runs: Vec<Run>,
    /// What is left out, because it is too late or another run stands for it: how many runs of
    /// which entry.
    pub missed: Vec<(Arc<Entry>, u64)>,
}

/// At most so many runs are made in one turn; the rest comes with the next.
const MOST: usize = 1000;

/// So many missed runs are walked through one by one; beyond, the search jumps.
const STEPS: usize = 10_000;

impl Turn {
    fn leave_out(&mut self, entry: &Arc<Entry>) {
        match self.missed.last_mut().filter(|(last, _)| Arc::ptr_eq(last, entry)) {
            Some((_, number)) => *number += 1,
            None => self.missed.push((Arc::clone(entry), 1)),
        }
    }
}

impl Run {
    /// Its id.
    pub fn id(&self) -> TaskId {
        self.entry.id(self.due)
    }
}

impl Agenda {
    /// An agenda of the enabled among `entries`, from the first run that is to be sent after
    /// `handled`.
    pub fn new(entries: impl IntoIterator<Item = Arc<Entry>>, handled: SystemTime) -> Self {
        let entries: Vec<_> = entries.into_iter().filter(|entry| entry.enabled).collect();
        let mut agenda = Self { entries, heap: BinaryHeap::new() };
        for index in 0..agenda.entries.len() {
            let entry = Arc::clone(&agenda.entries[index]);
            // With jitter, a run that was due before may be sent after.
            let since = handled.checked_sub(entry.jitter).unwrap_or(SystemTime::UNIX_EPOCH);
            let first = entry.schedule.after(since).find(|due| entry.sent_at(*due) > handled);
            agenda.plan(index, first);
        }
        agenda
    }

    /// When something is to be sent next.
    pub fn wake(&self) -> Option<SystemTime> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// The entries that are due again, and when, in no order.
    pub fn coming(&self) -> impl Iterator<Item = (&Entry, SystemTime)> {
        self.heap.iter().map(|Reverse((_, due, index))| (&*self.entries[*index], *due))
    }

    /// Takes out what is to be sent at `now` or before.
    pub fn take(&mut self, now: SystemTime) -> Turn {
        let mut turn = Turn::default();
        while turn.runs.len() < MOST
            && let Some(Reverse((at, due, index))) = self.heap.peek().copied()
            && at <= now
        {
            self.heap.pop();
            let entry = Arc::clone(&self.entries[index]);
            let next = match entry.missed {
                MissedRuns::Last(within) => take_last(&entry, due, now, within, &mut turn),
                MissedRuns::Each(within) => take_each(&entry, due, now, within, &mut turn),
            };
            self.plan(index, next);
        }
        turn.runs.sort_by_key(|run| run.planned);
        turn
    }

    /// The time up to which everything is dealt with once what was taken at `now` is sent.
    pub fn handled(&self, now: SystemTime) -> SystemTime {
        match self.wake() {
            Some(next) if next <= now => next - Duration::from_nanos(1000),
            _ => now,
        }
    }

    fn plan(&mut self, index: usize, due: Option<SystemTime>) {
        if let Some(due) = due {
            self.heap.push(Reverse((self.entries[index].sent_at(due), due, index)));
        }
    }
}

/// Of the runs from `due` on that should have been sent by `now`, takes the last. Returns the next.
fn take_last(
    entry: &Arc<Entry>,
    due: SystemTime,
    now: SystemTime,
    within: Duration,
    turn: &mut Turn,
) -> Option<SystemTime> {
    let mut last = due;
    let mut steps = 0;
    let next = loop {
        let next = entry.schedule.next_after(last);
        match next {
            Some(next) if entry.sent_at(next) <= now => last = next,
            next => break next,
        }
        turn.leave_out(entry);
        steps += 1;
        if steps == STEPS {
            last = jump(entry, last, now);
            steps = 0;
        }
    };
    offer(entry, last, now, within, turn);
    next
}

/// Takes each run from `due` on that should have been sent by `now`, as far as there is room.
/// Returns the next.
fn take_each(
    entry: &Arc<Entry>,
    due: SystemTime,
    now: SystemTime,
    within: Duration,
    turn: &mut Turn,
) -> Option<SystemTime> {
    let oldest = now.checked_sub(within).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut next = Some(due);
    if due < oldest {
        turn.leave_out(entry);
        // Runs at the very edge of the window are in it.
        next = entry.schedule.next_after(oldest - Duration::from_nanos(1000));
    }
    while let Some(due) = next
        && entry.sent_at(due) <= now
        && turn.runs.len() < MOST
    {
        offer(entry, due, now, within, turn);
        next = entry.schedule.next_after(due);
    }
    next
}

fn offer(entry: &Arc<Entry>, due: SystemTime, now: SystemTime, within: Duration, turn: &mut Turn) {
    let planned = entry.sent_at(due);
    let late = now.duration_since(planned).unwrap_or_default();
    match late <= within && entry.is_worth(due, now) {
        true => turn.runs.push(Run { entry: Arc::clone(entry), due, planned }),
        false => turn.leave_out(entry),
    }
}

/// A run later than `last` that should still have been sent by `now`, as near to it as easily found.
fn jump(entry: &Entry, last: SystemTime, now: SystemTime) -> SystemTime {
    const BACK: [u64; 4] = [60, 3600, 86_400, 32 * 86_400];
    let backs = BACK.iter().filter_map(|back| now.checked_sub(Duration::from_secs(*back)));
    let starts = backs.filter(|start| *start > last);
    let mut dues = starts.filter_map(|start| entry.schedule.next_after(start));
    dues.find(|due| entry.sent_at(*due) <= now).unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::super::settings::{Missed, ScheduleSettings};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_600_800 + seconds)
    }

    fn entry(every: u64, settings: ScheduleSettings) -> Arc<Entry> {
        let every = Some(Duration::from_secs(every));
        let task = Some("t".to_owned());
        Arc::new(Entry::new("e", &ScheduleSettings { every, task, ..settings }, at(0)).unwrap())
    }

    fn missed(missed: Missed, within: Option<u64>) -> ScheduleSettings {
        let missed_within = within.map(Duration::from_secs);
        ScheduleSettings { missed: Some(missed), missed_within, ..ScheduleSettings::default() }
    }

    /// When the runs of a turn were due, in seconds, and how many are left out.
    fn taken(agenda: &mut Agenda, now: u64) -> (Vec<u64>, u64) {
        let turn = agenda.take(at(now));
        let seconds = |run: &Run| run.due.duration_since(at(0)).unwrap().as_secs();
        (
            turn.runs.iter().map(seconds).collect(),
            turn.missed.iter().map(|(_, number)| number).sum(),
        )
    }

    #[test]
    fn what_is_due_is_taken_once_and_the_next_is_known() {
        let mut agenda = Agenda::new([entry(60, ScheduleSettings::default())], at(0));
        assert_eq!(agenda.wake(), Some(at(60)));
        assert_eq!(taken(&mut agenda, 59), (vec![], 0));
        assert_eq!(taken(&mut agenda, 60), (vec![60], 0));
        assert_eq!(taken(&mut agenda, 60), (vec![], 0));
        let coming: Vec<_> = agenda.coming().map(|(entry, due)| (&*entry.name, due)).collect();
        assert_eq!(coming, [("e", at(120))]);
        assert_eq!(agenda.handled(at(75)), at(75));
    }

    #[test]
    fn what_nobody_sent_in_time_is_left_out_or_merged_or_made_up_for() {
        let run = |settings, now| taken(&mut Agenda::new([entry(60, settings)], at(0)), now);
        // Five minutes later, at half past.
        assert_eq!(run(missed(Missed::Once, None), 330), (vec![300], 4));
        assert_eq!(run(missed(Missed::Once, Some(20)), 330), (vec![], 5));
        assert_eq!(run(missed(Missed::All, Some(120)), 330), (vec![240, 300], 3 - 2));
        assert_eq!(run(missed(Missed::All, Some(3600)), 330), (vec![60, 120, 180, 240, 300], 0));
        // Of a rare run that is late, and of one that is missed.
        let rare = |late: u64| {
            let entry = entry(3600, missed(Missed::Skip, None));
            taken(&mut Agenda::new([entry], at(0)), 3600 + late)
        };
        assert_eq!(rare(59), (vec![3600], 0));
        assert_eq!(rare(61), (vec![], 1));
    }

    #[test]
    fn what_has_expired_when_its_time_comes_is_not_sent() {
        let expires = Some(Duration::from_secs(10));
        let settings = ScheduleSettings { expires, ..missed(Missed::Once, None) };
        let mut agenda = Agenda::new([entry(60, settings)], at(0));
        assert_eq!(taken(&mut agenda, 69), (vec![60], 0));
        assert_eq!(taken(&mut agenda, 130), (vec![], 1));
    }

    /// A clock set back, or a machine that woke with a wrong one.
    #[test]
    fn a_clock_that_goes_back_sends_nothing_twice() {
        let mut agenda = Agenda::new([entry(60, ScheduleSettings::default())], at(0));
        assert_eq!(taken(&mut agenda, 120), (vec![120], 1));
        assert_eq!(taken(&mut agenda, 0), (vec![], 0));
        assert_eq!(taken(&mut agenda, 121), (vec![], 0));
        assert_eq!(taken(&mut agenda, 180), (vec![180], 0));
    }

    #[test]
    fn years_of_missed_seconds_are_passed_over_at_once() {
        let mut agenda = Agenda::new([entry(1, missed(Missed::Once, None))], at(0));
        let years = 5 * 365 * 86_400;
        let begun = std::time::Instant::now();
        assert_eq!(taken(&mut agenda, years).0, [years]);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }

    #[test]
    fn more_than_fits_into_a_turn_comes_with_the_next() {
        let mut agenda = Agenda::new([entry(1, missed(Missed::All, Some(86_400)))], at(0));
        let now = at(2500);
        let mut dues = Vec::new();
        for expected in [1000, 1000, 500, 0] {
            let turn = agenda.take(now);
            assert_eq!(turn.runs.len(), expected);
            dues.extend(turn.runs.iter().map(|run| run.due));
            // Whoever takes over here goes on with the next.
            let last = *dues.last().unwrap();
            assert!(agenda.handled(now) >= last);
            assert_eq!(agenda.wake().unwrap(), last + Duration::from_secs(1));
        }
        assert!(dues.is_sorted());
    }

    #[test]
    fn jitter_puts_off_each_run_by_its_own_share() {
        let settings =
            ScheduleSettings { jitter: Some(MINUTE / 2), ..missed(Missed::All, Some(86_400)) };
        let entry = entry(60, settings);
        let shares: BTreeSet<Duration> = (0..50)
            .map(|minute| at(minute * 60))
            .map(|due| entry.sent_at(due).duration_since(due).unwrap())
            .collect();
        assert!(shares.len() > 45 && shares.iter().all(|share| *share <= MINUTE / 2));
        // Taken over between the time a run was due and the time it is sent, it is not lost.
        let due = at(600);
        let mut heir = Agenda::new([Arc::clone(&entry)], due);
        assert_eq!(heir.take(entry.sent_at(due)).runs[0].due, due);
    }

    #[test]
    fn an_entry_that_is_switched_off_is_never_due() {
        let settings = ScheduleSettings { enabled: Some(false), ..ScheduleSettings::default() };
        assert_eq!(Agenda::new([entry(60, settings)], at(0)).wake(), None);
    }

    proptest! {
        /// Looked at at any times, forwards and backwards, handed over at any of them.
        #[test]
        fn each_run_is_sent_once_however_time_passes(
            every in 1_u64..400,
            jitter in 0_u64..100,
            looks in prop::collection::vec((0_u64..5000, any::<bool>()), 1..40),
        ) {
            let jitter = Some(Duration::from_secs(jitter.min(every - 1)));
            let settings = ScheduleSettings { jitter, ..missed(Missed::All, Some(1_000_000)) };
            let entry = entry(every, settings);
            let mut agenda = Agenda::new([Arc::clone(&entry)], at(0));
            let mut handled = at(0);
            let mut sent = Vec::new();
            for (now, hand_over) in looks {
                let now = at(now);
                loop {
                    let turn = agenda.take(now);
                    if turn.runs.is_empty() {
                        break;
                    }
                    sent.extend(turn.runs.iter().map(|run| run.due));
                }
                handled = handled.max(agenda.handled(now));
                if hand_over {
                    agenda = Agenda::new([Arc::clone(&entry)], handled);
                }
            }
            let since = at(0) - entry.jitter;
            let expected: Vec<SystemTime> = entry
                .schedule
                .after(since)
                .filter(|due| entry.sent_at(*due) > at(0))
                .take_while(|due| entry.sent_at(*due) <= handled)
                .collect();
            prop_assert_eq!(sent, expected);
        }
    }
}
