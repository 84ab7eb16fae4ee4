//! Opens the backend that the settings ask for.

use super::{Backend, Nowhere, ResultBackend, Rpc, Settings};
use crate::broker::Broker;
use std::sync::Arc;
use std::time::Duration;

/// Why the backend that was asked for cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The program was built without it.
    #[error(
        "this build has no result backend `{0}`: build it with `--features {0}`, or set another \
         `backend` in [results]"
    )]
    NotBuiltIn(Backend),
}

/// The backend of these settings. A store is connected to when it is first used; `rpc` goes through
/// `broker`, where each attempt to store may take `deadline`.
///
/// # Errors
///
/// When this build has no such backend, or its URL cannot be read.
pub fn open(
    settings: &Settings,
    broker: &Broker,
    deadline: Duration,
) -> Result<Arc<dyn ResultBackend>, OpenError> {
    let backend = settings.backend;
    match backend {
        Backend::None => Ok(Arc::new(Nowhere)),
        Backend::Rpc => {
            Ok(Arc::new(Rpc::new(broker.clone(), deadline).keeping_chords(settings.expires)))
        }
        store => Err(OpenError::NotBuiltIn(store)),
    }
}
