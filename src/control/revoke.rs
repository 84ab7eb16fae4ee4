//! Saying that tasks shall not run.

use super::{Reach, Record, STREAM};
use crate::broker::{Broker, DeclareError, PublishError};
use crate::ids::TaskId;
use std::collections::BTreeMap;
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
    /// The broker did not take what was said of a stamp.
    #[error("tasks stamped {stamp} are not revoked: {error}")]
    Stamp {
        /// The first stamp with its value of which this is not known.
        stamp: String,
        /// What went wrong.
        error: PublishError,
    },
}

impl RevokeError {
    /// Whether revoking again can succeed without anybody doing something.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Declare(error) => matches!(error, DeclareError::Interrupted(_)),
            Self::Publish { error, .. } | Self::Stamp { error, .. } => {
                error.is_transient() || *error == PublishError::Fenced
            }
        }
    }
}

/// Stamps with the values that are meant.
pub type Stamps = BTreeMap<String, Vec<String>>;

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
        let record = Record::Revoked(id.clone(), reach);
        STREAM
            .keep(broker, record.message(), deadline)
            .await?
            .map_err(|error| RevokeError::Publish { id, error })?;
    }
    Ok(())
}

/// Revokes every task that bears one of these stamps, now or within the next seven days: when this
/// returns, the broker keeps it.
///
/// ```no_run
/// # async fn example(broker: celeriac::broker::Broker) -> anyhow::Result<()> {
/// use celeriac::control::{Reach, Stamps, revoke_stamped};
/// use std::time::Duration;
///
/// let acme = Stamps::from([("customer".to_owned(), vec!["acme".to_owned()])]);
/// revoke_stamped(&broker, &acme, Reach::NotBegun, Duration::from_secs(5)).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// See [`RevokeError`]. Revoking again is safe.
pub async fn revoke_stamped(
    broker: &Broker,
    stamps: &Stamps,
    reach: Reach,
    deadline: Duration,
) -> Result<(), RevokeError> {
    for (stamp, values) in stamps {
        for value in values {
            let record = Record::Stamped(stamp.clone(), value.clone(), reach);
            STREAM.keep(broker, record.message(), deadline).await?.map_err(|error| {
                let stamp = format!("{stamp}={value}");
                RevokeError::Stamp { stamp, error }
            })?;
        }
    }
    Ok(())
}
