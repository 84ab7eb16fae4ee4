//! Uniqueness: of all calls with one key within a window, one is sent.
//!
//! The lock is a queue that never holds a message. Its name is made from the key, `x-expires` is
//! the window, and an argument holds the id of the task that has the lock. RabbitMQ creates a queue
//! for exactly one of those who declare it at once; everybody else with another id is refused, and
//! told the argument that differs: the id of the first. Declaring with the same id again changes
//! nothing, so whoever does not know whether it has the lock asks again. See
//! `docs/decisions/0016-unique-tasks.md` for what each crash leaves behind.

use super::{Prepared, Publisher, SendError, Sent};
use crate::broker::DeclareError;
use crate::ids::TaskId;
use crate::protocol::HeaderValue::{self, Int, Text};
use crate::topology::{Queue, names};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tracing::debug;

/// The argument that holds the id. The queue has no dead letters, so it means nothing else.
const HOLDER: &str = "x-dead-letter-routing-key";

/// The window of a call that names none.
const WINDOW: Duration = Duration::from_secs(3600);

/// RabbitMQ lets a queue expire within so many milliseconds.
const LONGEST_WINDOW: u64 = u32::MAX as u64;

/// So many bytes of an id fit twice into RabbitMQ's refusal, which has 255 bytes for everything.
const LONGEST_ID: usize = 40;

/// How often a lock of another window is asked for again.
const TRIES: usize = 4;

/// Whether a task was sent, or one of its key was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UniqueOutcome {
    /// It was sent.
    #[default]
    New,
    /// Another of the same key was sent before, within the window, and this one was not.
    Duplicate,
}

/// Why it could not be told whether a task is the only one of its key. It was not sent.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UniqueError {
    /// The window is not one that RabbitMQ can keep.
    #[error("a window of {0:?} for a unique task: it must be from 1ms to 49 days")]
    Window(Duration),
    /// The id is too long to be told to others.
    #[error("the id of a unique task has {0} bytes, more than {LONGEST_ID}")]
    Id(usize),
    /// The broker does not let us hold a lock, or does not answer.
    #[error("unknown whether the task is the only one of its key: {0}")]
    Undecided(DeclareError),
    /// The call is staged in an outbox, where it is not known yet whether it is the only one.
    #[error(
        "a unique task cannot be staged: whether another of its key was sent is known only when it is \
         sent, after the commit; put a unique constraint on a table of yours instead, or an id of your \
         own on the call"
    )]
    Staged,
    /// Somebody has the lock, and cannot be told.
    #[error("there is a task of this key already, and which one cannot be told ({0:?})")]
    Unreadable(String),
}

/// A key with its window, as a call says it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unique {
    pub(crate) key: String,
    pub(crate) window: Option<Duration>,
}

/// The lock that a call asks for.
#[derive(Debug)]
pub(super) struct Claim {
    lock: Queue,
    window: Duration,
}

/// Who has a lock.
enum Holder {
    Us,
    Other(TaskId),
}

impl Sent {
    /// The id of the task that was sent before under the same key, when this one was not.
    pub fn duplicate_of(&self) -> Option<&TaskId> {
        (self.outcome == UniqueOutcome::Duplicate).then_some(&self.id)
    }
}

impl Claim {
    pub(super) fn new(unique: &Unique, id: &TaskId) -> Result<Self, UniqueError> {
        let window = unique.window.unwrap_or(WINDOW);
        let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 || millis >= LONGEST_WINDOW {
            return Err(UniqueError::Window(window));
        }
        let holder = write(id)?;
        let arguments = [
            ("x-expires", Int(i64::try_from(millis).unwrap_or(i64::MAX))),
            // Without an exchange the key is refused. Nothing is ever sent there.
            ("x-dead-letter-exchange", Text(String::new())),
            (HOLDER, Text(holder)),
        ];
        let digest = Sha256::digest(unique.key.as_bytes());
        let name = names::unique(&BASE64_URL_SAFE_NO_PAD.encode(&digest[..16]));
        Ok(Self { lock: Queue::new(name, arguments), window })
    }
}

impl Publisher {
    /// Sends what was prepared if nobody else has its lock.
    pub(super) async fn dispatch_claimed(
        &self,
        claim: Claim,
        prepared: Prepared,
    ) -> Result<Sent, SendError> {
        let started = Instant::now();
        let deadline = prepared.deadline;
        let claimed = timeout(deadline, self.claim(claim.lock.clone())).await;
        let holder = claimed.unwrap_or_else(|_| Err(UniqueError::Undecided(self.silence())))?;
        if let Holder::Other(id) = holder {
            debug!(%id, "not sent, a task of the same key was sent before");
            let outcome = UniqueOutcome::Duplicate;
            return Ok(Sent { id, outcome, eta: None, ..prepared.sent });
        }
        let left = deadline.saturating_sub(started.elapsed());
        let sent = self.dispatch(Prepared { deadline: left, ..prepared }).await;
        // What was certainly not sent must not keep others from sending. If the window is over, the
        // lock may be another's.
        let failed = sent.as_ref().is_err_and(|error| !error.is_transient());
        if failed
            && started.elapsed() < claim.window
            && let Err(error) = self.broker.delete_queue(&claim.lock.name).await
        {
            debug!(%error, "the lock of a task that was not sent goes with its window");
        }
        sent
    }

    /// Asks for the lock, and learns who has it.
    async fn claim(&self, mut lock: Queue) -> Result<Holder, UniqueError> {
        for _ in 0..TRIES {
            let difference = match self.outlast(|| self.broker.declare_queue(&lock)).await {
                Ok(()) => return Ok(Holder::Us),
                Err(DeclareError::Differs(difference)) => difference,
                Err(error) => return Err(UniqueError::Undecided(error)),
            };
            if difference.argument == HOLDER {
                return read(&difference.theirs).map(Holder::Other);
            }
            // Somebody locked it for another window. Only then the next difference is told.
            if !difference.adopt_queue(&mut lock) {
                return Err(UniqueError::Undecided(DeclareError::Differs(difference)));
            }
        }
        Err(UniqueError::Unreadable(lock.name))
    }
}

/// An id in few bytes: those of a UUID, or the text.
fn write(id: &TaskId) -> Result<String, UniqueError> {
    let text = id.as_str();
    if let Ok(uuid) = uuid::Uuid::parse_str(text)
        && uuid.hyphenated().to_string() == text
    {
        return Ok(format!("u{}", BASE64_URL_SAFE_NO_PAD.encode(uuid.as_bytes())));
    }
    match text.len() {
        length if length > LONGEST_ID => Err(UniqueError::Id(length)),
        _ => Ok(format!("i{text}")),
    }
}

/// Reads what [`write()`] wrote.
fn read(holder: &HeaderValue) -> Result<TaskId, UniqueError> {
    let Text(text) = holder else { return Err(UniqueError::Unreadable(format!("{holder:?}"))) };
    let uuid = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.strip_prefix('u')?).ok()?;
        Some(uuid::Uuid::from_slice(&bytes).ok()?.hyphenated().to_string())
    };
    let id = text.strip_prefix('i').map(str::to_owned).or_else(uuid);
    id.map(TaskId::from).ok_or_else(|| UniqueError::Unreadable(text.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(key: &str, id: &str) -> Result<Claim, UniqueError> {
        Claim::new(&Unique { key: key.to_owned(), window: None }, &TaskId::from(id))
    }

    #[test]
    fn an_id_comes_back_from_its_short_form() {
        let ids = ["1f3a7a36-9e5d-4c56-8f0e-0a5a4c0d7f11", "order:7", "", "u", "ünï"];
        for id in ids.map(TaskId::from) {
            let written = write(&id).unwrap();
            assert!(written.len() <= LONGEST_ID + 1, "{written}");
            assert_eq!(read(&Text(written)).unwrap(), id);
        }
        let long = "x".repeat(LONGEST_ID + 1);
        assert_eq!(claim("k", &long).unwrap_err(), UniqueError::Id(long.len()));
        assert!(read(&Text("?".to_owned())).is_err());
        assert!(read(&HeaderValue::Null).is_err());
    }

    #[test]
    fn one_key_is_one_lock_whoever_asks_for_it() {
        let name = |key: &str, id: &str| claim(key, id).unwrap().lock.name;
        assert_eq!(name("welcome:42", "a"), name("welcome:42", "b"));
        assert_ne!(name("welcome:42", "a"), name("welcome:43", "a"));
        // Two versions of this program meet in one broker.
        assert_eq!(name("welcome:42", "a"), "celeriac.unique.bnRQ9jxFTd3ZcvzV1azbQg");
    }

    #[test]
    fn a_window_is_one_that_a_queue_can_live_for() {
        let day = Duration::from_secs(86_400);
        for (window, fits) in [
            (Duration::ZERO, false),
            (Duration::from_micros(999), false),
            (Duration::from_millis(1), true),
            (day * 49, true),
            (day * 50, false),
        ] {
            let unique = Unique { key: "k".to_owned(), window: Some(window) };
            assert_eq!(Claim::new(&unique, &TaskId::from("a")).is_ok(), fits, "{window:?}");
        }
    }
}
