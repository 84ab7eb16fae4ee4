//! The client: sends tasks and waits for what becomes of them.
//!
//! For programs that embed Celeriac. A [`Client`] is a publisher and, once somebody wants a result,
//! a reply queue of its own.

mod typed;

pub use typed::ProgressReport;

use crate::broker::Broker;
use crate::ids::TaskId;
use crate::protocol::{DecodeError, StoredException, StoredResult, TaskState};
use crate::publisher::{Publisher, SendError, SendOptions, Sent};
use crate::results::rpc::{Inbox, Watch};
use futures::{Stream, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How many of [`Client::send_all`]'s tasks are on their way at once.
const IN_FLIGHT: usize = 1000;

/// Sends tasks and waits for results. Cloning is cheap; all clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    publisher: Publisher,
    inbox: Arc<OnceLock<Inbox>>,
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
    watch: Watch,
    value: PhantomData<fn() -> T>,
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
        exception: StoredException,
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
    /// A client that sends through `publisher`.
    pub fn new(publisher: Publisher) -> Self {
        Self { publisher, inbox: Arc::default() }
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
        let inbox = self.inbox.get_or_init(|| Inbox::open(self.broker()));
        let id = options.id.take().unwrap_or_else(TaskId::random);
        let watch = inbox.watch(id.clone());
        inbox.ready().await;
        let options = options.id(id).reply_to(inbox.queue());
        let sent = self.publisher.send(task, args, kwargs, options).await?;
        Ok(TaskHandle { sent, watch, value: PhantomData })
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
        let send = move |call: NamedCall<A, K>| async move {
            self.send(&call.task, &call.args, &call.kwargs, call.options).await
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
        self.watch.latest().map_or(TaskState::Pending, |result| result.state.clone())
    }

    /// The next document about the task: progress, a retry, the end. Cancel safe; documents that
    /// come faster than they are asked for are skipped.
    pub async fn next(&mut self) -> Arc<StoredResult> {
        loop {
            if let Some(result) = self.watch.changed().await {
                return result;
            }
        }
    }
}

impl<T: DeserializeOwned> TaskHandle<T> {
    /// Waits for the value.
    ///
    /// # Errors
    ///
    /// When the task ends without one, or it is no `T`.
    pub async fn result(mut self) -> Result<T, ResultError> {
        let result = self.watch.ended().await;
        let id = self.sent.id;
        let decode =
            |why| ResultError::Decode { id: id.clone(), wanted: std::any::type_name::<T>(), why };
        match result.exception().map_err(decode)? {
            None => result.result.decode().map_err(decode),
            Some(exception) => Err(ResultError::Failed {
                id,
                state: result.state.clone(),
                exception,
                traceback: result.traceback.clone(),
            }),
        }
    }

    /// [`TaskHandle::result`], but not for longer than this.
    ///
    /// # Errors
    ///
    /// Also [`ResultError::TimedOut`].
    pub async fn timeout(self, limit: Duration) -> Result<T, ResultError> {
        let id = self.id().clone();
        match tokio::time::timeout(limit, self.result()).await {
            Ok(result) => result,
            Err(_) => Err(ResultError::TimedOut { id, waited: limit }),
        }
    }
}
