//! Opens the backend that the settings ask for.

use super::{Backend, Nowhere, ResultBackend, Rpc, Settings};
use crate::broker::Broker;
use crate::store::StoreError;
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
    /// It cannot be reached as the settings say.
    #[error("[results] url: {error}; write {}", backend.example())]
    Url {
        /// The backend.
        backend: Backend,
        /// What is wrong.
        error: StoreError,
    },
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
        store => open_store(store, settings),
    }
}

#[cfg_attr(
    not(any(feature = "redis", feature = "postgres", feature = "sqlite")),
    expect(unused_variables, reason = "no store is built in")
)]
fn open_store(backend: Backend, settings: &Settings) -> Result<Arc<dyn ResultBackend>, OpenError> {
    #[cfg(any(feature = "redis", feature = "postgres", feature = "sqlite"))]
    let wrong = |error| OpenError::Url { backend, error };
    match backend {
        #[cfg(feature = "redis")]
        Backend::Redis => {
            Ok(Arc::new(super::Redis::open(&settings.url, settings.expires).map_err(wrong)?))
        }
        #[cfg(feature = "postgres")]
        Backend::Postgres => {
            Ok(Arc::new(super::Sql::postgres(&settings.url, settings.expires).map_err(wrong)?))
        }
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => {
            Ok(Arc::new(super::Sql::sqlite(&settings.url, settings.expires).map_err(wrong)?))
        }
        other => Err(OpenError::NotBuiltIn(other)),
    }
}
