//! The events, with the fields that Celery's have.

use crate::ids::TaskId;
use serde::Serialize;
use std::time::Duration;

/// What happened. The fields that all events have (who, when, in which order) are added when it is
/// told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum Event<'a> {
    /// A task was sent.
    #[serde(rename = "task-sent")]
    Sent(SentTask<'a>),
    /// A worker has the message of a task that it will run.
    #[serde(rename = "task-received")]
    Received(ReceivedTask<'a>),
    /// An attempt begins.
    #[serde(rename = "task-started")]
    Started {
        /// The task.
        uuid: &'a TaskId,
    },
    /// A task has returned a value.
    #[serde(rename = "task-succeeded")]
    Succeeded {
        /// The task.
        uuid: &'a TaskId,
        /// The value as Python shows it; nothing where it is not to be told.
        result: Option<String>,
        /// How long it ran, in seconds.
        #[serde(serialize_with = "seconds")]
        runtime: Duration,
    },
    /// A task has failed for good.
    #[serde(rename = "task-failed")]
    Failed {
        /// The task.
        uuid: &'a TaskId,
        /// The error as Python shows one.
        exception: String,
        /// The error with all that is known of it; nothing when no code of the task ran.
        #[serde(skip_serializing_if = "Option::is_none")]
        traceback: Option<String>,
    },
    /// An attempt has failed, or put itself off, and another will follow.
    #[serde(rename = "task-retried")]
    Retried {
        /// The task.
        uuid: &'a TaskId,
        /// Why.
        exception: String,
        /// The error with all that is known of it.
        traceback: String,
    },
    /// A task will not run, or was stopped, because somebody revoked it or its time has passed.
    #[serde(rename = "task-revoked")]
    Revoked {
        /// The task.
        uuid: &'a TaskId,
        /// Whether it ran.
        terminated: bool,
        /// The signal that stopped it, by its number.
        signum: Option<u8>,
        /// Whether its time had passed.
        expired: bool,
    },
    /// The message was not taken: the task refused it, or the worker gave it back.
    #[serde(rename = "task-rejected")]
    Rejected {
        /// The task.
        uuid: &'a TaskId,
        /// Whether it went back to its queue.
        requeue: bool,
    },
    /// A worker begins to consume.
    #[serde(rename = "worker-online")]
    Online(Load),
    /// A worker is alive.
    #[serde(rename = "worker-heartbeat")]
    Heartbeat(Load),
    /// A worker stops.
    #[serde(rename = "worker-offline")]
    Offline(Load),
}

/// A task on its way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SentTask<'a> {
    /// The task.
    pub uuid: &'a TaskId,
    /// The first of its workflow; itself, where there is none.
    pub root_id: &'a TaskId,
    /// The task that sent it.
    pub parent_id: Option<&'a TaskId>,
    /// The group that it is a member of. Ours; Celery does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
    /// The arguments as Python shows them.
    pub args: Option<String>,
    /// The named arguments as Python shows them.
    pub kwargs: Option<String>,
    /// Attempts already made.
    pub retries: u32,
    /// Not before, as ISO 8601.
    pub eta: Option<String>,
    /// Not after, as ISO 8601.
    pub expires: Option<String>,
    /// The queue it goes to, if the sender knows.
    pub queue: Option<&'a str>,
    /// The exchange it was published to.
    pub exchange: &'a str,
    /// And the routing key.
    pub routing_key: &'a str,
}

/// A task that has arrived.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReceivedTask<'a> {
    /// The task.
    pub uuid: &'a TaskId,
    /// Its name.
    pub name: &'a str,
    /// The arguments as Python shows them.
    pub args: Option<String>,
    /// The named arguments as Python shows them.
    pub kwargs: Option<String>,
    /// The first of its workflow; itself, where there is none.
    pub root_id: &'a TaskId,
    /// The task that sent it.
    pub parent_id: Option<&'a TaskId>,
    /// The group that it is a member of. Ours; Celery does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<&'a str>,
    /// Attempts already made.
    pub retries: u32,
    /// Not before, as ISO 8601.
    pub eta: Option<String>,
    /// Not after, as ISO 8601.
    pub expires: Option<String>,
    /// The queue it came from. Ours; Celery's workers do not tell.
    pub queue: &'a str,
}

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Load {
    /// Seconds from one heartbeat to the next. Who hears none for twice as long takes the worker
    /// for lost.
    pub freq: f64,
    /// Attempts that run now.
    pub active: u64,
    /// Attempts that have begun since it started.
    pub processed: u64,
    /// The machine's load over 1, 5 and 15 minutes.
    pub loadavg: [f64; 3],
    /// What it is: `celeriac`.
    pub sw_ident: &'static str,
    /// Its version.
    pub sw_ver: &'static str,
    /// Its operating system.
    pub sw_sys: &'static str,
    /// Events that this worker has dropped since it started. Ours; Celery's workers do not tell.
    pub events_dropped: u64,
}

impl Event<'_> {
    /// The routing key: events of tasks that workers tell come by the handful.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Sent(_) => "task.sent",
            Self::Online(_) => "worker.online",
            Self::Heartbeat(_) => HEARTBEAT,
            Self::Offline(_) => "worker.offline",
            _ => MULTI,
        }
    }
}

/// The routing key of a list of events of tasks.
pub(super) const MULTI: &str = "task.multi";

/// The routing key of a heartbeat.
pub(super) const HEARTBEAT: &str = "worker.heartbeat";

impl Load {
    /// The load of a worker that runs `active` attempts and has begun `processed`.
    pub fn now(heartbeat: Duration, active: u64, processed: u64, events_dropped: u64) -> Self {
        Self {
            freq: heartbeat.as_secs_f64(),
            active,
            processed,
            loadavg: load_average(),
            sw_ident: "celeriac",
            sw_ver: env!("CARGO_PKG_VERSION"),
            sw_sys: if cfg!(target_os = "linux") { "Linux" } else { std::env::consts::OS },
            events_dropped,
        }
    }
}

/// Zeros where the system does not tell.
fn load_average() -> [f64; 3] {
    let told = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut numbers = told.split(' ').map(|number| number.parse().unwrap_or_default());
    [(); 3].map(|()| numbers.next().unwrap_or_default())
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}
