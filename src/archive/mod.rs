//! The archive: where messages go that are given up, whole, and from where they come back.
//!
//! It is a stream in the broker, so that reading takes nothing out. Workers publish into it what
//! they give up ([`Burial`]); what the broker gives up by itself waits in a queue until
//! [`Archive::collect`] takes it over. A letter never changes: that it was requeued or discarded is noted by a mark behind it in the same stream, and
//! the latest mark counts.

mod attempt;
mod browse;
mod burial;
mod collector;
mod death;
mod filter;
mod letter;
mod reason;
mod record;
mod requeue;

pub use crate::filter::FilterError;
pub use attempt::AttemptRecord;
pub use burial::Burial;
pub use filter::Filter;
pub use letter::{DeadLetter, Deed, Entry, Mark, State};
pub use reason::Reason;
pub use record::ImportError;
pub use requeue::{Done, Requeue, RequeueError, Retries};

use crate::broker::{Broker, DeclareError, PublishError, RawMessage, StreamError};
use crate::clock::Clock;
use crate::topology::DeadSettings;
use std::sync::Arc;
use std::time::Duration;

/// A handle on the archive. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Archive {
    broker: Broker,
    settings: DeadSettings,
    clock: Arc<dyn Clock>,
}

/// Why the archive could not be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// There is none in this broker.
    #[error("there is no archive \"{0}\" in this broker; `celeriac topology apply` makes it")]
    Missing(String),
    /// The broker does not let us read it, or the connection broke.
    #[error(transparent)]
    Unreadable(StreamError),
}

impl From<StreamError> for ArchiveError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Unknown(DeclareError::Missing(object)) => {
                Self::Missing(object.name().to_owned())
            }
            other => Self::Unreadable(other),
        }
    }
}

impl Archive {
    /// The archive that `settings` name.
    pub fn new(broker: Broker, settings: DeadSettings, clock: Arc<dyn Clock>) -> Self {
        Self { broker, settings, clock }
    }

    /// Puts a message that came from a queue into the archive and waits for the confirm. Only then
    /// may its delivery be acknowledged.
    ///
    /// # Errors
    /// The broker did not take it within `deadline`; then the delivery must not be acknowledged.
    pub async fn bury(
        &self,
        message: RawMessage,
        burial: &Burial,
        deadline: Duration,
    ) -> Result<(), PublishError> {
        let message = burial.bury(message, &self.settings.exchange);
        self.broker.publish(Arc::new(message), deadline).await
    }
}
