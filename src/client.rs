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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::prelude::*;
/// # let app = App::in_memory();
/// let client: Client = app.client().clone();
/// let sent = client.send("mail.welcome", &(42,), &(), SendOptions::default()).await?;
/// assert_eq!(app.all_sent()[0].id(), &sent.id);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    publisher: Publisher,
    results: Arc<dyn ResultBackend>,
}

/// One call of a task by name, for [`Client::send_all`].
///
/// ```
/// use celeriac::client::NamedCall;
/// use celeriac::publisher::SendOptions;
///
/// let call = NamedCall {
///     task: "mail.welcome".to_owned(),
///     args: (42, "short"),
///     kwargs: (),
///     options: SendOptions::default().priority(7),
/// };
/// # let _ = call;
/// ```
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::prelude::*;
/// # use celeriac::testing::TestWorker;
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// # let app = App::in_memory();
/// # let worker = TestWorker::new(&app).register::<add>();
/// let handle: TaskHandle<i64> = add(1, 2).delay(&app).await?;
/// worker.drain().await;
/// assert_eq!(handle.await?, 3);
/// # Ok(())
/// # }
/// ```
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # use std::sync::Arc;
    /// use celeriac::results::Nowhere;
    ///
    /// # let app = App::in_memory();
    /// let client = Client::new(app.client().publisher().clone(), Arc::new(Nowhere));
    /// let handle = add(1, 2).delay(&client).await?; // is sent
    /// assert!(matches!(handle.await, Err(ResultError::NotKept { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(publisher: Publisher, results: Arc<dyn ResultBackend>) -> Self {
        Self { publisher, results }
    }

    /// Where results are kept.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// let joins_chords = app.client().results().chords().is_some();
    /// assert!(joins_chords);
    /// # Ok(())
    /// # }
    /// ```
    pub fn results(&self) -> &Arc<dyn ResultBackend> {
        &self.results
    }

    /// The result of a task by its id, also of one that another program sent long ago, for as long
    /// as its result is kept. With backend `rpc` only tasks of this client that are still waited
    /// for are known.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// let handle = add(1, 2).delay(&app).await?;
    /// let id = handle.id().clone();
    /// worker.drain().await;
    /// let sum: i64 = app.client().result(id).await?;
    /// assert_eq!(sum, 3);
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// let publisher = app.client().publisher();
    /// publisher.send("shop.add", &(1, 2), &(), SendOptions::default()).await?;
    /// assert_eq!(app.sent::<add>(), [(1, 2)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// The broker it is connected to.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// assert!(app.client().broker().is_connected());
    /// # Ok(())
    /// # }
    /// ```
    pub fn broker(&self) -> &Broker {
        self.publisher.broker()
    }

    /// Sends a task whose result nobody wants. Resolves when the broker has confirmed it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use std::collections::BTreeMap;
    /// # let app = App::in_memory();
    /// let kwargs = BTreeMap::from([("template", "short")]);
    /// app.client().send("mail.welcome", &(42,), &kwargs, SendOptions::default()).await?;
    /// let sent = &app.sent_named("mail.welcome")[0];
    /// assert_eq!(sent.args::<(u64,)>()?, (42,));
    /// assert_eq!(sent.headers.ignore_result, Some(true));
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// let client = app.client();
    /// let sum = client.call::<i64>("shop.add", &(1, 2), &(), SendOptions::default()).await?;
    /// worker.drain().await;
    /// assert_eq!(sum.result().await?, 3);
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// use celeriac::client::NamedCall;
    /// use futures::TryStreamExt;
    ///
    /// # let app = App::in_memory();
    /// let calls = (1..=100).map(|user| NamedCall {
    ///     task: "mail.welcome".to_owned(),
    ///     args: (user,),
    ///     kwargs: (),
    ///     options: SendOptions::default(),
    /// });
    /// let sent: Vec<_> = app.client().send_all(calls).try_collect().await?;
    /// assert_eq!(sent.len(), 100);
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// let handle = add(1, 2).id("sum-1").delay(&app).await?;
    /// assert_eq!(handle.id().as_str(), "sum-1");
    /// # Ok(())
    /// # }
    /// ```
    pub fn id(&self) -> &TaskId {
        &self.sent.id
    }

    /// Where and when the task was sent.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// let handle = add(1, 2).queue("default").priority(3).delay(&app).await?;
    /// let sent = handle.sent();
    /// assert_eq!(sent.destination.queue.as_deref(), Some("default"));
    /// assert_eq!(sent.destination.priority, Some(3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn sent(&self) -> &Sent {
        &self.sent
    }

    /// What is known of the task now.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// use celeriac::protocol::TaskState;
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// let mut handle = add(1, 2).delay(&app).await?;
    /// assert_eq!(handle.state(), TaskState::Pending);
    /// worker.drain().await;
    /// handle.next().await;
    /// assert_eq!(handle.state(), TaskState::Success);
    /// # Ok(())
    /// # }
    /// ```
    pub fn state(&self) -> TaskState {
        self.result.told()
    }

    /// The next document about the task: progress, a retry, the end. Cancel safe; documents that
    /// come faster than they are asked for are skipped.
    ///
    /// Never completes when no document can come.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// use celeriac::protocol::TaskState;
    ///
    /// #[task(name = "mail.digest", max_retries = 5, backoff = "1m")]
    /// async fn digest() -> anyhow::Result<()> {
    ///     anyhow::bail!("the mail server is busy")
    /// }
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<digest>();
    /// let mut handle = digest().delay(&app).await?;
    /// worker.drain().await;
    /// assert_eq!(handle.next().await.state, TaskState::Retry);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next(&mut self) -> Arc<StoredResult> {
        match self.result.next().await {
            Ok(result) => result,
            Err(_) => std::future::pending().await,
        }
    }

    /// Revokes the task: see [`Client::revoke`]. Its result is then [`ResultError::Failed`] with
    /// state `REVOKED`, unless it had ended before.
    ///
    /// ```no_run
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # async fn example(app: App) -> anyhow::Result<()> {
    /// let handle = add(1, 2).countdown(std::time::Duration::from_secs(600)).delay(&app).await?;
    /// handle.revoke(Reach::NotBegun).await?;
    /// assert!(matches!(handle.await, Err(ResultError::Failed { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`RevokeError`].
    pub async fn revoke(&self, reach: Reach) -> Result<(), RevokeError> {
        self.result.revoke(reach).await
    }

    /// Removes what is kept of the result, now or later.
    ///
    /// ```no_run
    /// # use celeriac::prelude::*;
    /// # async fn example(mut handle: TaskHandle<String>) -> anyhow::Result<()> {
    /// let document = handle.next().await;
    /// if document.state.is_ready() {
    ///     handle.forget().await?; // it was read, and nobody else needs it
    /// }
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// #[task(name = "shop.charge", max_retries = 0)]
    /// async fn charge(card: String) -> anyhow::Result<u64> {
    ///     anyhow::bail!("the card {card} has expired")
    /// }
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<charge>();
    /// let handle = charge("1234".to_owned()).delay(&app).await?;
    /// worker.drain().await;
    /// let ResultError::Failed { exception, .. } = handle.result().await.unwrap_err() else {
    ///     panic!("it has failed");
    /// };
    /// assert!(exception.text().contains("has expired"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the task ends without one, or it is no `T`.
    pub async fn result(self) -> Result<T, ResultError> {
        self.result.wait().await
    }

    /// [`TaskHandle::result`], but not for longer than this.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// use std::time::Duration;
    ///
    /// # let app = App::in_memory();
    /// let handle = add(1, 2).delay(&app).await?; // and no worker is there
    /// let ended = handle.timeout(Duration::from_millis(1)).await;
    /// assert!(matches!(ended, Err(ResultError::TimedOut { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Also [`ResultError::TimedOut`].
    pub async fn timeout(self, limit: Duration) -> Result<T, ResultError> {
        self.result.timeout(limit).await
    }
}
