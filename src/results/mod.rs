//! Results: what became of a task, for whoever waits for it.
//!
//! A worker stores a [`Document`] per change of state through a [`ResultBackend`]; a client waits
//! for documents through the other end of the same backend. The document is Celery's, so that its
//! `AsyncResult` reads ours.

pub mod rpc;
mod settings;

pub use rpc::Rpc;
pub use settings::{Backend, Settings};

use crate::ids::TaskId;
use crate::protocol::{Bytes, Format};
use futures::future::BoxFuture;
use std::fmt;

/// One encoded result document and where it belongs.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The task it tells about.
    pub task_id: TaskId,
    /// The queue that the caller waits at, if the caller named one.
    pub reply_to: Option<String>,
    /// How `body` is encoded.
    pub format: Format,
    /// The document, see [`crate::protocol::StoredResult`].
    pub body: Bytes,
}

/// Keeps results, or passes them on.
pub trait ResultBackend: fmt::Debug + Send + Sync + 'static {
    /// Whether a result for this caller would reach anybody. If not, nothing need be encoded.
    fn wants(&self, reply_to: Option<&str>) -> bool;

    /// Stores one document. When this completes, the result outlives the worker.
    fn store(&self, document: Document) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Why a result was not stored.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("result not stored: {reason}")]
pub struct StoreError {
    /// What the store said.
    pub reason: String,
    /// Whether trying again can help.
    pub is_transient: bool,
}

/// Drops every result.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl ResultBackend for Nowhere {
    fn wants(&self, _: Option<&str>) -> bool {
        false
    }

    fn store(&self, _: Document) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
