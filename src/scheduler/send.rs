//! Sends one run.

use super::agenda::Run;
use super::entry::Entry;
use super::overlap::WhileRunning;
use crate::clock::{Clock, to_iso};
use crate::control::RevokeError;
use crate::publisher::{Publisher, SendError, SendOptions};
use crate::topology::names;
use std::time::{Duration, SystemTime};

/// The header that tells a task when its run was due, as ISO 8601.
pub const DUE: &str = "celeriac-due";

/// The header that tells which leader sent a run.
pub const TERM: &str = "celeriac-term";

/// Celery's header for what its own scheduler sends.
const BEAT: &str = "celery_beat_task";

/// The header that names the schedule, as django-celery-beat has it.
const NAME: &str = "periodic_task_name";

/// What became of one run.
#[derive(Debug)]
pub(super) enum Sent {
    /// The broker has it, since this time.
    At(SystemTime),
    /// The broker did not say so in time.
    Unconfirmed(Unsent),
    /// It can never be sent.
    Never(Unsent),
}

/// Why a run is not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsent {
    /// Its message.
    #[error(transparent)]
    Send(SendError),
    /// The run before may still be about.
    #[error("the run before is not stopped: {0}")]
    Revoke(RevokeError),
}

/// Sends a run as the leader of `term`.
pub(super) async fn send(
    publisher: &Publisher,
    run: &Run,
    term: u64,
    deadline: Duration,
    clock: &dyn Clock,
) -> Sent {
    let entry = &run.entry;
    let mut options = entry.call(run.due).header(TERM, i64::try_from(term).unwrap_or(i64::MAX));
    if let Some(wait) = entry.expires {
        options = options.expires_at(run.due + wait);
    }
    if entry.while_running != WhileRunning::Send {
        options = options.reply_to(names::SCHEDULER_ENDED);
    }
    let options = options.deadline(deadline);
    match publisher.send(&entry.task, &entry.args, &entry.kwargs, options).await {
        Ok(_) => Sent::At(clock.now()),
        Err(error) if error.is_transient() || error.is_fenced() => {
            Sent::Unconfirmed(Unsent::Send(error))
        }
        Err(error) => Sent::Never(Unsent::Send(error)),
    }
}

impl Entry {
    /// The options of the run that is due at `due`, whoever sends it: without an expiry.
    pub fn call(&self, due: SystemTime) -> SendOptions {
        self.options
            .clone()
            .id(self.id(due))
            .header(BEAT, true)
            .header(NAME, self.name.as_str())
            .header(DUE, to_iso(due))
    }
}
