//! The client: sends tasks and waits for what becomes of them.
//!
//! For programs that embed Celeriac. A [`Client`] is a publisher and the waiting end of a result
//! backend.

mod result;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod staged;
mod typed;
mod workflow;

pub use result::ResultHandle;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use staged::{StageError, Staged};
pub use typed::ProgressReport;
pub use workflow::{ApplyError, WorkflowHandle};

use crate::broker::Broker;
use crate::control::{self, Reach, RevokeError};
use crate::ids::TaskId;
use crate::protocol::{DecodeError, StoredException, StoredResult, TaskState};
use crate::publisher::{Publisher, SendError, SendOptions, Sent};
use crate::results::{Expected, NotKept, ResultBackend, StoreError, Watch};
use futures::{Stream, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// Why the result of a task that stores none cannot be awaited.
const UNWANTED: NotKept =
    NotKept { why: "the task stores none; ask for it in the call with `keep_result`" };

/// How many of [`Client::send_all`]'s tasks are on their way at once.
const IN_FLIGHT: usize = 1000;

/// Sends tasks and waits for results. Cloning is cheap; all clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    publisher: Publisher,
    results: Arc<dyn ResultBackend>,
}

/// One call of a task by name, for [`Client::send_all`].
#[derive(Debug, Clone)]
pub struct NamedCall<A, K = ()> {
    /// The task's name.
    pub task: String,
    /// A tuple, a list or `()`.
    pub args: A,
    /// A map, a struct or `()`.
    pub kwargs: K,
    /// What else is said.
    pub options: SendOptions,
}

/// A task that was sent and whose result somebody may wait for.
///
/// Dropping it forgets the result, not the task.
#[derive(Debug)]
pub struct TaskHandle<T = serde_json::Value> {
    sent: Sent,
    result: ResultHandle<T>,
}

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// The task failed, was given up, or was revoked.
    #[error("task {id} {state}: {exception}", exception = exception.text())]
    Failed {
        /// The task.
        id: TaskId,
        /// `FAILURE` or `REVOKED`.
        state: TaskState,
        /// What went wrong.
        exception: Box<StoredException>,
        /// More text for a person.
        traceback: Option<String>,
    },
    /// The value is not of the type that was asked for.
    #[error("the result of task {id} is no {wanted}: {why}")]
    Decode {
        /// The task.
        id: TaskId,
        /// The Rust type that was asked for.
        wanted: &'static str,
        /// What does not fit.
        why: DecodeError,
    },
    /// No result can come, however long one waits.
    #[error("the result of task {id} cannot be had: {why}")]
    NotKept {
        /// The task.
        id: TaskId,
        /// The reason, and what to do about it.
        why: &'static str,
    },
    /// Nothing came in time. The task goes on.
    #[error("no result of task {id} within {waited:?}")]
    TimedOut {
        /// The task.
        id: TaskId,
        /// How long it was waited for.
        waited: Duration,
    },
}

impl Client {
    /// A client that sends through `publisher` and hears of results through `results`.
    pub fn new(publisher: Publisher, results: Arc<dyn ResultBackend>) -> Self {
        Self { publisher, results }
    }

    /// Where results are kept.
    pub fn results(&self) -> &Arc<dyn ResultBackend> {
        &self.results
    }

    /// The result of a task by its id, also of one that another program sent long ago, for as long
    /// as its result is kept. With backend `rpc` only tasks of this client that are still waited
    /// for are known.
    pub fn result<T>(&self, id: impl Into<TaskId>) -> ResultHandle<T> {
        let id = id.into();
        ResultHandle::new(id.clone(), self.results.watch(id), self.clone())
    }

    /// Revokes a task that anybody has sent: see [`control::revoke`](crate::control::revoke()).
    ///
    /// ```no_run
    /// # async fn example(app: celeriac::app::App) -> anyhow::Result<()> {
    /// use celeriac::control::Reach;
    /// app.client().revoke("1f3a7a36-9e5d-4c56-8f0e-0a5a4c0d7f11", Reach::Running).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`RevokeError`].
    pub async fn revoke(&self, id: impl Into<TaskId>, reach: Reach) -> Result<(), RevokeError> {
        let deadline = self.publisher.deadline();
        control::revoke(self.broker(), [id.into()], reach, deadline).await
    }

    /// The publisher, for sending without a handle.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// The broker it is connected to.
    pub fn broker(&self) -> &Broker {
        self.publisher.broker()
    }

    /// Sends a task whose result nobody wants. Resolves when the broker has confirmed it.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub async fn send(
        &self,
        task: &str,
        args: &(impl Serialize + ?Sized),
        kwargs: &(impl Serialize + ?Sized),
        options: SendOptions,
    ) -> Result<Sent, SendError> {
        self.publisher.send(task, args, kwargs, options.ignore_result()).await
    }

    /// Sends a task and gives the handle through which its result comes.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub async fn call<T>(
        &self,
        task: &str,
        args: &(impl Serialize + ?Sized),
        kwargs: &(impl Serialize + ?Sized),
        mut options: SendOptions,
    ) -> Result<TaskHandle<T>, SendError> {
        let id = options.id.take().unwrap_or_else(TaskId::random);
        let Expected { watch, reply_to } = self.results.expect(id.clone()).await;
        let mut options = options.id(id.clone());
        if let Some(queue) = reply_to {
            options = options.reply_to(queue);
        }
        let sent = self.publisher.send(task, args, kwargs, options).await?;
        let watch = if sent.keeps_result { watch } else { Watch::never(UNWANTED) };
        let result = match sent.duplicate_of() {
            // The result that comes is that of the first.
            Some(first) if sent.keeps_result => self.result(first.clone()),
            Some(first) => ResultHandle::new(first.clone(), watch, self.clone()),
            None => ResultHandle::new(id, watch, self.clone()),
        };
        Ok(TaskHandle { sent, result })
    }

    /// Sends many tasks, many of them in flight at once. Each answer is that of the call at the
    /// same place; one failure does not stop the others.
    pub fn send_all<'a, A, K>(
        &'a self,
        calls: impl IntoIterator<Item = NamedCall<A, K>, IntoIter: Send + 'a>,
    ) -> impl Stream<Item = Result<Sent, SendError>> + Send + 'a
    where
        A: Serialize + Send + Sync + 'a,
        K: Serialize + Send + Sync + 'a,
    {
        let send = move |call: NamedCall<A, K>| {
            let NamedCall { task, args, kwargs, options } = call;
            let prepared = self.publisher.prepare(&task, &args, &kwargs, options.ignore_result());
            async move { self.publisher.dispatch(prepared?).await }
        };
        futures::stream::iter(calls).map(send).buffered(IN_FLIGHT)
    }
}

impl<T> TaskHandle<T> {
    /// The task's id.
    pub fn id(&self) -> &TaskId {
        &self.sent.id
    }

    /// Where and when the task was sent.
    pub fn sent(&self) -> &Sent {
        &self.sent
    }

    /// What is known of the task now.
    pub fn state(&self) -> TaskState {
        self.result.told()
    }

    /// The next document about the task: progress, a retry, the end. Cancel safe; documents that
    /// come faster than they are asked for are skipped.
    ///
    /// Never completes when no document can come.
    pub async fn next(&mut self) -> Arc<StoredResult> {
        match self.result.next().await {
            Ok(result) => result,
            Err(_) => std::future::pending().await,
        }
    }

    /// Revokes the task: see [`Client::revoke`]. Its result is then [`ResultError::Failed`] with
    /// state `REVOKED`, unless it had ended before.
    ///
    /// # Errors
    ///
    /// See [`RevokeError`].
    pub async fn revoke(&self, reach: Reach) -> Result<(), RevokeError> {
        self.result.revoke(reach).await
    }

    /// Removes what is kept of the result, now or later.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn forget(self) -> Result<(), StoreError> {
        self.result.forget().await
    }
}

impl<T: DeserializeOwned> TaskHandle<T> {
    /// Waits for the value.
    ///
    /// # Errors
    ///
    /// When the task ends without one, or it is no `T`.
    pub async fn result(self) -> Result<T, ResultError> {
        self.result.wait().await
    }

    /// [`TaskHandle::result`], but not for longer than this.
    ///
    /// # Errors
    ///
    /// Also [`ResultError::TimedOut`].
    pub async fn timeout(self, limit: Duration) -> Result<T, ResultError> {
        self.result.timeout(limit).await
    }
}
