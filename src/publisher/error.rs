//! Why a task was not sent.

use super::UniqueError;
use crate::broker::{DeclareError, PublishError};
use crate::protocol::EncodeError;
use crate::task::RateKeyError;
use crate::topology::DelayTooLong;

/// Why a task was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The broker did not take it.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The arguments cannot be written.
    #[error("arguments {0}")]
    Encode(#[from] EncodeError),
    /// The message is larger than `publisher.max_message`.
    #[error(
        "the message has {size} bytes, more than publisher.max_message = {limit}; \
         store the data elsewhere and send a reference to it"
    )]
    TooLarge {
        /// Bytes of the encoded body.
        size: usize,
        /// The most that is sent.
        limit: u64,
    },
    /// It could not be told whether the task is the only one of its key.
    #[error(transparent)]
    Unique(#[from] UniqueError),
    /// It has a rate key that none can have.
    #[error(transparent)]
    RateKey(#[from] RateKeyError),
    /// The broker cannot hold a message for so long.
    #[error(transparent)]
    Delay(#[from] DelayTooLong),
}

/// Why a workflow is none that can be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlowError {
    /// An argument of a step cannot be written.
    #[error("arguments {0}")]
    Encode(#[from] EncodeError),
    /// A step has a rate key that none can have.
    #[error(transparent)]
    RateKey(#[from] RateKeyError),
}

impl From<FlowError> for SendError {
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::Encode(error) => error.into(),
            FlowError::RateKey(error) => error.into(),
        }
    }
}

impl SendError {
    /// Whether the connection is gone that this was to be published on, and on no other.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Publish(PublishError::Fenced))
    }

    /// Whether sending the same task again, with the same id, can succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Publish(error) => error.is_transient(),
            Self::Unique(UniqueError::Undecided(DeclareError::Interrupted(_))) => true,
            _ => false,
        }
    }
}
