//! The result of one task, whoever sent it.

use super::{Client, ResultError};
use crate::control::{Reach, RevokeError};
use crate::ids::TaskId;
use crate::protocol::{StoredResult, TaskState};
use crate::results::{Latest, NotKept, StoreError, Watch};
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// The result of a task that was sent by anybody at any time; see [`Client::result`].
///
/// Dropping it forgets nothing. Awaiting it is [`ResultHandle::wait`].
///
/// ```no_run
/// # async fn example(app: celeriac::app::App) -> anyhow::Result<()> {
/// use std::time::Duration;
///
/// let result = app.result::<i64>("1f3a7a36-9e5d-4c56-8f0e-0a5a4c0d7f11");
/// println!("{}", result.state().await?);
/// println!("{}", result.timeout(Duration::from_secs(10)).await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ResultHandle<T = serde_json::Value> {
    id: TaskId,
    watch: Watch,
    client: Client,
    value: PhantomData<fn() -> T>,
}

impl<T> ResultHandle<T> {
    pub(super) fn new(id: TaskId, watch: Watch, client: Client) -> Self {
        Self { id, watch, client, value: PhantomData }
    }

    /// The task's id.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// let result = app.result::<i64>("sum-1");
    /// assert_eq!(result.id().as_str(), "sum-1");
    /// # Ok(())
    /// # }
    /// ```
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// The newest document, asked of the backend now; `None` when it knows nothing of the task.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// let mut handle = add(1, 2).delay(&app).await?;
    /// let result = app.result::<i64>(handle.id().clone());
    /// assert!(result.latest().await?.is_none());
    /// worker.drain().await;
    /// # handle.next().await;
    /// let document = result.latest().await?.expect("it has ended");
    /// assert!(document.date_done.is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the store does not answer, or the backend keeps nothing.
    pub async fn latest(&self) -> Result<Option<Arc<StoredResult>>, StoreError> {
        self.client.results.latest(&self.id).await
    }

    /// The state, asked of the backend now. `PENDING` when it knows nothing of the task.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// use celeriac::protocol::TaskState;
    ///
    /// # let app = App::in_memory();
    /// let handle = add(1, 2).delay(&app).await?;
    /// let result = app.result::<i64>(handle.id().clone());
    /// assert_eq!(result.state().await?, TaskState::Pending);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ResultHandle::latest`].
    pub async fn state(&self) -> Result<TaskState, StoreError> {
        Ok(state(self.latest().await?))
    }

    /// The state that was told last, without asking.
    pub(super) fn told(&self) -> TaskState {
        state(self.watch.latest())
    }

    /// The next document about the task, beginning with what is known. Cancel safe; documents that
    /// come faster than they are asked for are skipped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// # let handle = add(1, 2).delay(&app).await?;
    /// # let id = handle.id().clone();
    /// # worker.drain().await;
    /// let mut result = app.result::<i64>(id);
    /// let mut document = result.next().await?;
    /// while !document.state.is_ready() {
    ///     println!("{} so far", document.state);
    ///     document = result.next().await?;
    /// }
    /// assert_eq!(document.result.decode::<i64>()?, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ResultError::NotKept`].
    pub async fn next(&mut self) -> Result<Arc<StoredResult>, ResultError> {
        let id = &self.id;
        let never = |never: NotKept| ResultError::NotKept { id: id.clone(), why: never.why };
        self.watch.changed().await.map_err(never)
    }

    /// Revokes the task: see [`Client::revoke`].
    ///
    /// ```no_run
    /// # async fn example(app: celeriac::app::App) -> anyhow::Result<()> {
    /// use celeriac::control::Reach;
    ///
    /// let result = app.result::<i64>("1f3a7a36-9e5d-4c56-8f0e-0a5a4c0d7f11");
    /// if !result.state().await?.is_ready() {
    ///     result.revoke(Reach::Running).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`RevokeError`].
    pub async fn revoke(&self, reach: Reach) -> Result<(), RevokeError> {
        self.client.revoke(self.id.clone(), reach).await
    }

    /// Removes what is kept of the result.
    ///
    /// ```no_run
    /// # async fn example(app: celeriac::app::App) -> anyhow::Result<()> {
    /// app.result::<i64>("1f3a7a36-9e5d-4c56-8f0e-0a5a4c0d7f11").forget().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn forget(self) -> Result<(), StoreError> {
        self.client.results.forget(&self.id).await
    }
}

impl<T: DeserializeOwned> ResultHandle<T> {
    /// Waits for the value.
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
    /// worker.drain().await;
    /// let as_text = app.result::<String>(handle.id().clone()).wait().await;
    /// assert!(matches!(as_text, Err(ResultError::Decode { .. })));
    /// assert_eq!(app.result::<i64>(handle.id().clone()).wait().await?, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the task ends without one, or it is no `T`.
    pub async fn wait(mut self) -> Result<T, ResultError> {
        let ended = self.watch.ended().await;
        let id = self.id;
        let result =
            ended.map_err(|never| ResultError::NotKept { id: id.clone(), why: never.why })?;
        let decode =
            |why| ResultError::Decode { id: id.clone(), wanted: std::any::type_name::<T>(), why };
        match result.exception().map_err(decode)? {
            None => result.result.decode().map_err(decode),
            Some(exception) => Err(ResultError::Failed {
                id,
                state: result.state.clone(),
                exception: exception.into(),
                traceback: result.traceback.clone(),
            }),
        }
    }

    /// [`ResultHandle::wait`], but not for longer than this.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// use std::time::Duration;
    ///
    /// # let app = App::in_memory();
    /// let handle = add(1, 2).delay(&app).await?;
    /// let result = app.result::<i64>(handle.id().clone());
    /// let error = result.timeout(Duration::from_millis(1)).await.unwrap_err();
    /// assert!(error.to_string().ends_with("within 1ms"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Also [`ResultError::TimedOut`].
    pub async fn timeout(self, limit: Duration) -> Result<T, ResultError> {
        let id = self.id.clone();
        match tokio::time::timeout(limit, self.wait()).await {
            Ok(result) => result,
            Err(_) => Err(ResultError::TimedOut { id, waited: limit }),
        }
    }
}

/// Waiting for a handle is waiting for the value: see [`ResultHandle::wait`].
impl<T: DeserializeOwned + 'static> IntoFuture for ResultHandle<T> {
    type Output = Result<T, ResultError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait())
    }
}

fn state(latest: Latest) -> TaskState {
    latest.map_or(TaskState::Pending, |result| result.state.clone())
}
