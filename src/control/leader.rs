//! The scheduler that leads: what it is told and asked, and what it answers, as JSON through a queue.
//!
//! The settings of a schedule are whatever the scheduler takes for them; to others they are JSON.

use super::AskError;
use super::Pause;
use crate::broker::{AckPolicy, Broker, Consume, Deliveries, RawMessage};
use crate::clock::iso;
use crate::ids::TaskId;
use crate::protocol::{EncodeError, HeaderValue::Text, Properties};
use crate::topology::{Queue, Topology, names};
use futures::StreamExt;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// How long a queue of answers is kept that nobody consumes, in milliseconds.
const KEPT: i64 = 60_000;

/// Something for the scheduler that leads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Command<S = Value> {
    /// Tell what you know.
    Status,
    /// Tell everything of one schedule.
    Show {
        /// The schedule.
        schedule: String,
        /// So many of its last runs, at most 1000.
        runs: usize,
    },
    /// Send a run now, besides those that are due.
    Run {
        /// The schedule.
        schedule: String,
    },
    /// Send the runs again that were due after `from`, up to `to`.
    Backfill {
        /// The schedule.
        schedule: String,
        /// Later than this.
        #[serde(with = "iso")]
        from: SystemTime,
        /// Up to this; nothing that is still to come.
        #[serde(with = "iso")]
        to: SystemTime,
    },
    /// Send nothing of this schedule until it is resumed.
    Pause {
        /// The schedule.
        schedule: String,
        /// Who says so.
        by: String,
        /// Why; may be empty.
        #[serde(default)]
        reason: String,
    },
    /// Go on with this schedule. What was due meanwhile is left out.
    Resume {
        /// The schedule.
        schedule: String,
    },
    /// Use these settings on top of those in the files.
    Edit {
        /// The schedule.
        schedule: String,
        /// Who says so.
        #[serde(default)]
        by: String,
        /// What is different.
        settings: Box<S>,
    },
    /// Use the settings of the files again.
    Reset {
        /// The schedule.
        schedule: String,
    },
}

impl<S: Serialize> Command<S> {
    /// What it is called in the audit.
    pub(crate) fn action(&self) -> &'static str {
        match self {
            Self::Status => "ask for schedules",
            Self::Show { .. } => "show schedule",
            Self::Run { .. } => "run schedule",
            Self::Backfill { .. } => "backfill schedule",
            Self::Pause { .. } => "pause schedule",
            Self::Resume { .. } => "resume schedule",
            Self::Edit { .. } => "edit schedule",
            Self::Reset { .. } => "reset schedule",
        }
    }

    /// How, without what the audit says elsewhere: what is done, to which schedule, and by whom.
    pub(crate) fn arguments(&self) -> Value {
        let mut arguments = serde_json::to_value(self).unwrap_or_default();
        if let Value::Object(map) = &mut arguments {
            for said_elsewhere in ["command", "schedule", "by"] {
                map.remove(said_elsewhere);
            }
        }
        arguments
    }
}

/// What the leader says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer<S = Value> {
    /// What it knows.
    Status(Box<Report<S>>),
    /// What it knows of one schedule.
    Shown(Box<Detail<S>>),
    /// These runs are sent: the broker has confirmed them.
    Sent(Vec<PastRun>),
    /// It is done, and kept.
    Done,
    /// It is not done, and why.
    Refused(String),
}

/// What the leader knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report<S = Value> {
    /// Its name.
    pub leader: String,
    /// Which leader it is, counted from 1.
    pub term: u64,
    /// Since when it leads, as ISO 8601.
    pub since: String,
    /// Runs sent in this term.
    pub sent: u64,
    /// The schedules it has, by name.
    pub schedules: BTreeMap<String, ScheduleReport<S>>,
}

/// What the leader knows of one schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
pub struct ScheduleReport<S = Value> {
    /// When it is due, in words.
    #[serde(default)]
    pub words: String,
    /// The task that it sends.
    #[serde(default)]
    pub task: String,
    /// Whether its file has it switched off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_off: bool,
    /// When it is due next, as ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// When the last run that this leader sent was due, as ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// The id of that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_id: Option<String>,
    /// What became of its runs since this scheduler started.
    #[serde(default)]
    pub runs: RunCounts,
    /// Whether it waits for the end of a run, and of which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<String>,
    /// Who stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// What is different from the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<Box<S>>,
    /// Who made it different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Edited>,
    /// When it is due by its file, in words, where something is different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_file: Option<String>,
}

/// Who made a schedule different from its file, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edited {
    /// Who.
    pub by: String,
    /// When, as ISO 8601.
    pub at: String,
}

/// How often something became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RunCounts {
    /// The broker has confirmed it.
    pub sent: u64,
    /// Left out: nobody could send it in time, or another stood for it.
    pub missed: u64,
    /// Left out: the one before had not ended.
    pub skipped: u64,
    /// It cannot be sent.
    pub failed: u64,
}

/// Everything about one schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Detail<S = Value> {
    /// What the list has.
    pub report: ScheduleReport<S>,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments.
    pub kwargs: Map<String, Value>,
    /// How long after it was due a run is worth starting.
    pub expires: Option<String>,
    /// Each run is sent up to this much later.
    pub jitter: Option<String>,
    /// What happens when the run before may not have ended, in words.
    pub overlap: String,
    /// What happens to runs that nobody sent in time, in words.
    pub missed: String,
    /// Runs that were due, the last first, whether they were sent or not.
    pub past: Vec<PastRun>,
}

/// A run that was due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PastRun {
    /// The id of its task.
    pub id: String,
    /// When it was due, as ISO 8601.
    pub due: String,
}

impl<S> Default for Report<S> {
    fn default() -> Self {
        let (leader, since, schedules) = (String::new(), String::new(), BTreeMap::new());
        Self { leader, term: 0, since, sent: 0, schedules }
    }
}

impl<S> Default for ScheduleReport<S> {
    fn default() -> Self {
        Self {
            words: String::new(),
            task: String::new(),
            is_off: false,
            next: None,
            last: None,
            last_id: None,
            runs: RunCounts::default(),
            running: None,
            paused: None,
            edit: None,
            edited: None,
            in_file: None,
        }
    }
}

/// The queue of commands, as both ends declare it.
pub(crate) fn commands_queue() -> Queue {
    Queue::new(names::SCHEDULER_COMMANDS, [("x-queue-type", Text("quorum".to_owned()))])
}

/// Gives a command to the scheduler that leads and waits for its answer. A command that nobody takes
/// within `patience` is not carried out later.
///
/// ```no_run
/// # async fn example(broker: celeriac::broker::Broker) -> anyhow::Result<()> {
/// use celeriac::control::leader::{Answer, Command, ask};
/// use std::time::Duration;
///
/// let status: Answer = ask(&broker, &Command::Status, Duration::from_secs(5)).await?;
/// if let Answer::Status(report) = status {
///     println!("{} leads {} schedules", report.leader, report.schedules.len());
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// See [`AskError`]; when no scheduler leads [`AskError::Silence`].
pub async fn ask<S: Serialize + DeserializeOwned>(
    broker: &Broker,
    command: &Command<S>,
    patience: Duration,
) -> Result<Answer<S>, AskError> {
    broker.declare(&Topology { queues: vec![commands_queue()], ..Topology::default() }).await?;
    let id = TaskId::random();
    let (queue, mut answers) = answers(broker, &id);
    answers.opened().await;
    let to = ("", names::SCHEDULER_COMMANDS);
    let message = Arc::new(message(to, command, &id, &queue, patience)?);
    let answered = async {
        broker.publish(message, patience).await?;
        match answers.next().await {
            Some(answer) => Ok(serde_json::from_slice(&answer.body)?),
            None => Err(AskError::Silence(patience)),
        }
    };
    let answer = timeout(patience, answered).await.unwrap_or(Err(AskError::Silence(patience)));
    // Goes by itself if not now.
    let _ = broker.delete_queue(&queue).await;
    answer
}

/// A queue for the answers to the question `id`, and those that come.
pub(super) fn answers(broker: &Broker, id: &TaskId) -> (String, Deliveries) {
    let queue = format!("celeriac.reply.{id}");
    let answers = broker.consume(Consume {
        stream: None,
        declare: Some(Queue::new(&queue, [("x-expires", KEPT.into())]).into()),
        repair: None,
        queue: queue.clone(),
        prefetch: 1,
        acks: AckPolicy { every: 1, within: Duration::from_millis(50) },
        tag: "answers".to_owned(),
    });
    (queue, answers)
}

/// A question for an exchange and a key, which is of no use after `patience`.
pub(super) fn message(
    (exchange, key): (&str, &str),
    command: &impl Serialize,
    id: &TaskId,
    reply_to: &str,
    patience: Duration,
) -> Result<RawMessage, EncodeError> {
    let body = serde_json::to_vec(command)
        .map_err(|error| EncodeError { format: "JSON", message: error.to_string() })?;
    let properties = Properties {
        content_type: Some("application/json".to_owned()),
        correlation_id: Some(id.to_string()),
        reply_to: Some(reply_to.to_owned()),
        expiration: Some(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX)),
        persistent: true,
        ..Properties::default()
    };
    RawMessage::try_from_parts(exchange, key, &properties, BTreeMap::new(), body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_a_scheduler_of_before_is_read() {
        let report = r#"{"leader": "s@h", "term": 1, "since": "", "sent": 0,
            "schedules": {"a": {"next": "2026-11-25T13:12:25+00:00"}}}"#;
        let report: Report = serde_json::from_str(report).unwrap();
        assert_eq!(report.schedules["a"].runs, RunCounts::default());
    }

    #[test]
    fn settings_are_json_to_who_does_not_know_them() {
        let text = r#"{"command": "edit", "schedule": "a", "settings": {"every": "5s"}}"#;
        let command: Command = serde_json::from_str(text).unwrap();
        let Command::Edit { settings, .. } = &command else { panic!("{command:?}") };
        assert_eq!(settings["every"], "5s");
        assert_eq!(
            serde_json::from_str::<Command>(&serde_json::to_string(&command).unwrap()).unwrap(),
            command
        );
    }
}
