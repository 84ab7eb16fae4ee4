//! Results: what became of a task, for whoever waits for it.
//!
//! A [`ResultBackend`] is both ends of one conversation. A worker stores a [`Document`] per change
//! of state; a client [watches](Watch) a task and is told each document. The document is Celery's,
//! so that its `AsyncResult` reads ours. A backend that can count also joins chords, see
//! [`ChordStore`].
//!
//! | backend | kept | told to | later, from elsewhere |
//! | --- | --- | --- | --- |
//! | `rpc` | by nobody | who sent the task, through its reply queue | no |
//! | `redis` | `celery-task-meta-ID`, as Celery does | whoever watches, by publish/subscribe | yes |
//! | `postgres` | table `celeriac_results` | whoever watches, by `NOTIFY` | yes |
//! | `sqlite` | table `celeriac_results` | whoever watches, by looking again | yes |

mod chord;
mod document;
#[cfg(feature = "redis")]
mod layout;
#[cfg(any(feature = "redis", feature = "postgres"))]
mod losses;
mod open;
mod purge;
#[cfg(feature = "redis")]
mod redis;
pub mod rpc;
mod settings;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
mod watch;

pub use chord::{Arrival, Arrived, ChordStore, Claim, Joined, NewChord, Part};
pub use document::Document;
pub use open::{OpenError, open};
pub use purge::purge;
#[cfg(feature = "redis")]
pub use redis::Redis;
pub use rpc::Rpc;
pub use settings::{Backend, OnStoreError, Reporting, ResultFormat, Settings};
pub(crate) use watch::Watched;
pub use watch::{Latest, NotKept, Watch};

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sql::Sql;

pub use crate::protocol::Member;
pub use crate::store::StoreError;

use crate::ids::TaskId;
use futures::future::{BoxFuture, ready};
use std::fmt;

/// What a task's message must say, and where its result will be told.
#[derive(Debug)]
pub struct Expected {
    /// Follows the task.
    pub watch: Watch,
    /// The value for property `reply_to`, when the backend sends results to the caller.
    pub reply_to: Option<String>,
}

/// Keeps results, or passes them on; and tells them to whoever waits.
///
/// Every method may be called again after it failed, and after it succeeded unheard: storing the
/// same document twice is storing it once.
pub trait ResultBackend: fmt::Debug + Send + Sync + 'static {
    /// Whether a result for this caller would reach anybody. If not, nothing need be encoded.
    fn wants(&self, reply_to: Option<&str>) -> bool;

    /// Stores one document. When this completes, the result outlives the worker.
    ///
    /// The first `SUCCESS` stays, as in Celery: a task that is run again by mistake cannot take
    /// back a result that somebody may have read. Any other state is replaced.
    fn store<'a>(&'a self, document: &'a Document) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Prepares to hear of a task that is about to be sent. When this completes, no document is
    /// too early to be heard. It waits for the backend where it must.
    fn expect(&self, id: TaskId) -> BoxFuture<'_, Expected>;

    /// Follows a task that anybody sent at any time. What is known by now is told first.
    ///
    /// The watch outlives losses of the backend: what was stored meanwhile is told when it is back.
    fn watch(&self, id: TaskId) -> Watch;

    /// The newest document, asked of the backend now. `None` when it knows nothing of the task: it
    /// was never sent, no worker has told of it yet, or its result has expired.
    fn latest<'a>(&'a self, id: &'a TaskId) -> BoxFuture<'a, Result<Latest, StoreError>>;

    /// Removes what is stored of a task.
    fn forget<'a>(&'a self, id: &'a TaskId) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The backend as one that joins chords, if it can.
    fn chords(&self) -> Option<&dyn ChordStore> {
        None
    }

    /// Removes some of what has expired, and says how much; 0 when nothing is left. For backends
    /// whose store does not do it by itself.
    fn purge(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(ready(Ok(0)))
    }
}

/// Drops every result.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

/// Why nobody hears of a result that [`Nowhere`] got.
const DROPPED: NotKept = NotKept { why: "results are dropped: set `backend` in [results]" };

impl ResultBackend for Nowhere {
    fn wants(&self, _: Option<&str>) -> bool {
        false
    }

    fn store<'a>(&'a self, _: &'a Document) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(ready(Ok(())))
    }

    fn expect(&self, _: TaskId) -> BoxFuture<'_, Expected> {
        Box::pin(ready(Expected { watch: Watch::never(DROPPED), reply_to: None }))
    }

    fn watch(&self, _: TaskId) -> Watch {
        Watch::never(DROPPED)
    }

    fn latest<'a>(&'a self, _: &'a TaskId) -> BoxFuture<'a, Result<Latest, StoreError>> {
        Box::pin(ready(Err(DROPPED.into())))
    }

    fn forget<'a>(&'a self, _: &'a TaskId) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(ready(Ok(())))
    }
}
