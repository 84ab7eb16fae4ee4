//! Runs that somebody wants besides those that are due: one now, those of a span of time again.
//!
//! The leader sends them when it is told to, and the command line without a leader; both by this.

use super::entry::{Entry, MissedRuns};
use super::overlap::WhileRunning;
use crate::clock::to_iso;
use crate::control::leader::PastRun;
use crate::ids::TaskId;
use crate::publisher::{Publisher, SendError};
use crate::units::format_duration;
use futures::{StreamExt, TryStreamExt};
use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

/// So many runs are on their way at once.
const IN_FLIGHT: usize = 100;

/// Runs that were due longer ago are not looked for.
const LONG_AGO: Duration = Duration::from_secs(400 * 86_400);

/// More runs than were wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these are more than {0} runs")]
pub struct TooMany(pub usize);

impl Entry {
    /// The runs that were due after `from`, up to `to`.
    ///
    /// # Errors
    /// When these are more than `most`.
    pub fn dues(
        &self,
        from: SystemTime,
        to: SystemTime,
        most: usize,
    ) -> Result<Vec<SystemTime>, TooMany> {
        let dues = self.schedule.after(from).take_while(|due| *due <= to);
        let dues: Vec<SystemTime> = dues.take(most.saturating_add(1)).collect();
        if dues.len() > most { Err(TooMany(most)) } else { Ok(dues) }
    }

    /// The last runs that were due up to `now`, the last first, at most `most`.
    pub fn past(&self, now: SystemTime, most: usize) -> Vec<PastRun> {
        let mut span = Duration::from_secs(60);
        loop {
            let from = now.checked_sub(span).unwrap_or(SystemTime::UNIX_EPOCH);
            let mut last = VecDeque::new();
            for due in self.schedule.after(from).take_while(|due| *due <= now) {
                if last.len() == most {
                    last.pop_back();
                }
                last.push_front(due);
            }
            if last.len() >= most || span >= LONG_AGO {
                return last.into_iter().take(most).map(|due| self.run_of(due)).collect();
            }
            span *= 4;
        }
    }

    /// The run that is due at `due`.
    pub fn run_of(&self, due: SystemTime) -> PastRun {
        PastRun { id: self.id(due).to_string(), due: to_iso(due) }
    }

    /// Sends a run of its own, which has an id of its own: that of this moment may come as well.
    ///
    /// # Errors
    /// When the broker has not confirmed it within `deadline`.
    pub async fn send_now(
        &self,
        publisher: &Publisher,
        now: SystemTime,
        deadline: Duration,
    ) -> Result<PastRun, SendError> {
        let options = self.call(now).id(TaskId::random()).deadline(deadline);
        let sent = publisher.send(&self.task, &self.args, &self.kwargs, options).await?;
        Ok(PastRun { id: sent.id.to_string(), due: to_iso(now) })
    }

    /// Sends these runs again, under the ids they have. What was sent already is recognisably the same.
    ///
    /// # Errors
    /// When the broker has not confirmed one of them within `deadline`; others may have been sent.
    pub async fn send_again(
        &self,
        publisher: &Publisher,
        dues: &[SystemTime],
        deadline: Duration,
    ) -> Result<Vec<PastRun>, SendError> {
        let sending = dues.iter().copied().map(|due| async move {
            let options = self.call(due).deadline(deadline);
            publisher.send(&self.task, &self.args, &self.kwargs, options).await?;
            Ok(self.run_of(due))
        });
        futures::stream::iter(sending).buffered(IN_FLIGHT).try_collect().await
    }

    /// What happens when a run is due and the one before may not have ended, in words.
    pub fn overlap_words(&self) -> String {
        match self.while_running {
            WhileRunning::Send => "allow".to_owned(),
            WhileRunning::LeaveOut(limit) => {
                format!("skip, for at most {}", format_duration(limit))
            }
            WhileRunning::StopPrevious => "cancel_previous".to_owned(),
        }
    }

    /// What happens to runs that nobody sent in time, in words.
    pub fn missed_words(&self) -> String {
        match self.missed {
            MissedRuns::Last(Duration::MAX) => "the last is sent".to_owned(),
            MissedRuns::Last(within) => {
                format!("the last is sent, up to {} late", format_duration(within))
            }
            MissedRuns::Each(within) => {
                format!("each is sent, up to {} late", format_duration(within))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::parse_iso;

    fn entry(lines: &str) -> Entry {
        let settings = toml::from_str(&format!("task = \"t\"\n{lines}")).unwrap();
        Entry::new("e", &settings, SystemTime::UNIX_EPOCH).unwrap()
    }

    fn at(text: &str) -> SystemTime {
        parse_iso(text).unwrap()
    }

    #[test]
    fn the_last_runs_are_found_however_rare_they_are() {
        let now = at("2026-11-25T12:00:30Z");
        for (lines, newest, oldest) in [
            ("every = \"10s\"", "2026-11-25T12:00:30", "2026-11-25T12:00:10"),
            ("cron = \"0 3 * * *\"", "2026-11-25T03:00:00", "2026-11-23T03:00:00"),
            ("cron = \"0 3 1 * *\"", "2026-11-01T03:00:00", "2026-09-01T03:00:00"),
        ] {
            let past = entry(lines).past(now, 3);
            assert_eq!(past.len(), 3, "{lines}");
            assert!(past[0].due.starts_with(newest) && past[2].due.starts_with(oldest), "{past:?}");
        }
        assert_eq!(entry("at = \"2026-12-01T00:00:00Z\"").past(now, 3), []);
        let once = entry("at = \"2026-11-01T00:00:00Z\"");
        assert_eq!(once.past(now, 3), [once.run_of(at("2026-11-01T00:00:00Z"))]);
    }

    #[test]
    fn no_more_runs_are_sent_again_than_were_wanted() {
        let entry = entry("cron = \"0 3 * * *\"");
        let (from, to) = (at("2026-11-01T03:00:00Z"), at("2026-11-03T03:00:00Z"));
        assert_eq!(entry.dues(from, to, 2).unwrap().len(), 2, "later than `from`, up to `to`");
        assert_eq!(entry.dues(from, to, 1), Err(TooMany(1)));
    }
}
