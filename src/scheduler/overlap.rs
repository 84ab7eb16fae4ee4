//! A run that is due while the one before may not have ended: it is left out, or that one is
//! stopped for it.
//!
//! To stop a run is to revoke it. The leader revokes, then writes down which run comes in its place,
//! and then sends that one. So a successor knows each run that may be about, sent or not, and stops
//! it before it sends another; the run that it sends again has the same id and is not revoked.

use super::agenda::Run;
use super::send::{Sent, Unsent};
use super::state::{Running, State};
use super::status::Count;
use super::term::Term;
use crate::broker::PublishError;
use crate::control::{Reach, revoke};
use crate::ids::TaskId;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use tracing::{info, warn};

/// So many revocations are on their way at once.
const IN_FLIGHT: usize = 100;

/// What happens when a run is due and the one before may not have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhileRunning {
    /// It is sent.
    #[default]
    Send,
    /// It is left out; after so long without a word of the one before it is sent.
    LeaveOut(Duration),
    /// The one before is revoked, and stopped if it runs; then it is sent.
    StopPrevious,
}

/// Whether a run is sent, with the run before of which no end was heard.
#[derive(Debug, PartialEq)]
enum Admission {
    Sent,
    SentAfterSilence(TaskId),
    LeftOut(TaskId),
}

impl State {
    /// Whether `run` is sent now. If so it counts as running from here on, and not only when it is
    /// confirmed: another of the same turn is left out, and so is the next when the broker is slow.
    fn admit(&mut self, run: &Run, now: SystemTime) -> Admission {
        let WhileRunning::LeaveOut(limit) = run.entry.while_running else { return Admission::Sent };
        let name = &run.entry.name;
        let before = self.running.get(name).map(|running| (running.id.clone(), running.since));
        let turn = match before {
            None => Admission::Sent,
            Some((id, since)) if now.duration_since(since).unwrap_or_default() >= limit => {
                Admission::SentAfterSilence(id)
            }
            Some((id, _)) => return Admission::LeftOut(id),
        };
        self.running.insert(name.clone(), Running { id: run.id(), since: now });
        turn
    }

    /// The runs that are sent of `runs`, each with the run that is to be stopped for it. Of one
    /// schedule the last is sent; what is owed of those before it is owed no more.
    fn replace(&mut self, runs: impl IntoIterator<Item = Run>) -> Vec<(Run, Option<TaskId>)> {
        let mut last: BTreeMap<String, Run> = BTreeMap::new();
        for run in runs {
            let kept = last.entry(run.entry.name.clone()).or_insert_with(|| run.clone());
            if kept.due < run.due {
                *kept = run;
            }
        }
        self.owed.retain(|owed| last.get(&owed.schedule).is_none_or(|run| owed.due > run.due));
        let before = |run: &Run| {
            let id = self.running.get(&run.entry.name).map(|running| running.id.clone());
            id.filter(|id| *id != run.id())
        };
        last.into_values().map(|run| (run.clone(), before(&run))).collect()
    }
}

impl Term<'_> {
    /// Whether the run before has ended, where that keeps this one from being sent.
    pub(super) fn may_start(&mut self, run: &Run, now: SystemTime) -> bool {
        let schedule = &run.entry.name;
        match self.state.admit(run, now) {
            Admission::Sent => true,
            Admission::SentAfterSilence(id) => {
                warn!(schedule, %id, "nothing heard of this run, going on");
                true
            }
            Admission::LeftOut(running) => {
                info!(schedule, %running, "left out, the run before has not ended");
                self.scheduler.status.add(Count::Skipped, schedule, 1);
                false
            }
        }
    }

    /// Stops what runs before those of `runs` that ask for it. Returns what may be sent now: a run
    /// whose predecessor is not known to be revoked is owed instead.
    ///
    /// # Errors
    ///
    /// When it cannot be written down what comes next; the term ends then.
    pub(super) async fn stop_previous(
        &mut self,
        runs: Vec<Run>,
        now: SystemTime,
    ) -> Result<Vec<Run>, PublishError> {
        let stops = |run: &Run| run.entry.while_running == WhileRunning::StopPrevious;
        let (stopping, mut ready): (Vec<Run>, Vec<Run>) = runs.into_iter().partition(stops);
        if stopping.is_empty() {
            return Ok(ready);
        }
        let (broker, deadline) = (&self.broker, self.scheduler.settings.lease / 2);
        let revoking = self.state.replace(stopping).into_iter().map(|(run, before)| async move {
            let revoked = revoke(broker, before.clone(), Reach::Running, deadline).await;
            (run, before, revoked)
        });
        let revoked: Vec<_> =
            futures::stream::iter(revoking).buffer_unordered(IN_FLIGHT).collect().await;
        for (run, before, revoked) in revoked {
            if let Err(error) = revoked {
                let sent = match error.is_transient() {
                    true => Sent::Unconfirmed(Unsent::Revoke(error)),
                    false => Sent::Never(Unsent::Revoke(error)),
                };
                self.settle(&run, sent, now);
                continue;
            }
            if let Some(before) = before {
                info!(schedule = run.entry.name, id = %before, "the run before is stopped, the next is due");
                self.scheduler.status.add(Count::Stopped, &run.entry.name, 1);
            }
            let running = Running { id: run.id(), since: now };
            self.state.running.insert(run.entry.name.clone(), running);
            ready.push(run);
        }
        // Before they are sent, so that whoever takes over stops them, too.
        self.write().await?;
        Ok(ready)
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Entry;
    use super::super::settings::{Overlap, ScheduleSettings};
    use super::super::state::Owed;
    use super::*;
    use std::sync::Arc;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn run(due: u64) -> Run {
        let settings = ScheduleSettings {
            task: Some("t".to_owned()),
            every: Some(Duration::from_secs(1)),
            overlap: Some(Overlap::CancelPrevious),
            ..ScheduleSettings::default()
        };
        let entry = Entry::new("e", &settings, at(0)).unwrap();
        assert_eq!(entry.while_running, WhileRunning::StopPrevious);
        Run { entry: Arc::new(entry), due: at(due), planned: at(due) }
    }

    fn one_at_a_time(due: u64) -> Run {
        let settings = ScheduleSettings {
            overlap: Some(Overlap::Skip),
            overlap_limit: Some(Duration::from_secs(60)),
            task: Some("t".to_owned()),
            every: Some(Duration::from_secs(1)),
            ..ScheduleSettings::default()
        };
        let entry = Entry::new("e", &settings, at(0)).unwrap();
        Run { entry: Arc::new(entry), due: at(due), planned: at(due) }
    }

    /// The scheduler was held up, and two runs are due at once.
    #[test]
    fn of_two_runs_in_one_turn_the_second_is_left_out() {
        let mut state = State::new(at(0));
        let [first, second] = [10, 11].map(one_at_a_time);
        assert_eq!(state.admit(&first, at(11)), Admission::Sent);
        assert_eq!(state.admit(&second, at(11)), Admission::LeftOut(first.id()));
        assert_eq!(state.admit(&second, at(71)), Admission::SentAfterSilence(first.id()));
        assert_eq!(state.running["e"].id, second.id());
    }

    fn running(due: u64) -> Running {
        Running { id: run(due).id(), since: at(due) }
    }

    fn owed(due: u64) -> Owed {
        Owed { schedule: "e".to_owned(), due: at(due) }
    }

    /// When the run that is sent was due, and whom it replaces.
    fn replaced(state: &mut State, runs: &[u64]) -> Vec<(SystemTime, Option<TaskId>)> {
        let runs = state.replace(runs.iter().map(|due| run(*due)));
        runs.into_iter().map(|(run, before)| (run.due, before)).collect()
    }

    #[test]
    fn the_run_before_is_stopped_and_no_other() {
        let mut state = State::new(at(0));
        assert_eq!(replaced(&mut state, &[10]), [(at(10), None)]);
        state.running.insert("e".to_owned(), running(10));
        state.running.insert("other".to_owned(), running(9));
        assert_eq!(replaced(&mut state, &[20]), [(at(20), Some(run(10).id()))]);
    }

    /// A leader wrote down that the run of 20 comes next and died; the next one sends it, again if
    /// need be, and must not have revoked it.
    #[test]
    fn a_run_that_is_sent_again_is_not_stopped() {
        let mut state = State::new(at(0));
        state.running.insert("e".to_owned(), running(20));
        assert_eq!(replaced(&mut state, &[20]), [(at(20), None)]);
    }

    #[test]
    fn what_is_owed_of_a_run_that_is_replaced_is_not_sent() {
        let mut state = State::new(at(0));
        state.running.insert("e".to_owned(), running(10));
        state.owed = vec![owed(10), owed(30), Owed { schedule: "other".to_owned(), due: at(10) }];
        // The one of 10 was to be tried again just when that of 20 was due.
        assert_eq!(replaced(&mut state, &[20, 10]), [(at(20), Some(run(10).id()))]);
        let left: Vec<_> = state.owed.iter().map(|owed| (&*owed.schedule, owed.due)).collect();
        assert_eq!(left, [("e", at(30)), ("other", at(10))]);
    }
}
