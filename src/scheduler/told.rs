//! The ears of the leader: commands, and the ends of runs that must not overlap.

use super::command::{Answer, Command, Detail, Report, ScheduleReport};
use super::entry::Entry;
use super::refusal;
use super::status::Tally;
use super::term::Term;
use crate::broker::{AckPolicy, Broker, Consume, Deliveries, Delivery, PublishError, RawMessage};
use crate::clock::to_iso;
use crate::control::Pause;
use crate::control::leader::{Edited, RunCounts, commands_queue};
use crate::ids::TaskId;
use crate::protocol::Format;
use crate::protocol::HeaderValue::{Int, Text};
use crate::publisher::SendError;
use crate::topology::{Queue, names};
use crate::units::format_duration;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tracing::{info, warn};

/// So many runs are sent again, or shown, at once.
const MOST: usize = 1000;

/// What nobody takes for so long, in milliseconds, is of no use any more: a week.
const KEPT: i64 = 7 * 86_400_000;

/// What the leader is told.
pub(super) fn commands(broker: &Broker) -> Deliveries {
    ear(broker, commands_queue())
}

/// The ends of runs.
pub(super) fn ends(broker: &Broker) -> Deliveries {
    let arguments = [("x-queue-type", Text("quorum".to_owned())), ("x-message-ttl", Int(KEPT))];
    ear(broker, Queue::new(names::SCHEDULER_ENDED, arguments))
}

fn ear(broker: &Broker, queue: Queue) -> Deliveries {
    broker.consume(Consume {
        queue: queue.name.clone(),
        stream: None,
        declare: Some(queue.into()),
        repair: None,
        prefetch: 100,
        acks: AckPolicy { every: 1, within: Duration::from_millis(50) },
        tag: "scheduler".to_owned(),
    })
}

/// Answers whoever gave a command. Nobody waiting any more is no failure.
pub(super) async fn answer(
    broker: &Broker,
    command: &Delivery,
    answer: &impl Serialize,
    deadline: Duration,
) {
    let properties = RawMessage::from(command).properties();
    let (Some(queue), Some(id)) = (properties.reply_to, properties.correlation_id) else { return };
    let body = match serde_json::to_vec(answer) {
        Ok(body) => body,
        Err(error) => return warn!(%error, "an answer that has no JSON"),
    };
    let message = RawMessage::reply(&queue, &TaskId::from(id), Format::Json, body.into());
    if let Err(error) = broker.publish(Arc::new(message), deadline).await {
        warn!(%error, "a command is not answered");
    }
}

impl Term<'_> {
    /// Does what it is told.
    ///
    /// # Errors
    ///
    /// When what has changed cannot be written down; the term ends then.
    pub(super) async fn obey(&mut self, command: Command) -> Result<Answer, PublishError> {
        let name = match &command {
            Command::Status => return Ok(Answer::Status(Box::new(self.report()))),
            Command::Show { schedule, .. }
            | Command::Run { schedule }
            | Command::Backfill { schedule, .. }
            | Command::Pause { schedule, .. }
            | Command::Resume { schedule }
            | Command::Edit { schedule, .. }
            | Command::Reset { schedule } => schedule.clone(),
        };
        if self.entries.get(&name).is_none() {
            let leader = &self.state.leader;
            return Ok(Answer::Refused(format!("{leader}, which leads, has no schedule `{name}`")));
        }
        let now = self.scheduler.clock.now();
        match command {
            Command::Status => {}
            Command::Show { runs, .. } => return Ok(self.detail(&name, runs.min(MOST), now)),
            Command::Run { .. } => return Ok(self.send_now(&name, now).await),
            Command::Backfill { from, to, .. } => {
                return Ok(self.send_again(&name, from, to.min(now)).await);
            }
            Command::Pause { by, reason, .. } => {
                info!(schedule = name, by, reason, "paused");
                self.state.paused.insert(name, Pause { by, at: now, reason });
            }
            Command::Resume { .. } => {
                info!(schedule = name, "resumed");
                self.state.paused.remove(&name);
            }
            Command::Edit { settings, by, .. } => {
                if let Err(errors) = self.entries.edited(&name, &settings, now) {
                    return Ok(Answer::Refused(refusal::words(&errors, &settings)));
                }
                info!(schedule = name, by, "edited");
                self.state.edited.insert(name.clone(), Edited { by, at: to_iso(now) });
                self.state.edits.insert(name, *settings);
            }
            Command::Reset { .. } => {
                info!(schedule = name, "as in the file again");
                self.state.edits.remove(&name);
                self.state.edited.remove(&name);
            }
        }
        self.plan(now);
        self.write().await?;
        Ok(Answer::Done)
    }

    /// The entry with what somebody changed in it, paused or not.
    fn entry(&self, name: &str, now: SystemTime) -> Option<Arc<Entry>> {
        let entry = self.entries.get(name)?;
        let edit = self.state.edits.get(name);
        let edited = edit.and_then(|edit| self.entries.edited(name, edit, now).ok());
        Some(edited.map_or_else(|| Arc::clone(entry), Arc::new))
    }

    async fn send_now(&self, name: &str, now: SystemTime) -> Answer {
        let Some(entry) = self.entry(name, now) else { return gone(name) };
        info!(schedule = name, "a run of its own, by hand");
        match entry.send_now(self.publisher(), now, self.deadline()).await {
            Ok(run) => Answer::Sent(vec![run]),
            Err(error) => refused(&error),
        }
    }

    async fn send_again(&self, name: &str, from: SystemTime, to: SystemTime) -> Answer {
        let Some(entry) = self.entry(name, to) else { return gone(name) };
        let dues = match entry.dues(from, to, MOST) {
            Ok(dues) => dues,
            Err(error) => return Answer::Refused(format!("{error}; choose a shorter span")),
        };
        info!(schedule = name, runs = dues.len(), "runs are sent again, by hand");
        match entry.send_again(self.publisher(), &dues, self.deadline()).await {
            Ok(runs) => Answer::Sent(runs),
            Err(error) => refused(&error),
        }
    }

    fn detail(&self, name: &str, runs: usize, now: SystemTime) -> Answer {
        let Some(entry) = self.entry(name, now) else { return gone(name) };
        let next = self.agenda.coming().find(|(entry, _)| entry.name == name);
        let counts = self.scheduler.status.by_schedule().get(name).map(Tally::runs);
        let report = self.report_of(&entry, next.map(|(_, due)| due), counts);
        Answer::Shown(Box::new(Detail {
            report,
            args: entry.args.clone(),
            kwargs: entry.kwargs.clone(),
            expires: entry.expires.map(format_duration),
            jitter: Some(entry.jitter).filter(|jitter| !jitter.is_zero()).map(format_duration),
            overlap: entry.overlap_words(),
            missed: entry.missed_words(),
            past: entry.past(now, runs),
        }))
    }

    fn report(&self) -> Report {
        let coming = self.agenda.coming().map(|(entry, due)| (entry.name.as_str(), due));
        let coming: HashMap<&str, SystemTime> = coming.collect();
        let counts = self.scheduler.status.by_schedule();
        let now = self.scheduler.clock.now();
        let schedules = self.entries.iter().filter_map(|entry| {
            let name = &entry.name;
            let counts = counts.get(name).map(Tally::runs);
            let entry = self.entry(name, now)?;
            let report = self.report_of(&entry, coming.get(name.as_str()).copied(), counts);
            Some((name.clone(), report))
        });
        Report {
            leader: self.state.leader.clone(),
            term: self.state.term,
            since: to_iso(self.since),
            sent: self.sent,
            schedules: schedules.collect(),
        }
    }

    fn report_of(
        &self,
        entry: &Entry,
        next: Option<SystemTime>,
        runs: Option<RunCounts>,
    ) -> ScheduleReport {
        let name = &entry.name;
        let last = self.last.get(name).copied();
        let edit = self.state.edits.get(name).cloned().map(Box::new);
        let in_file = self.entries.get(name).filter(|_| edit.is_some());
        ScheduleReport {
            words: entry.schedule.words(),
            task: entry.task.clone(),
            is_off: !entry.enabled,
            next: next.map(to_iso),
            last: last.map(to_iso),
            last_id: last.map(|due| entry.id(due).to_string()),
            runs: runs.unwrap_or_default(),
            running: self.state.running.get(name).map(|running| running.id.to_string()),
            paused: self.state.paused.get(name).cloned(),
            edited: self.state.edited.get(name).cloned(),
            in_file: in_file.map(|entry| entry.schedule.words()),
            edit,
        }
    }
}

fn gone(name: &str) -> Answer {
    Answer::Refused(format!("there is no schedule `{name}`"))
}

fn refused(error: &SendError) -> Answer {
    Answer::Refused(format!("not all is sent: {error}"))
}
