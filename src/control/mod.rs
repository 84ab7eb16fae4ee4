//! Remote control: what workers are told and asked from elsewhere.
//!
//! A [`Request`] goes to every node through Celery's exchange `celery.pidbox`; those that it is for
//! do what it says, and each sends a [`Reply`]. Both are Celery's, so that `celery inspect` and
//! `celery control` reach our workers, and we reach Celery's. What a command does is known to
//! [`crate::worker`] alone.
//!
//! A revocation says that a task shall not run. It is published into the stream
//! [`names::REVOKED`], which keeps it for seven days, and every
//! worker reads that stream: from its beginning when it starts, and on for as long as it runs. So a
//! revocation outlives the restart of any worker and of the broker, and reaches a task that still
//! waits in a queue, in the delay ladder or for a retry.
//!
//! A queue is paused in the same way: the stream [`names::PAUSED`] says which queues nobody shall
//! consume, until somebody resumes them.

pub(crate) mod audit;
mod caller;
pub mod leader;
pub(crate) mod mailbox;
mod pause;
mod paused;
mod pauses;
mod recipients;
mod records;
mod reply;
mod request;
mod revoke;
mod revoked;
mod standby;

pub use caller::{Answers, AskError, Caller};
pub use pause::{Heeded, PAUSES, PauseError, Told, pause, pauses, resume};
pub(crate) use pause::{PAUSABLE, PAUSED_HERE};
pub(crate) use paused::Paused;
pub use pauses::{Pause, Pauses};
pub use recipients::{Recipients, Unclear};
pub use reply::Reply;
pub use request::{Arguments, BadRequest, ReplyTo, Request};
pub use revoke::{RevokeError, Stamps, revoke, revoke_stamped};
pub(crate) use revoked::{Revoked, caught_up};
pub(crate) use standby::{Present, ear as standby_ear, line as scheduler_line};
pub use standby::{Standby, Standbys, standbys};

use crate::broker::RawMessage;
use crate::ids::TaskId;
use crate::protocol::HeaderValue;
use crate::topology::{Topology, names};
use records::Kept;

/// How far a revocation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Reach {
    /// A task that has not begun will not begin. One that runs goes on; if it fails, it is not
    /// tried again.
    #[default]
    NotBegun,
    /// A task that runs is stopped, too: its cancellation token is cancelled, and half a second
    /// later its future is dropped or its program killed. A blocking function cannot be stopped;
    /// what it returns is thrown away.
    Running,
}

/// One record of the stream.
#[derive(Debug, Clone, PartialEq)]
enum Record {
    /// A task shall not run.
    Revoked(TaskId, Reach),
    /// No task shall run that bears this stamp with this value.
    Stamped(String, String, Reach),
}

const ID: &str = "celeriac-revoked-id";
const STAMP: &str = "celeriac-revoked-stamp";
const VALUE: &str = "celeriac-revoked-value";
const TERMINATE: &str = "celeriac-revoked-terminate";

/// The stream of revocations.
const STREAM: Kept =
    Kept { stream: names::REVOKED, topology: Topology::revocations, mark: "celeriac-revoked-mark" };

impl Record {
    fn message(&self) -> RawMessage {
        let headers = match self {
            Self::Revoked(id, reach) => vec![
                (ID, HeaderValue::Text(id.to_string())),
                (TERMINATE, HeaderValue::Bool(*reach == Reach::Running)),
            ],
            Self::Stamped(stamp, value, reach) => vec![
                (STAMP, HeaderValue::Text(stamp.clone())),
                (VALUE, HeaderValue::Text(value.clone())),
                (TERMINATE, HeaderValue::Bool(*reach == Reach::Running)),
            ],
        };
        RawMessage::note(names::REVOKED, headers)
    }

    /// `None` for what is no record of ours.
    fn read(message: &RawMessage) -> Option<Self> {
        let reach = match message.header(TERMINATE) {
            HeaderValue::Bool(true) => Reach::Running,
            _ => Reach::NotBegun,
        };
        if let Some(stamp) = message.text_header(STAMP) {
            return Some(Self::Stamped(stamp, message.text_header(VALUE)?, reach));
        }
        let id = TaskId::from(message.text_header(ID)?);
        Some(Self::Revoked(id, reach))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let records = [
            Record::Revoked("a".to_owned().into(), Reach::NotBegun),
            Record::Revoked("b".to_owned().into(), Reach::Running),
            Record::Stamped("customer".to_owned(), "acme".to_owned(), Reach::Running),
        ];
        for record in records {
            assert_eq!(Record::read(&record.message()), Some(record));
        }
        assert_eq!(Record::read(&RawMessage::note("e", [])), None);
    }
}
