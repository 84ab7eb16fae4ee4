//! Sending whole workflows, and waiting for what comes of them.

use super::{Client, IN_FLIGHT, ResultError, ResultHandle};
use crate::canvas::{BadCanvas, BeginChord, Canvas, Ids, Message, Origin, Shape, plan, prepare};
use crate::ids::TaskId;
use crate::protocol::{Format, Raw};
use crate::publisher::{Flow, FlowError, SendError};
use crate::results::{Expected, NewChord, StoreError, Watch};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

/// So many chords are begun at once.
const BEGINNING: usize = 50;

/// Why a workflow was not sent, or not whole.
///
/// Some of its tasks may have been sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// It is no workflow.
    #[error(transparent)]
    Canvas(#[from] BadCanvas),
    /// A task was not sent.
    #[error("the workflow is not sent whole: {0}")]
    Send(#[from] SendError),
    /// The result backend did not take a chord. Nothing was sent.
    #[error("the chord is not begun: {0}")]
    Chord(#[from] StoreError),
    /// The result backend joins no chords.
    #[error("the result backend joins no chords: set `backend` in [results]")]
    NoChords,
}

impl From<FlowError> for ApplyError {
    fn from(error: FlowError) -> Self {
        Self::Send(error.into())
    }
}

/// A workflow that was sent and whose result somebody may wait for.
///
/// The result of a chain is that of its last step, of a chord that of its body, of a group the list
/// of its members'. Dropping it forgets the result, not the tasks.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::prelude::*;
/// # use celeriac::testing::TestWorker;
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// # let app = App::in_memory();
/// # let worker = TestWorker::new(&app).register::<add>();
/// let sums: WorkflowHandle<Vec<i64>> = group((1..=3).map(|n| add(n, n))).delay(&app).await?;
/// worker.drain().await;
/// assert_eq!(sums.await?, [2, 4, 6]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping it forgets the result"]
pub struct WorkflowHandle<T = serde_json::Value> {
    pub(super) shape: Shape,
    pub(super) client: Client,
    pub(super) watches: HashMap<TaskId, Watch>,
    pub(super) value: PhantomData<fn() -> T>,
}

impl Client {
    /// Sends a workflow, many of its messages in flight at once, and gives the handle through which
    /// its result comes. Resolves when the broker has confirmed every task that begins it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.price")]
    /// # async fn price(item: u32) -> anyhow::Result<f64> { Ok(f64::from(item) * 1.5) }
    /// # #[task(name = "shop.total")]
    /// # async fn total(prices: Vec<f64>) -> anyhow::Result<f64> { Ok(prices.iter().sum()) }
    /// use celeriac::canvas::chord;
    /// use celeriac::protocol::Signature;
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<price>().register::<total>();
    /// let prices = (1..4).map(|item| Signature::call("shop.price", &(item,)));
    /// let prices = prices.collect::<Result<Vec<_>, _>>()?;
    /// let total = app.client().apply::<f64>(chord(prices, Signature::new("shop.total"))).await?;
    /// # worker.drain().await;
    /// assert_eq!(total.await?, 9.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ApplyError`].
    pub async fn apply<T>(
        &self,
        canvas: impl Into<Canvas>,
    ) -> Result<WorkflowHandle<T>, ApplyError> {
        let (canvas, shape) = prepare(canvas.into(), Ids::Random)?;
        let (watches, reply_to) = expect_all(&shape, |id| self.results().expect(id)).await;
        let origin = Origin { reply_to, ..Origin::default() };
        let plan = plan(canvas, None, origin, Ids::Random)?;
        self.begin_all(plan.chords).await?;
        self.send_planned(plan.messages).await?;
        let (client, value) = (self.clone(), PhantomData);
        Ok(WorkflowHandle { shape, client, watches, value })
    }

    async fn begin_all(&self, chords: Vec<BeginChord>) -> Result<(), ApplyError> {
        if chords.is_empty() {
            return Ok(());
        }
        let store = self.results().chords().ok_or(ApplyError::NoChords)?;
        let begin = |BeginChord { group_id, members }| async move {
            store.begin(&NewChord { group_id, members }).await
        };
        let beginning = futures::stream::iter(chords).map(begin).buffer_unordered(BEGINNING);
        Ok(beginning.try_collect::<()>().await?)
    }

    async fn send_planned(&self, messages: Vec<Message>) -> Result<(), ApplyError> {
        let send = |message: Message| async move {
            self.publisher().send_planned(&message, None, None).await.map(|_| ())
        };
        let sending = futures::stream::iter(messages).map(send).buffer_unordered(IN_FLIGHT);
        Ok(sending.try_collect::<()>().await?)
    }
}

impl<T> Flow<T> {
    /// Sends the workflow through an app or a client. Resolves when the broker has confirmed every
    /// task that begins it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "text.show")]
    /// # async fn show(n: i64) -> anyhow::Result<String> { Ok(n.to_string()) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>().register::<show>();
    /// let text = add(1, 2).then(add::partial(3)).then(show::partial()).delay(&app).await?;
    /// worker.drain().await;
    /// assert_eq!(text.await?, "6");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ApplyError`].
    pub async fn delay(self, app: &impl AsRef<Client>) -> Result<WorkflowHandle<T>, ApplyError> {
        app.as_ref().apply(self.into_canvas()?).await
    }
}

impl<T> WorkflowHandle<T> {
    /// The ids behind the result, and of what comes before.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// let sums = group([add(1, 1), add(2, 2)]).delay(&app).await?;
    /// let sent: Vec<_> = app.all_sent().iter().map(|sent| sent.id().clone()).collect();
    /// assert_eq!(sums.shape().last().len(), 2);
    /// assert!(sums.shape().last().into_iter().all(|id| sent.contains(id)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The result of one task of the workflow by its id. With backend `rpc` those are known that
    /// have the result, and the steps of a chain before them; not the members of a chord.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "text.show")]
    /// # async fn show(n: i64) -> anyhow::Result<String> { Ok(n.to_string()) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>().register::<show>();
    /// let text = add(1, 2).then(show::partial()).delay(&app).await?;
    /// worker.drain().await;
    /// let first = text.shape().parent().expect("a step comes before").last()[0].clone();
    /// assert_eq!(text.task::<i64>(&first).await?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn task<R>(&self, id: &TaskId) -> ResultHandle<R> {
        self.client.result(id.clone())
    }

    /// The handles of the tasks that have the result: one, or the members of a group in order.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// let sums = group([add(1, 1), add(2, 2)]).delay(&app).await?;
    /// worker.drain().await;
    /// for (member, sum) in sums.members::<i64>().into_iter().zip([2, 4]) {
    ///     assert_eq!(member.await?, sum);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn members<R>(&self) -> Vec<ResultHandle<R>> {
        self.shape.last().into_iter().map(|id| self.task(id)).collect()
    }
}

impl<T: DeserializeOwned> WorkflowHandle<T> {
    /// Waits for the result.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// #[task(name = "text.parse", max_retries = 0)]
    /// async fn parse(text: String) -> anyhow::Result<i64> {
    ///     Ok(text.parse()?)
    /// }
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>().register::<parse>();
    /// let flow = parse("three".to_owned()).then(add::partial(1)).delay(&app).await?;
    /// worker.drain().await;
    /// assert!(matches!(flow.result().await, Err(ResultError::Failed { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The first task, in order, that ends without a value; or the result is no `T`.
    pub async fn result(mut self) -> Result<T, ResultError> {
        let value = gather(&self.shape, &mut self.watches).await?;
        value.decode().map_err(|why| ResultError::Decode {
            id: self.shape.last().first().map_or_else(|| TaskId::from(""), |id| (*id).clone()),
            wanted: std::any::type_name::<T>(),
            why,
        })
    }

    /// [`WorkflowHandle::result`], but not for longer than this.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// use std::time::Duration;
    ///
    /// # let app = App::in_memory();
    /// let sums = group([add(1, 1), add(2, 2)]).delay(&app).await?; // and no worker is there
    /// let ended = sums.timeout(Duration::from_millis(1)).await;
    /// assert!(matches!(ended, Err(ResultError::TimedOut { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Also [`ResultError::TimedOut`].
    pub async fn timeout(self, limit: Duration) -> Result<T, ResultError> {
        let id = self.shape.last().first().map_or_else(|| TaskId::from(""), |id| (*id).clone());
        match tokio::time::timeout(limit, self.result()).await {
            Ok(result) => result,
            Err(_) => Err(ResultError::TimedOut { id, waited: limit }),
        }
    }
}

/// Waiting for a handle is waiting for the result: see [`WorkflowHandle::result`].
impl<T: DeserializeOwned + 'static> IntoFuture for WorkflowHandle<T> {
    type Output = Result<T, ResultError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.result())
    }
}

/// Prepares to hear of the tasks that have the workflow's result. Where results come to a queue of
/// ours, and only once, also of the single steps before them; a store can be asked for those later.
pub(super) async fn expect_all<F>(
    shape: &Shape,
    expect: impl Fn(TaskId) -> F,
) -> (HashMap<TaskId, Watch>, Option<String>)
where
    F: Future<Output = Expected>,
{
    let expect = async |ids: Vec<&TaskId>| {
        let expecting = ids.into_iter().map(|id| expect(id.clone()).map(|it| (id.clone(), it)));
        futures::stream::iter(expecting).buffered(IN_FLIGHT).collect::<Vec<_>>().await
    };
    let mut expected = expect(shape.last()).await;
    let reply_to = expected.first().and_then(|(_, expected)| expected.reply_to.clone());
    if reply_to.is_some() {
        expected.extend(expect(steps_before(shape)).await);
    }
    let watches = expected.into_iter().map(|(id, expected)| (id, expected.watch));
    (watches.collect(), reply_to)
}

fn steps_before(shape: &Shape) -> Vec<&TaskId> {
    let mut ids = Vec::new();
    let mut before = shape.parent();
    while let Some(step) = before {
        if let Shape::One { id, .. } = step {
            ids.push(id);
        }
        before = step.parent();
    }
    ids
}

/// The value of a task, or the list of those of a group.
fn gather<'a>(
    shape: &'a Shape,
    watches: &'a mut HashMap<TaskId, Watch>,
) -> BoxFuture<'a, Result<Raw, ResultError>> {
    Box::pin(async move {
        match shape {
            Shape::One { id, .. } => match watches.get_mut(id) {
                Some(watch) => ended(id, watch).await,
                None => Ok(Raw::null()),
            },
            Shape::Many { members, .. } => {
                let mut values = Vec::with_capacity(members.len());
                for member in members {
                    values.push(gather(member, watches).await?);
                }
                let format = values.first().map_or(Format::Json, Raw::format);
                Raw::list(format, values.iter()).map_err(|error| ResultError::Decode {
                    id: shape.last().first().map_or_else(|| TaskId::from(""), |id| (*id).clone()),
                    wanted: "list",
                    why: crate::protocol::DecodeError {
                        place: "result".to_owned(),
                        message: error.to_string(),
                    },
                })
            }
        }
    })
}

async fn ended(id: &TaskId, watch: &mut Watch) -> Result<Raw, ResultError> {
    let ended = watch.ended().await;
    let result = ended.map_err(|never| ResultError::NotKept { id: id.clone(), why: never.why })?;
    let decode = |why| ResultError::Decode { id: id.clone(), wanted: "exception", why };
    match result.exception().map_err(decode)? {
        None => Ok(result.result.clone()),
        Some(exception) => Err(ResultError::Failed {
            id: id.clone(),
            state: result.state.clone(),
            exception: exception.into(),
            traceback: result.traceback.clone(),
        }),
    }
}
