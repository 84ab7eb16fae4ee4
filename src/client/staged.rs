//! Staging calls and workflows in a transaction of a database, to be sent once it is committed.

use super::workflow::expect_all;
use super::{Client, ResultHandle, TaskHandle, UNWANTED, WorkflowHandle};
use crate::canvas::{BadCanvas, BeginChord, Canvas, Ids, Origin, Shape, plan, prepare};
use crate::ids::TaskId;
use crate::outbox::{InsertError, NewRow, Staging};
use crate::publisher::{Call, Flow, FlowError, SendError, SendOptions};
use crate::results::{Expected, NewChord, NotKept, Watch};
use crate::task::Task;
use serde::Serialize;
use std::marker::PhantomData;
use std::time::Duration;

/// How long a queue for the result is waited for. Staging does not need the broker.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why the result of a task cannot be awaited that was staged while the broker was away.
const AWAY: NotKept = NotKept {
    why: "the broker was away when the task was staged, so that it names no queue for its result; \
          with another `backend` in [results] it is kept",
};

/// A task, or a workflow, that is staged: it is sent once the transaction is committed, and never if
/// it is rolled back.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::prelude::*;
/// # #[task(name = "mail.welcome")]
/// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
/// # let folder = tempfile::tempdir()?;
/// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
/// # let mut config = celeriac::config::Config::default();
/// # config.outbox.url = url.as_str().into();
/// # let app = App::in_memory_with(config)?;
/// # celeriac::outbox::Outbox::open(&url.as_str().into())?.create_table().await?;
/// # let database = celeriac::outbox::sqlx::SqlitePool::connect(&url).await?;
/// let mut transaction = database.begin().await?;
/// let staged: celeriac::client::Staged<TaskHandle<()>> =
///     welcome(42).stage(&app, &mut *transaction).await?;
/// transaction.rollback().await?;
/// app.relay().expect("there is an outbox").flush().await?;
/// assert!(app.all_sent().is_empty());
/// # drop(staged);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping it forgets the result, not the task"]
pub struct Staged<H> {
    handle: H,
}

/// Why a task was not staged. The transaction is as the database left it: PostgreSQL refuses
/// everything else in a transaction after [`StageError::Insert`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// The call cannot be written or addressed, or cannot wait to be sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// It is no workflow.
    #[error(transparent)]
    Canvas(#[from] BadCanvas),
    /// It begins with a chord, and the result backend joins none.
    #[error("the result backend joins no chords: set `backend` in [results]")]
    NoChords,
    /// The database did not take it.
    #[error(transparent)]
    Insert(#[from] InsertError),
}

impl From<FlowError> for StageError {
    fn from(error: FlowError) -> Self {
        Self::Send(error.into())
    }
}

impl<H> Staged<H> {
    /// The handle through which the result comes. Await it after the commit: before, nobody sends the
    /// task.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    /// # let mut config = celeriac::config::Config::default();
    /// # config.outbox.url = url.as_str().into();
    /// # let app = App::in_memory_with(config)?;
    /// # celeriac::outbox::Outbox::open(&url.as_str().into())?.create_table().await?;
    /// # let database = celeriac::outbox::sqlx::SqlitePool::connect(&url).await?;
    /// # let relay = app.relay().expect("there is an outbox");
    /// let mut transaction = database.begin().await?;
    /// let staged = add(1, 2).stage(&app, &mut *transaction).await?;
    /// transaction.commit().await?;
    /// # relay.flush().await?;
    /// # TestWorker::new(&app).register::<add>().drain().await;
    /// assert_eq!(staged.handle().await?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn handle(self) -> H {
        self.handle
    }
}

impl<T> Staged<TaskHandle<T>> {
    /// The task's id, known before it is sent.
    ///
    /// ```no_run
    /// # use celeriac::prelude::*;
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// use celeriac::outbox::sqlx;
    /// # async fn example(app: &App, database: &sqlx::SqlitePool) -> anyhow::Result<()> {
    /// let mut transaction = database.begin().await?;
    /// let staged = welcome(42).stage(app, &mut *transaction).await?;
    /// sqlx::query("UPDATE users SET welcome = $1 WHERE id = 42")
    ///     .bind(staged.id().as_str())
    ///     .execute(&mut *transaction)
    ///     .await?;
    /// transaction.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn id(&self) -> &TaskId {
        self.handle.id()
    }
}

impl<T> Staged<WorkflowHandle<T>> {
    /// The ids behind the workflow's result, known before it is sent.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    /// # let mut config = celeriac::config::Config::default();
    /// # config.outbox.url = url.as_str().into();
    /// # let app = App::in_memory_with(config)?;
    /// # celeriac::outbox::Outbox::open(&url.as_str().into())?.create_table().await?;
    /// # let database = celeriac::outbox::sqlx::SqlitePool::connect(&url).await?;
    /// let mut connection = database.acquire().await?;
    /// let flow = add(1, 2).then(add::partial(3));
    /// let staged = flow.stage(&app, &mut *connection).await?;
    /// assert_eq!(staged.shape().last().len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn shape(&self) -> &Shape {
        self.handle.shape()
    }
}

impl Client {
    /// Stages a task by name on `on`, in the transaction that is open there: see [`Call::stage`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    /// # let mut config = celeriac::config::Config::default();
    /// # config.outbox.url = url.as_str().into();
    /// # let app = App::in_memory_with(config)?;
    /// # celeriac::outbox::Outbox::open(&url.as_str().into())?.create_table().await?;
    /// # let database = celeriac::outbox::sqlx::SqlitePool::connect(&url).await?;
    /// let mut transaction = database.begin().await?;
    /// let options = SendOptions::default().queue("default");
    /// let client = app.client();
    /// let staged =
    ///     client.stage::<()>("report.daily", &(42,), &(), options, &mut *transaction).await?;
    /// transaction.commit().await?;
    /// assert!(app.all_sent().is_empty()); // until a relay sends it
    /// # app.relay().expect("there is an outbox").flush().await?;
    /// # assert_eq!(app.all_sent()[0].id(), staged.id());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`StageError`].
    pub async fn stage<T>(
        &self,
        task: &str,
        args: &(impl Serialize + ?Sized),
        kwargs: &(impl Serialize + ?Sized),
        mut options: SendOptions,
        on: &mut impl Staging,
    ) -> Result<Staged<TaskHandle<T>>, StageError> {
        let id = options.id.take().unwrap_or_else(TaskId::random);
        let Expected { watch, reply_to } = self.expect_staged(id.clone()).await;
        let mut options = options.id(id.clone());
        if let Some(queue) = reply_to {
            options = options.reply_to(queue);
        }
        let prepared = self.publisher.prepare(task, args, kwargs, options)?;
        let (parcel, sent) = prepared.into_parcel()?;
        on.insert(&[NewRow::new(parcel, &[])]).await?;
        let watch = if sent.keeps_result { watch } else { Watch::never(UNWANTED) };
        let result = ResultHandle::new(id, watch, self.clone());
        Ok(Staged { handle: TaskHandle { sent, result } })
    }

    /// Stages a workflow: see [`Flow::stage`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// use celeriac::canvas::chain;
    /// use celeriac::protocol::Signature;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    /// # let mut config = celeriac::config::Config::default();
    /// # config.outbox.url = url.as_str().into();
    /// # let app = App::in_memory_with(config)?;
    /// # celeriac::outbox::Outbox::open(&url.as_str().into())?.create_table().await?;
    /// # let database = celeriac::outbox::sqlx::SqlitePool::connect(&url).await?;
    /// let steps = [Signature::call("shop.order", &(42,))?, Signature::new("shop.ship")];
    /// let mut transaction = database.begin().await?;
    /// let staged = app.client().stage_canvas::<()>(chain(steps), &mut *transaction).await?;
    /// transaction.commit().await?;
    /// # app.relay().expect("there is an outbox").flush().await?;
    /// # assert_eq!(app.all_sent().len(), 1);
    /// # drop(staged);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`StageError`].
    pub async fn stage_canvas<T>(
        &self,
        canvas: impl Into<Canvas>,
        on: &mut impl Staging,
    ) -> Result<Staged<WorkflowHandle<T>>, StageError> {
        let (canvas, shape) = prepare(canvas.into(), Ids::Random)?;
        let (watches, reply_to) = expect_all(&shape, |id| self.expect_staged(id)).await;
        let origin = Origin { reply_to, ..Origin::default() };
        let plan = plan(canvas, None, origin, Ids::Random)?;
        if !plan.chords.is_empty() && self.results.chords().is_none() {
            return Err(StageError::NoChords);
        }
        let begun = |BeginChord { group_id, members }| NewChord { group_id, members };
        let chords: Vec<NewChord> = plan.chords.into_iter().map(begun).collect();
        let mut rows = Vec::with_capacity(plan.messages.len());
        for message in &plan.messages {
            let prepared = self.publisher.prepare_planned(message, None, None)?;
            rows.push(NewRow::new(prepared.into_parcel()?.0, &chords));
        }
        on.insert(&rows).await?;
        let (client, value) = (self.clone(), PhantomData);
        Ok(Staged { handle: WorkflowHandle { shape, client, watches, value } })
    }

    /// Prepares to hear of a task, if the broker is there.
    async fn expect_staged(&self, id: TaskId) -> Expected {
        let expected = tokio::time::timeout(PATIENCE, self.results.expect(id)).await;
        expected.unwrap_or_else(|_| Expected { watch: Watch::never(AWAY), reply_to: None })
    }
}

impl<T: Task> Call<T> {
    /// Stages the call in the transaction that is open on `on`: it is sent if and only if that is
    /// committed, by a relay (`[outbox]`). The broker need not be there.
    ///
    /// Its id is known at once. A countdown counts from now, and not from the commit; the options
    /// that say how to send, [`deadline`](Call::deadline), do not matter. A
    /// [unique](Call::unique) call is refused. The task may be sent twice, with the same id, if a
    /// relay dies at the wrong moment.
    ///
    /// `on` is a connection of sqlx 0.9, PostgreSQL or SQLite, in the database that the relay reads;
    /// without an open transaction the call is staged by itself.
    ///
    /// ```no_run
    /// # use celeriac::prelude::*;
    /// use celeriac::outbox::sqlx;
    /// # #[task]
    /// # async fn welcome(user: i64) -> anyhow::Result<String> { Ok(user.to_string()) }
    /// # async fn example(app: &App, database: &sqlx::SqlitePool) -> anyhow::Result<()> {
    /// let mut transaction = database.begin().await?;
    /// sqlx::query("INSERT INTO users (id) VALUES (42)").execute(&mut *transaction).await?;
    /// let staged = welcome(42).stage(app, &mut *transaction).await?;
    /// transaction.commit().await?; // from here on it will be sent, whatever dies
    /// let told: String = staged.handle().await?; // if somebody wants its result
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`StageError`].
    pub async fn stage(
        self,
        app: &impl AsRef<Client>,
        on: &mut impl Staging,
    ) -> Result<Staged<TaskHandle<T::Output>>, StageError> {
        let (args, options) = self.into_parts();
        let written = T::write(&args);
        let (args, kwargs) = (written.args(), written.kwargs());
        Box::pin(app.as_ref().stage(T::NAME, &args, &kwargs, options, on)).await
    }
}

impl<T> Flow<T> {
    /// Stages the workflow as [`Call::stage`] does a call: every task that begins it, in one
    /// transaction. Chords are begun by the relay, before their members are sent.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "shop.total")]
    /// # async fn total(all: Vec<i64>) -> anyhow::Result<i64> { Ok(all.iter().sum()) }
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    /// # let mut config = celeriac::config::Config::default();
    /// # config.outbox.url = url.as_str().into();
    /// # let app = App::in_memory_with(config)?;
    /// # celeriac::outbox::Outbox::open(&url.as_str().into())?.create_table().await?;
    /// # let database = celeriac::outbox::sqlx::SqlitePool::connect(&url).await?;
    /// let mut transaction = database.begin().await?;
    /// let sums = group((1..=3).map(|n| add(n, n)));
    /// let staged = sums.then(total::partial()).stage(&app, &mut *transaction).await?;
    /// transaction.commit().await?;
    /// # app.relay().expect("there is an outbox").flush().await?;
    /// # TestWorker::new(&app).register::<add>().register::<total>().drain().await;
    /// assert_eq!(staged.handle().await?, 12);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`StageError`].
    pub async fn stage(
        self,
        app: &impl AsRef<Client>,
        on: &mut impl Staging,
    ) -> Result<Staged<WorkflowHandle<T>>, StageError> {
        Box::pin(app.as_ref().stage_canvas(self.into_canvas()?, on)).await
    }
}
