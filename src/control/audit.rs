//! What people did, kept by a stream of its own: who, when, what, and what came of it.
//!
//! A record is published, confirmed, before anything is done, and completed by another afterwards.
//! Whoever dies in between leaves a record without an end.

use crate::broker::{Broker, PublishError, RawMessage};
use crate::clock::micros;
use crate::ids::TaskId;
use crate::topology::{Topology, names};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long a record may take to the broker.
const DEADLINE: Duration = Duration::from_secs(5);

/// Something that somebody did, or what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Record {
    /// Somebody is about to do something.
    Begun(Begun),
    /// It is done, or not.
    Ended(Ended),
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// Random.
    pub(crate) id: String,
    /// Microseconds since 1970.
    pub(crate) at: i64,
    /// Who does it.
    pub(crate) by: String,
    /// What, in a word or two.
    pub(crate) action: String,
    /// To what: the id of a task, the name of a queue, ...
    pub(crate) target: String,
    /// How, in the words of the call.
    pub(crate) arguments: Value,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// The id of the record that began it.
    pub(crate) id: String,
    /// Microseconds since 1970.
    pub(crate) at: i64,
    /// What was answered.
    pub(crate) outcome: Value,
}

impl Begun {
    /// A record of what is about to be done at `now`, with an id of its own.
    pub(crate) fn new(
        by: &str,
        (action, target): (&str, &str),
        arguments: Value,
        now: SystemTime,
    ) -> Self {
        Self {
            id: TaskId::random().to_string(),
            at: micros(now),
            by: by.to_owned(),
            action: action.to_owned(),
            target: target.to_owned(),
            arguments,
        }
    }
}

impl Record {
    /// Reads a message of the stream.
    #[cfg(feature = "monitor")]
    pub(crate) fn read(message: &RawMessage) -> Result<Self, String> {
        serde_json::from_slice(&message.body).map_err(|error| format!("no record: {error}"))
    }

    /// Publishes it; the stream is declared if it is missing.
    ///
    /// # Errors
    /// When the broker does not take it.
    pub(crate) async fn keep(&self, broker: &Broker) -> Result<(), PublishError> {
        let body = serde_json::to_vec(self).unwrap_or_default();
        let message = Arc::new(RawMessage::record(names::AUDIT, body.into()));
        let kept = broker.publish(Arc::clone(&message), DEADLINE).await;
        let missing =
            matches!(kept, Err(PublishError::NoExchange { .. } | PublishError::Unroutable { .. }));
        if missing && broker.declare(&Topology::audit()).await.is_ok() {
            return broker.publish(message, DEADLINE).await;
        }
        kept
    }
}
