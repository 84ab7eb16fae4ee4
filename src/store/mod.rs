//! Connections to what keeps things beside the broker: Redis, PostgreSQL, SQLite.
//!
//! Each is behind the Cargo feature of its name. A handle is cheap to clone, connects when it is
//! first used, and connects again after a loss; a call that was under way meanwhile fails with a
//! transient [`StoreError`], and trying it again is for the caller.

#[cfg(feature = "redis")]
pub mod redis;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod sql;

/// How long one call may take before its connection is given up.
#[cfg(any(feature = "redis", feature = "postgres", feature = "sqlite"))]
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct StoreError {
    /// What the store said.
    pub reason: String,
    /// Whether trying again can help.
    pub is_transient: bool,
}

impl StoreError {
    /// An error that may pass.
    pub fn transient(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_transient: true }
    }

    /// An error that comes again however often one tries.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_transient: false }
    }
}
