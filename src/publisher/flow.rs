//! Workflows that the compiler checks: a step takes what the step before it gives.

use super::{Call, FlowError, Partial, SendOptions};
use crate::canvas::{self, Canvas};
use crate::protocol::{EncodeError, Signature};
use crate::task::Task;
use serde::Serialize;
use std::fmt;
use std::marker::PhantomData;

/// A workflow whose result is a `T`. Nothing is sent until it meets an app.
///
/// ```
/// use celeriac::prelude::*;
///
/// #[task(name = "math.add")]
/// async fn add(a: i64, b: i64) -> anyhow::Result<i64> {
///     Ok(a + b)
/// }
///
/// #[task(name = "math.total")]
/// async fn total(numbers: Vec<i64>) -> anyhow::Result<i64> {
///     Ok(numbers.iter().sum())
/// }
///
/// #[task(name = "text.show")]
/// async fn show(number: i64) -> anyhow::Result<String> {
///     Ok(number.to_string())
/// }
///
/// // One after the other: i64, then i64, then String.
/// let chain: Flow<String> = add(1, 2).then(add::partial(10)).then(show::partial());
/// // Side by side, and then one that is given all results.
/// let chord: Flow<i64> = group((0..100).map(|n| add(n, n))).then(total::partial());
/// // Different tasks side by side: a tuple.
/// let both: Flow<(i64, String)> = join((add(1, 2), show(3)));
/// // A task in another language, whose result is given by hand.
/// let mixed: Flow<i64> = add(1, 2).then_named::<i64>("ml.score", &()).then(add::partial(1));
/// # let _ = (chain, chord, both, mixed);
/// ```
///
/// A step that takes something else does not compile:
///
/// ```compile_fail,E0308
/// # use celeriac::prelude::*;
/// #[task(name = "math.add")]
/// async fn add(a: i64, b: i64) -> anyhow::Result<i64> {
///     Ok(a + b)
/// }
///
/// #[task(name = "text.hash")]
/// async fn hash(text: String) -> anyhow::Result<u64> {
///     Ok(text.len() as u64)
/// }
///
/// let wrong = add(1, 2).then(hash::partial());
/// ```
#[must_use = "a workflow does nothing until it is sent"]
pub struct Flow<T> {
    canvas: Result<Canvas, FlowError>,
    value: PhantomData<fn() -> T>,
}

/// What can be a part of a workflow: a call, or a workflow.
///
/// ```
/// # use celeriac::prelude::*;
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// # #[task(name = "text.show")]
/// # async fn show(n: i64) -> anyhow::Result<String> { Ok(n.to_string()) }
/// use celeriac::publisher::Step;
///
/// fn with_text(number: impl Step<Output = i64>) -> Flow<String> {
///     number.into_flow().then(show::partial())
/// }
///
/// let one = with_text(add(1, 2)); // a call
/// let two = with_text(add(1, 2).then(add::partial(3))); // or a workflow
/// # let _ = (one, two);
/// ```
pub trait Step {
    /// The type of its result.
    type Output;

    /// It, as a workflow.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// use celeriac::publisher::Step;
    ///
    /// let flow: Flow<i64> = add(1, 2).into_flow();
    /// # let _ = flow;
    /// ```
    fn into_flow(self) -> Flow<Self::Output>;
}

/// Several steps side by side: a tuple of two to six.
///
/// ```
/// # use celeriac::prelude::*;
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// # #[task(name = "text.show")]
/// # async fn show(n: i64) -> anyhow::Result<String> { Ok(n.to_string()) }
/// let parts = (add(1, 2), show(3), group([add(4, 5), add(6, 7)]));
/// let flow: Flow<(i64, String, Vec<i64>)> = join(parts);
/// # let _ = flow;
/// ```
pub trait Parts {
    /// The tuple of their results.
    type Output;

    /// They, as members of a group.
    ///
    /// # Errors
    ///
    /// See [`FlowError`].
    fn into_members(self) -> Result<Vec<Canvas>, FlowError>;
}

/// The same task, or the same kind of workflow, many times side by side. The result is the list of
/// the results, in order.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::prelude::*;
/// # use celeriac::testing::TestWorker;
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// # let app = App::in_memory();
/// # let worker = TestWorker::new(&app).register::<add>();
/// let sums = group((1..=3).map(|n| add(n, n))).delay(&app).await?;
/// worker.drain().await;
/// assert_eq!(sums.await?, [2, 4, 6]);
/// # Ok(())
/// # }
/// ```
pub fn group<S: Step>(members: impl IntoIterator<Item = S>) -> Flow<Vec<S::Output>> {
    let members = members.into_iter().map(|member| member.into_flow().canvas);
    Flow::of(members.collect::<Result<Vec<_>, _>>().map(canvas::group))
}

/// Different steps side by side: a tuple of two to six. The result is the tuple of the results.
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
/// let both = join((add(1, 2), show(3))).delay(&app).await?;
/// worker.drain().await;
/// let (sum, text): (i64, String) = both.await?;
/// assert_eq!((sum, text.as_str()), (3, "3"));
/// # Ok(())
/// # }
/// ```
pub fn join<P: Parts>(parts: P) -> Flow<P::Output> {
    Flow::of(parts.into_members().map(canvas::group))
}

impl<T> Flow<T> {
    fn of(canvas: Result<Canvas, FlowError>) -> Self {
        Self { canvas, value: PhantomData }
    }

    /// Then this, given the result as its first argument.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "shop.total")]
    /// # async fn total(all: Vec<i64>) -> anyhow::Result<i64> { Ok(all.iter().sum()) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>().register::<total>();
    /// let sums = group([add(1, 1), add(2, 2)]);
    /// let sum = sums.then(total::partial()).then(add::partial(10)).delay(&app).await?;
    /// worker.drain().await;
    /// assert_eq!(sum.await?, 16);
    /// # Ok(())
    /// # }
    /// ```
    pub fn then<U: Task>(self, step: Partial<U, T>) -> Flow<U::Output> {
        self.followed(written(step.into_signature()))
    }

    /// Then this, which is given nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "shop.total")]
    /// # async fn total(all: Vec<i64>) -> anyhow::Result<i64> { Ok(all.iter().sum()) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>().register::<total>();
    /// let sums = group([add(1, 1), add(2, 2)]);
    /// let after = sums.then_immutable(add(20, 22)).delay(&app).await?;
    /// worker.drain().await;
    /// assert_eq!(after.await?, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn then_immutable<U: Task>(self, step: Call<U>) -> Flow<U::Output> {
        self.followed(written(step.into_signature()).map(Signature::immutable))
    }

    /// Then a task that only its name tells, in whichever language. It is given the result as its
    /// first argument, before `args`: a tuple, a list or `()`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// let flow: Flow<f64> = group([add(1, 1), add(2, 2)]).then_named("ml.mean", &("rounded",));
    /// let mean = flow.delay(&app).await?;
    /// # worker.drain().await;
    /// let sent = app.sent_named("ml.mean"); // once both sums are there
    /// assert_eq!(sent[0].args::<(Vec<i64>, String)>()?, (vec![2, 4], "rounded".to_owned()));
    /// # drop(mean);
    /// # Ok(())
    /// # }
    /// ```
    pub fn then_named<U>(self, task: &str, args: &(impl Serialize + ?Sized)) -> Flow<U> {
        self.followed(Signature::call(task, args).map_err(FlowError::from))
    }

    /// Sends this after its success as well, given the result. Nobody waits for it.
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
    /// let sum = add(1, 2).then(add::partial(3)).on_success(show::partial()).delay(&app).await?;
    /// worker.drain().await;
    /// assert_eq!(app.sent::<show>(), [(6,)]);
    /// assert_eq!(sum.await?, 6); // not the text
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_success<U: Task>(self, callback: Partial<U, T>) -> Self {
        self.with(written(callback.into_signature()), |canvas, callback| canvas.link(&callback))
    }

    /// Sends this when a task of it fails, given the id of the task that failed.
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
    /// #[task(name = "ops.alert")]
    /// async fn alert(failed: String) -> anyhow::Result<()> {
    ///     anyhow::ensure!(!failed.is_empty());
    ///     Ok(())
    /// }
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).with(tasks![add, parse, alert]);
    /// let flow = parse("three".to_owned()).then(add::partial(1)).on_error(alert::partial());
    /// let handle = flow.delay(&app).await?;
    /// worker.drain().await;
    /// let failed = app.sent_named("text.parse")[0].id().to_string();
    /// assert_eq!(app.sent::<alert>(), [(failed,)]);
    /// # drop(handle);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_error<U: Task>(self, errback: Partial<U, String>) -> Self {
        self.with(written(errback.into_signature()), |canvas, errback| canvas.link_error(&errback))
    }

    /// The workflow without its types.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "text.show")]
    /// # async fn show(n: i64) -> anyhow::Result<String> { Ok(n.to_string()) }
    /// use celeriac::canvas::Canvas;
    ///
    /// let canvas = add(1, 2).then(show::partial()).into_canvas()?;
    /// let Canvas::Chain(steps) = canvas else { panic!("one after the other") };
    /// assert_eq!(steps.len(), 2);
    /// # Ok::<(), celeriac::publisher::FlowError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`FlowError`].
    pub fn into_canvas(self) -> Result<Canvas, FlowError> {
        self.canvas
    }

    fn followed<U>(self, step: Result<Signature, FlowError>) -> Flow<U> {
        let both = self.canvas.and_then(|canvas| Ok((canvas, step?)));
        Flow::of(both.map(|(canvas, step)| canvas::chain([canvas, step.into()])))
    }

    fn with(
        self,
        signature: Result<Signature, FlowError>,
        change: impl FnOnce(Canvas, Signature) -> Canvas,
    ) -> Self {
        let both = self.canvas.and_then(|canvas| Ok((canvas, signature?)));
        Self::of(both.map(|(canvas, signature)| change(canvas, signature)))
    }
}

impl<T: Task> Call<T> {
    /// See [`Flow::then`].
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "text.show")]
    /// # async fn show(n: i64) -> anyhow::Result<String> { Ok(n.to_string()) }
    /// let flow: Flow<String> = add(1, 2).then(show::partial());
    /// # let _ = flow;
    /// ```
    pub fn then<U: Task>(self, step: Partial<U, T::Output>) -> Flow<U::Output> {
        self.into_flow().then(step)
    }

    /// See [`Flow::then_immutable`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>().register::<welcome>();
    /// let handle = add(1, 2).then_immutable(welcome(42)).delay(&app).await?;
    /// worker.drain().await;
    /// assert_eq!(app.sent::<welcome>(), [(42,)]);
    /// # drop(handle);
    /// # Ok(())
    /// # }
    /// ```
    pub fn then_immutable<U: Task>(self, step: Call<U>) -> Flow<U::Output> {
        self.into_flow().then_immutable(step)
    }

    /// See [`Flow::then_named`].
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// let flow: Flow<i64> = add(1, 2).then_named::<i64>("ml.score", &()).then(add::partial(1));
    /// # let _ = flow;
    /// ```
    pub fn then_named<U>(self, task: &str, args: &(impl Serialize + ?Sized)) -> Flow<U> {
        self.into_flow().then_named(task, args)
    }

    /// See [`Flow::on_success`].
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "text.show")]
    /// # async fn show(n: i64) -> anyhow::Result<String> { Ok(n.to_string()) }
    /// let flow: Flow<i64> = add(1, 2).on_success(show::partial().queue("log"));
    /// # let _ = flow;
    /// ```
    pub fn on_success<U: Task>(self, callback: Partial<U, T::Output>) -> Flow<T::Output> {
        self.into_flow().on_success(callback)
    }

    /// See [`Flow::on_error`].
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// #[task(name = "ops.alert")]
    /// async fn alert(failed: String, channel: String) -> anyhow::Result<()> {
    ///     anyhow::ensure!(!failed.is_empty(), "nothing to tell {channel}");
    ///     Ok(())
    /// }
    ///
    /// let flow: Flow<i64> = add(1, 2).on_error(alert::partial("night shift".to_owned()));
    /// # let _ = flow;
    /// ```
    pub fn on_error<U: Task>(self, errback: Partial<U, String>) -> Flow<T::Output> {
        self.into_flow().on_error(errback)
    }
}

impl<T: Task> Step for Call<T> {
    type Output = T::Output;

    fn into_flow(self) -> Flow<T::Output> {
        Flow::of(written(self.into_signature()).map(Canvas::from))
    }
}

impl<T> Step for Flow<T> {
    type Output = T;

    fn into_flow(self) -> Self {
        self
    }
}

macro_rules! parts {
    ($($name:ident)+) => {
        impl<$($name: Step),+> Parts for ($($name,)+) {
            type Output = ($($name::Output,)+);

            #[allow(non_snake_case, reason = "a tuple of as many as there are types")]
            fn into_members(self) -> Result<Vec<Canvas>, FlowError> {
                let ($($name,)+) = self;
                Ok(vec![$($name.into_flow().canvas?),+])
            }
        }
    };
}

parts!(A B);
parts!(A B C);
parts!(A B C D);
parts!(A B C D E);
parts!(A B C D E F);

/// A signature with its options inside.
fn written(parts: Result<(Signature, SendOptions), EncodeError>) -> Result<Signature, FlowError> {
    let (mut signature, options) = parts?;
    options.check()?;
    signature.options.extend(options.to_named());
    Ok(signature)
}

impl<T> Clone for Flow<T> {
    fn clone(&self) -> Self {
        Self::of(self.canvas.clone())
    }
}

/// Without the arguments, which may be secret.
impl<T> fmt::Debug for Flow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").finish_non_exhaustive()
    }
}
