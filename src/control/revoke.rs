//! Saying that tasks shall not run.

use super::{Reach, Record};
use crate::broker::{Broker, DeclareError, PublishError};
use crate::ids::TaskId;
use crate::topology::Topology;
use std::sync::Arc;
use std::time::Duration;

/// Why a revocation was not accepted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// The stream of revocations is missing and cannot be declared.
    #[error("tasks cannot be revoked: {0}")]
    Declare(#[from] DeclareError),
    /// The broker did not take it.
    #[error("task {id} is not revoked: {error}")]
    Publish {
        /// The first task of which this is not known to be revoked.
        id: TaskId,
        /// What went wrong.
        error: PublishError,
    },
}

impl RevokeError {
    /// Whether revoking again can succeed without anybody doing something.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Declare(error) => matches!(error, DeclareError::Interrupted(_)),
            Self::Publish { error, .. } => error.is_transient() || *error == PublishError::Fenced,
        }
    }
}

/// Revokes tasks: when this returns, the broker keeps that they shall not run.
///
/// Workers hear of it within milliseconds. A task that ends just now may have run all the same; its
/// result tells.
///
/// # Errors
///
/// See [`RevokeError`]. Revoking again is safe.
pub async fn revoke(
    broker: &Broker,
    ids: impl IntoIterator<Item = TaskId>,
    reach: Reach,
    deadline: Duration,
) -> Result<(), RevokeError> {
    for id in ids {
        let message = Arc::new(Record::Revoked(id.clone(), reach).message());
        let failed = |error| RevokeError::Publish { id, error };
        match broker.publish(Arc::clone(&message), deadline).await {
            Ok(()) => {}
            Err(PublishError::NoExchange { .. } | PublishError::Unroutable { .. }) => {
                broker.declare(&Topology::revocations()).await?;
                broker.publish(message, deadline).await.map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}
