//! The ears of the leader: commands, and the ends of runs that must not overlap.

use super::command::{Answer, Command, Report, ScheduleReport};
use super::term::Term;
use crate::broker::{AckPolicy, Broker, Consume, Deliveries, Delivery, PublishError, RawMessage};
use crate::clock::to_iso;
use crate::control::Pause;
use crate::ids::TaskId;
use crate::protocol::Format;
use crate::protocol::HeaderValue::{Int, Text};
use crate::topology::{Queue, names};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tracing::{info, warn};

/// What nobody takes for so long, in milliseconds, is of no use any more: a week.
const KEPT: i64 = 7 * 86_400_000;

/// What the leader is told.
pub(super) fn commands(broker: &Broker) -> Deliveries {
    ear(broker, commands_queue())
}

/// The queue of commands, as whoever gives one declares it too.
pub(super) fn commands_queue() -> Queue {
    Queue::new(names::SCHEDULER_COMMANDS, [("x-queue-type", Text("quorum".to_owned()))])
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
    answer: &Answer,
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
            Command::Pause { schedule, .. }
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
            Command::Pause { by, reason, .. } => {
                info!(schedule = name, by, reason, "paused");
                self.state.paused.insert(name, Pause { by, at: now, reason });
            }
            Command::Resume { .. } => {
                info!(schedule = name, "resumed");
                self.state.paused.remove(&name);
            }
            Command::Edit { settings, .. } => {
                if let Err(errors) = self.entries.edited(&name, &settings, now) {
                    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
                    return Ok(Answer::Refused(errors.join("\n")));
                }
                info!(schedule = name, "edited");
                self.state.edits.insert(name, *settings);
            }
            Command::Reset { .. } => {
                info!(schedule = name, "as in the file again");
                self.state.edits.remove(&name);
            }
        }
        self.plan(now);
        self.write().await?;
        Ok(Answer::Done)
    }

    fn report(&self) -> Report {
        let coming = self.agenda.coming().map(|(entry, due)| (entry.name.as_str(), due));
        let coming: HashMap<&str, SystemTime> = coming.collect();
        let schedules = self.entries.iter().map(|entry| {
            let name = &entry.name;
            let report = ScheduleReport {
                next: coming.get(name.as_str()).copied().map(to_iso),
                last: self.last.get(name).copied().map(to_iso),
                running: self.state.running.get(name).map(|running| running.id.to_string()),
                paused: self.state.paused.get(name).cloned(),
                edit: self.state.edits.get(name).cloned().map(Box::new),
            };
            (name.clone(), report)
        });
        Report {
            leader: self.state.leader.clone(),
            term: self.state.term,
            since: to_iso(self.since),
            sent: self.sent,
            schedules: schedules.collect(),
        }
    }
}
