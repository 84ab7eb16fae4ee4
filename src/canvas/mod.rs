//! Workflows: tasks that follow one another, run side by side, and come together again.
//!
//! A [`Canvas`] is a workflow as a value: tasks, and chains, groups and chords of them, nested to
//! any depth. It is written as Celery writes it, as one [`Signature`], so that either side can send
//! what the other carries on. [`plan()`] turns it into the messages that begin it; [`follow`] says
//! what a worker sends after each task. Everything here is pure: the publisher sends, and the
//! worker asks the result store whether a chord is complete.
//!
//! Every task of a workflow has its id before anything is sent, and what is made up on the way is
//! derived from the id of the task that made it. So a message that is handed out twice is followed
//! by the same messages twice, recognisably.
//!
//! ```
//! use celeriac::canvas::{chain, chord, group};
//! use celeriac::protocol::Signature;
//!
//! # fn main() -> Result<(), celeriac::protocol::EncodeError> {
//! let sum = Signature::new("shop.total");
//! let prices = [1, 2, 3].map(|item| Signature::call("shop.price", &(item,)));
//! let prices = prices.into_iter().collect::<Result<Vec<_>, _>>()?;
//! let order = chain([chord(prices, sum), Signature::call("shop.charge", &("card",))?.into()]);
//! # let _ = (order, group([Signature::new("a")]));
//! # Ok(())
//! # }
//! ```

mod arrange;
pub mod follow;
mod freeze;
mod ids;
mod options;
mod plan;
mod read;
mod shape;
#[cfg(test)]
mod tests;
mod write;

pub use ids::Ids;
pub use plan::{BeginChord, Message, Origin, Plan, plan, prepare};
pub use read::BadCanvas;
pub use shape::Shape;

use crate::protocol::{Signature, Value};

/// A workflow that is not yet sent.
///
/// ```
/// use celeriac::canvas::{Canvas, chain, group};
/// use celeriac::protocol::Signature;
///
/// let [a, b, c] = ["a", "b", "c"].map(Signature::new);
/// let canvas: Canvas = chain([a.into(), group([b, c])]);
/// let Canvas::Chain(steps) = canvas else { panic!("it is a chain") };
/// assert!(matches!(&steps[1], Canvas::Group(group) if group.tasks.len() == 2));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a workflow does nothing until it is sent"]
pub enum Canvas {
    /// One task.
    Task(Signature),
    /// One after the other, each given the result of the one before.
    Chain(Vec<Canvas>),
    /// Side by side.
    Group(Group),
    /// Side by side, and then one that is given the list of their results.
    Chord(Chord),
}

/// Workflows side by side.
///
/// ```
/// use celeriac::canvas::{Canvas, Group};
/// use celeriac::protocol::Signature;
///
/// let tasks = ["a", "b"].map(|task| Canvas::from(Signature::new(task))).to_vec();
/// let canvas = Canvas::Group(Group { tasks, ..Group::default() });
/// # let _ = canvas;
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Group {
    /// The id of the group, once it has one.
    pub id: Option<String>,
    /// Its members.
    pub tasks: Vec<Canvas>,
}

/// A header whose results are gathered, and the body that is given them.
///
/// ```
/// use celeriac::canvas::{Canvas, Chord, chord};
/// use celeriac::protocol::Signature;
///
/// let canvas = chord(["a", "b"].map(Signature::new), Signature::new("c"));
/// let Canvas::Chord(Chord { header, body, .. }) = canvas else { panic!("it is a chord") };
/// assert_eq!(header.len(), 2);
/// assert_eq!(*body, Signature::new("c").into());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Chord {
    /// The id of the group of its members, once it has one.
    pub id: Option<String>,
    /// The members.
    pub header: Vec<Canvas>,
    /// What follows.
    pub body: Box<Canvas>,
}

/// One after the other, each given the result of the one before. A group that is not the last is
/// gathered: what follows it is given the list of its results.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::prelude::*;
/// # use celeriac::testing::TestWorker;
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// use celeriac::canvas::chain;
/// use celeriac::protocol::Signature;
///
/// # let app = App::in_memory();
/// # let worker = TestWorker::new(&app).register::<add>();
/// let steps = [Signature::call("shop.add", &(1, 2))?, Signature::call("shop.add", &(10,))?];
/// let sum = app.client().apply::<i64>(chain(steps)).await?;
/// worker.drain().await;
/// assert_eq!(sum.await?, 13);
/// # Ok(())
/// # }
/// ```
pub fn chain<C: Into<Canvas>>(steps: impl IntoIterator<Item = C>) -> Canvas {
    Canvas::Chain(steps.into_iter().map(Into::into).collect())
}

/// Side by side.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::prelude::*;
/// # use celeriac::testing::TestWorker;
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// use celeriac::canvas::group;
/// use celeriac::protocol::Signature;
///
/// # let app = App::in_memory();
/// # let worker = TestWorker::new(&app).register::<add>();
/// let tasks = [Signature::call("shop.add", &(1, 1))?, Signature::call("shop.add", &(2, 2))?];
/// let sums = app.client().apply::<Vec<i64>>(group(tasks)).await?;
/// worker.drain().await;
/// assert_eq!(sums.await?, [2, 4]);
/// # Ok(())
/// # }
/// ```
pub fn group<C: Into<Canvas>>(tasks: impl IntoIterator<Item = C>) -> Canvas {
    Canvas::Group(Group { id: None, tasks: tasks.into_iter().map(Into::into).collect() })
}

/// Side by side, and then `body`, which is given the list of their results in order.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::prelude::*;
/// # use celeriac::testing::TestWorker;
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// # #[task(name = "shop.total")]
/// # async fn total(all: Vec<i64>) -> anyhow::Result<i64> { Ok(all.iter().sum()) }
/// use celeriac::canvas::chord;
/// use celeriac::protocol::Signature;
///
/// # let app = App::in_memory();
/// # let worker = TestWorker::new(&app).register::<add>().register::<total>();
/// let header = [Signature::call("shop.add", &(1, 1))?, Signature::call("shop.add", &(2, 2))?];
/// let sum = app.client().apply::<i64>(chord(header, Signature::new("shop.total"))).await?;
/// worker.drain().await;
/// assert_eq!(sum.await?, 6);
/// # Ok(())
/// # }
/// ```
pub fn chord<C: Into<Canvas>>(
    header: impl IntoIterator<Item = C>,
    body: impl Into<Canvas>,
) -> Canvas {
    let header = header.into_iter().map(Into::into).collect();
    Canvas::Chord(Chord { id: None, header, body: Box::new(body.into()) })
}

/// One task that calls `task` with each of `items` in turn and returns the list of the values.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::prelude::*;
/// # use celeriac::testing::TestWorker;
/// # #[task(name = "text.show")]
/// # async fn show(n: i64) -> anyhow::Result<String> { Ok(n.to_string()) }
/// use celeriac::canvas::map;
/// use celeriac::protocol::Signature;
///
/// # let app = App::in_memory();
/// # let worker = TestWorker::new(&app).register::<show>();
/// let canvas = map(&Signature::new("text.show"), [1.into(), 2.into()]);
/// let texts = app.client().apply::<Vec<String>>(canvas).await?;
/// worker.drain().await;
/// assert_eq!(texts.await?, ["1", "2"]);
/// # Ok(())
/// # }
/// ```
pub fn map(task: &Signature, items: impl IntoIterator<Item = Value>) -> Canvas {
    over("celery.map", "xmap", task, items.into_iter().collect())
}

/// [`map`] with a list of arguments for each call.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::prelude::*;
/// # use celeriac::testing::TestWorker;
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// use celeriac::canvas::starmap;
/// use celeriac::protocol::Signature;
///
/// # let app = App::in_memory();
/// # let worker = TestWorker::new(&app).register::<add>();
/// let pairs = [vec![1.into(), 1.into()], vec![2.into(), 2.into()]];
/// let canvas = starmap(&Signature::new("shop.add"), pairs);
/// let sums = app.client().apply::<Vec<i64>>(canvas).await?;
/// worker.drain().await;
/// assert_eq!(sums.await?, [2, 4]);
/// # Ok(())
/// # }
/// ```
pub fn starmap(task: &Signature, items: impl IntoIterator<Item = Vec<Value>>) -> Canvas {
    let items = items.into_iter().map(Value::Array).collect();
    over("celery.starmap", "xstarmap", task, items)
}

/// Many calls in few tasks: a group in which each member makes `size` of the calls in turn. A size
/// of zero means one.
///
/// ```
/// use celeriac::canvas::{Canvas, chunks};
/// use celeriac::protocol::Signature;
///
/// let users = (0..100).map(|user| vec![user.into()]);
/// let canvas = chunks(&Signature::new("mail.welcome"), users, 30);
/// assert!(matches!(canvas, Canvas::Group(group) if group.tasks.len() == 4));
/// ```
pub fn chunks(
    task: &Signature,
    items: impl IntoIterator<Item = Vec<Value>>,
    size: usize,
) -> Canvas {
    let items: Vec<_> = items.into_iter().map(Value::Array).collect();
    let chunk = |items: &[Value]| match over("celery.starmap", "xstarmap", task, items.to_vec()) {
        // Celery's chunks are sent without a type.
        Canvas::Task(signature) => Canvas::Task(Signature { subtask_type: None, ..signature }),
        other => other,
    };
    group(items.chunks(size.max(1)).map(chunk))
}

fn over(name: &str, kind: &str, task: &Signature, items: Vec<Value>) -> Canvas {
    let mut call = Signature::new(name);
    call.kwargs.insert("task".to_owned(), task.to_value());
    call.kwargs.insert("it".to_owned(), Value::Array(items));
    call.subtask_type = Some(kind.to_owned());
    Canvas::Task(call)
}

impl Canvas {
    /// Sends `callback` after its success, given its result.
    ///
    /// That of a chain is its last step's, of a chord its body's; a group has no one result, and
    /// its first member gets a callback that is given none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "text.show")]
    /// # async fn show(n: i64) -> anyhow::Result<String> { Ok(n.to_string()) }
    /// use celeriac::canvas::Canvas;
    /// use celeriac::protocol::Signature;
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>().register::<show>();
    /// let add = Canvas::from(Signature::call("shop.add", &(1, 2))?);
    /// let sum = app.client().apply::<i64>(add.link(&Signature::new("text.show"))).await?;
    /// worker.drain().await;
    /// assert_eq!(app.sent::<show>(), [(3,)]);
    /// # drop(sum);
    /// # Ok(())
    /// # }
    /// ```
    pub fn link(mut self, callback: &Signature) -> Self {
        match &mut self {
            Self::Task(task) => options::push(task, "link", callback),
            Self::Chain(steps) => on_each(steps.last_mut(), |step| step.link(callback)),
            Self::Group(group) => {
                let callback = callback.clone().immutable();
                on_each(group.tasks.first_mut(), |task| task.link(&callback));
            }
            Self::Chord(chord) => on_each([&mut *chord.body], |body| body.link(callback)),
        }
        self
    }

    /// Sends `errback` after its failure, given the id of the task that failed.
    ///
    /// It stands at every task of a chain and of a group, and at the body of a chord.
    ///
    /// ```
    /// use celeriac::canvas::{Canvas, chain};
    /// use celeriac::protocol::Signature;
    ///
    /// let alert = Signature::new("ops.alert").queue("ops");
    /// let canvas = chain(["a", "b"].map(Signature::new)).link_error(&alert);
    /// let Canvas::Chain(steps) = canvas else { panic!("it is a chain") };
    /// for step in steps {
    ///     assert!(matches!(step, Canvas::Task(task) if task.options.contains_key("link_error")));
    /// }
    /// ```
    pub fn link_error(mut self, errback: &Signature) -> Self {
        match &mut self {
            Self::Task(task) => options::push(task, "link_error", errback),
            Self::Chain(steps) => on_each(steps, |step| step.link_error(errback)),
            Self::Group(group) => on_each(&mut group.tasks, |task| task.link_error(errback)),
            Self::Chord(chord) => on_each([&mut *chord.body], |body| body.link_error(errback)),
        }
        self
    }

    /// Marks it and everything in it with a stamp, as Celery's `stamp` does: every message of the
    /// workflow carries it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// use celeriac::canvas::group;
    /// use celeriac::protocol::Signature;
    ///
    /// # let app = App::in_memory();
    /// let canvas = group(["a", "b"].map(Signature::new)).stamp("customer", &"acme".into());
    /// let handle = app.client().apply::<Vec<i64>>(canvas).await?;
    /// assert!(app.all_sent().iter().all(|sent| sent.headers.stamps["customer"] == "acme".into()));
    /// # drop(handle);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stamp(mut self, name: &str, value: &Value) -> Self {
        match &mut self {
            Self::Task(task) => options::stamp(task, name, value),
            Self::Chain(steps) => on_each(steps, |step| step.stamp(name, value)),
            Self::Group(group) => on_each(&mut group.tasks, |task| task.stamp(name, value)),
            Self::Chord(chord) => {
                on_each(&mut chord.header, |task| task.stamp(name, value));
                on_each([&mut *chord.body], |body| body.stamp(name, value));
            }
        }
        self
    }

    /// Whether it is no task at all.
    ///
    /// ```
    /// use celeriac::canvas::group;
    /// use celeriac::protocol::Signature;
    ///
    /// assert!(group(Vec::<Signature>::new()).is_empty());
    /// assert!(!group([Signature::new("mail.welcome")]).is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Task(_) | Self::Chord(_) => false,
            Self::Chain(steps) => steps.iter().all(Self::is_empty),
            Self::Group(group) => group.tasks.iter().all(Self::is_empty),
        }
    }

    /// Whether its last step is several tasks side by side, so that it has no one result.
    fn ends_in_group(&self) -> bool {
        match self {
            Self::Task(_) => false,
            Self::Chain(steps) => steps.last().is_some_and(Self::ends_in_group),
            Self::Group(_) => true,
            Self::Chord(chord) => chord.body.ends_in_group(),
        }
    }
}

impl From<Signature> for Canvas {
    /// One task, whatever its `subtask_type` says; [`Canvas::read`] looks there.
    fn from(signature: Signature) -> Self {
        Self::Task(signature)
    }
}

fn on_each<'a>(
    canvases: impl IntoIterator<Item = &'a mut Canvas>,
    change: impl Fn(Canvas) -> Canvas,
) {
    for canvas in canvases {
        let whole = std::mem::replace(canvas, Canvas::Chain(Vec::new()));
        *canvas = change(whole);
    }
}
