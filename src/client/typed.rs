//! Sending typed calls, and what a handle to one can do.

use super::{Client, ResultError, TaskHandle};
use crate::protocol::TaskState;
use crate::publisher::{Call, SendError, Sent};
use crate::task::Task;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use std::future::IntoFuture;

impl<T: Task> Call<T> {
    /// Sends the call through an app or a client. Resolves when the broker has confirmed it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// let handle = add(2, 3).priority(9).delay(&app).await?; // the broker has it
    /// # worker.drain().await;
    /// assert_eq!(handle.await?, 5); // its value, once a worker has run it
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub async fn delay(self, app: &impl AsRef<Client>) -> Result<TaskHandle<T::Output>, SendError> {
        let (args, options) = self.into_parts();
        let written = T::write(&args);
        let (args, kwargs) = (written.args(), written.kwargs());
        // Boxed, so that a program which sends from deep within does not carry kilobytes around.
        Box::pin(app.as_ref().call(T::NAME, &args, &kwargs, options)).await
    }

    /// Sends the call as one whose result nobody wants.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// # let app = App::in_memory();
    /// let sent = welcome(42).send(&app).await?;
    /// assert!(!sent.keeps_result);
    /// assert_eq!(app.sent::<welcome>(), [(42,)]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub async fn send(self, app: &impl AsRef<Client>) -> Result<Sent, SendError> {
        let (args, options) = self.into_parts();
        let written = T::write(&args);
        let (args, kwargs) = (written.args(), written.kwargs());
        Box::pin(app.as_ref().send(T::NAME, &args, &kwargs, options)).await
    }
}

impl Client {
    /// Sends many calls, many of them in flight at once. Each answer is that of the call at the
    /// same place; one failure does not stop the others.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// use futures::TryStreamExt;
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// let calls = (1..=3).map(|n| add(n, n));
    /// let handles: Vec<_> = app.client().delay_all(calls).try_collect().await?;
    /// worker.drain().await;
    /// for (handle, n) in handles.into_iter().zip(1..) {
    ///     assert_eq!(handle.await?, n + n);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn delay_all<'a, T: Task>(
        &'a self,
        calls: impl IntoIterator<Item = Call<T>, IntoIter: Send + 'a>,
    ) -> impl Stream<Item = Result<TaskHandle<T::Output>, SendError>> + Send + 'a {
        let send = move |call: Call<T>| call.delay(self);
        futures::stream::iter(calls).map(send).buffered(super::IN_FLIGHT)
    }
}

impl AsRef<Client> for Client {
    fn as_ref(&self) -> &Client {
        self
    }
}

/// What a running task tells of how far it has come.
///
/// ```
/// # use celeriac::prelude::*;
/// use futures::StreamExt;
///
/// async fn watch(mut handle: TaskHandle<String>) {
///     let mut reports = std::pin::pin!(handle.progress());
///     while let Some(ProgressReport { share, message, .. }) = reports.next().await {
///         println!("{share:?} {}", message.unwrap_or_default());
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressReport {
    /// The share that is done, from 0 to 1, if the task told one.
    pub share: Option<f64>,
    /// A word about it.
    pub message: Option<String>,
    /// The whole report.
    pub value: serde_json::Value,
}

impl<T> TaskHandle<T> {
    /// What the task reports while it runs; ends when it has ended. Reports that come faster than
    /// they are taken are skipped. Cancel safe.
    ///
    /// ```no_run
    /// # use celeriac::prelude::*;
    /// # use futures::StreamExt;
    /// # async fn example(mut handle: TaskHandle<String>) -> anyhow::Result<()> {
    /// {
    ///     let mut reports = std::pin::pin!(handle.progress());
    ///     while let Some(report) = reports.next().await {
    ///         tracing::info!(share = report.share, "still at it");
    ///     }
    /// }
    /// let value = handle.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn progress(&mut self) -> impl Stream<Item = ProgressReport> + Send {
        futures::stream::unfold(self, |handle| async move {
            loop {
                if handle.state().is_ready() {
                    return None;
                }
                let document = handle.next().await;
                if document.state == TaskState::progress() {
                    let value = document.result.decode().unwrap_or_default();
                    return Some((ProgressReport::new(value), handle));
                }
            }
        })
    }
}

impl ProgressReport {
    fn new(value: serde_json::Value) -> Self {
        let message = value["message"].as_str().map(str::to_owned);
        Self { share: value["progress"].as_f64(), message, value }
    }
}

/// Waiting for a handle is waiting for the value: see [`TaskHandle::result`].
impl<T: DeserializeOwned + 'static> IntoFuture for TaskHandle<T> {
    type Output = Result<T, ResultError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.result())
    }
}
