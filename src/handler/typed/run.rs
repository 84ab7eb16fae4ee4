//! How a typed task runs: from one attempt to its end.

use super::{Extract, Need, States};
use crate::handler::function::{blocking, failure};
use crate::handler::{Failure, Output, TaskContext};
use crate::protocol::Body;
use crate::task::{ErrorKind, Given, Task};
use futures::future::BoxFuture;
use serde::Serialize;
use std::sync::Arc;

/// One attempt under way. Dropping it stops it.
pub type Attempt = BoxFuture<'static, Result<Output, Failure>>;

/// A task with a body. `#[task]` implements it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// use celeriac::handler::{Attempt, Failure, Invocation, Run};
/// # use celeriac::prelude::*;
/// # use celeriac::testing::TestWorker;
///
/// /// A task without `#[task]`.
/// #[derive(serde::Serialize, serde::Deserialize, Message)]
/// #[message(name = "shop.double", output = u64)]
/// struct Double { n: u64 }
///
/// impl Run for Double {
///     fn start(invocation: Invocation) -> Result<Attempt, Failure> {
///         let Double { n } = invocation.arguments::<Self>()?;
///         Ok(invocation.run(&[], async move { anyhow::Ok(2 * n) }))
///     }
/// }
///
/// # let app = App::in_memory();
/// let worker = TestWorker::new(&app).register::<Double>();
/// let doubled = Call::<Double>::new(Double { n: 21 }).delay(&app).await?;
/// # worker.drain().await;
/// assert_eq!(doubled.await?, 42);
/// # Ok(())
/// # }
/// ```
pub trait Run: Task {
    /// What the worker must be given for it.
    fn needs() -> Vec<Need> {
        Vec::new()
    }

    /// Starts one attempt.
    ///
    /// # Errors
    ///
    /// When the arguments do not fit, or something it needs is not there.
    fn start(invocation: Invocation) -> Result<Attempt, Failure>;
}

/// What one attempt starts with: its context, its message, and what the worker was given.
///
/// ```
/// use celeriac::handler::{Extract, Failure, Invocation};
/// use std::time::{Duration, Instant};
///
/// /// How long the attempt may still run.
/// struct Left(Option<Duration>);
///
/// impl Extract for Left {
///     fn extract(from: &Invocation) -> Result<Self, Failure> {
///         let deadline = from.context().deadline;
///         Ok(Self(deadline.map(|at| at.saturating_duration_since(Instant::now()))))
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Invocation {
    cx: TaskContext,
    body: Arc<Body>,
    states: Arc<States>,
}

impl Invocation {
    pub(super) fn new(cx: TaskContext, body: Arc<Body>, states: Arc<States>) -> Self {
        Self { cx, body, states }
    }

    /// The context of the attempt.
    ///
    /// ```
    /// # use celeriac::handler::{Extract, Failure, Invocation};
    /// struct IsFirst(bool);
    ///
    /// impl Extract for IsFirst {
    ///     fn extract(from: &Invocation) -> Result<Self, Failure> {
    ///         Ok(Self(from.context().attempt() == 1))
    ///     }
    /// }
    /// ```
    pub fn context(&self) -> &TaskContext {
        &self.cx
    }

    /// What the worker was given.
    ///
    /// ```
    /// # use celeriac::handler::{Extract, Failure, Invocation};
    /// /// A state that a worker may lack.
    /// struct Maybe<T>(Option<T>);
    ///
    /// impl<T: Clone + Send + 'static> Extract for Maybe<T> {
    ///     fn extract(from: &Invocation) -> Result<Self, Failure> {
    ///         Ok(Self(from.states().get()))
    ///     }
    /// }
    /// ```
    pub fn states(&self) -> &States {
        &self.states
    }

    /// Takes one parameter that the worker supplies.
    ///
    /// ```
    /// # use celeriac::handler::{Extract, Failure, Invocation, Need, State};
    /// # #[derive(Clone)]
    /// # struct Pool;
    /// struct Orders(Pool);
    ///
    /// impl Extract for Orders {
    ///     fn extract(from: &Invocation) -> Result<Self, Failure> {
    ///         let State(pool) = from.extract()?;
    ///         Ok(Self(pool))
    ///     }
    ///
    ///     fn needs() -> Vec<Need> {
    ///         vec![Need::state::<Pool>()]
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn extract<E: Extract>(&self) -> Result<E, Failure> {
        E::extract(self)
    }

    /// Reads the arguments of the call.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::handler::{Attempt, Invocation, Run};
    /// # use celeriac::{prelude::*, testing::TestWorker};
    /// # #[derive(serde::Serialize, serde::Deserialize, Message)]
    /// # #[message(name = "text.shout", output = String)]
    /// # struct Shout { text: String }
    /// impl Run for Shout {
    ///     fn start(invocation: Invocation) -> Result<Attempt, Failure> {
    ///         let shout = invocation.arguments::<Self>()?; // or to the archive
    ///         Ok(invocation.run(&[], async move { anyhow::Ok(shout.text.to_uppercase()) }))
    ///     }
    /// }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<Shout>();
    /// # app.client().send("text.shout", &(1, 2), &(), SendOptions::default()).await?;
    /// # worker.drain().await;
    /// # assert_eq!(app.dead_letters().await.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A rejection that names the argument which does not fit: no repetition could mend it.
    pub fn arguments<T: Task>(&self) -> Result<T::Args, Failure> {
        let given = Given::new(&self.cx.headers.task, &self.body);
        given.read::<T>().map_err(|error| Failure::argument(error.to_string()))
    }

    /// Runs an async body.
    ///
    /// ```
    /// # use celeriac::handler::{Attempt, Failure, Invocation, Run};
    /// # use celeriac::{prelude::*, task::ErrorKind};
    /// # #[derive(serde::Serialize, serde::Deserialize, Message)]
    /// # #[message(name = "file.read", output = String)]
    /// # struct Read { path: String }
    /// impl Run for Read {
    ///     fn start(invocation: Invocation) -> Result<Attempt, Failure> {
    ///         const NAMED: &[ErrorKind] = &[ErrorKind::of::<std::io::Error>()];
    ///         let Read { path } = invocation.arguments::<Self>()?;
    ///         Ok(invocation.run(NAMED, async move { tokio::fs::read_to_string(path).await }))
    ///     }
    /// }
    /// ```
    pub fn run<R: Return>(
        self,
        kinds: &'static [ErrorKind],
        body: impl Future<Output = R> + Send + 'static,
    ) -> Attempt {
        // The message can be freed while the task runs.
        drop(self);
        Box::pin(async move { body.await.ended(kinds) })
    }

    /// Runs a body that blocks its thread on one of its own. Nothing stops it from outside: at its
    /// limits its context's `cancel` is cancelled, and it ends when it looks there.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::handler::{Attempt, Invocation, Run};
    /// # use celeriac::{prelude::*, testing::TestWorker};
    /// # #[derive(serde::Serialize, serde::Deserialize, Message)]
    /// # #[message(name = "text.count", output = usize)]
    /// # struct Count { text: String }
    /// impl Run for Count {
    ///     fn start(invocation: Invocation) -> Result<Attempt, Failure> {
    ///         let Count { text } = invocation.arguments::<Self>()?;
    ///         Ok(invocation.run_blocking(&[], move || anyhow::Ok(text.split(' ').count())))
    ///     }
    /// }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<Count>();
    /// # let count = Call::<Count>::new(Count { text: "one two".to_owned() }).delay(&app).await?;
    /// # worker.drain().await;
    /// # assert_eq!(count.await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_blocking<R: Return>(
        self,
        kinds: &'static [ErrorKind],
        body: impl FnOnce() -> R + Send + 'static,
    ) -> Attempt {
        self.cx.on_thread.note();
        let cancel = self.cx.cancel.clone();
        drop(self);
        Box::pin(blocking(cancel, move || body().ended(kinds)))
    }
}

/// What the body of a task may return: `Result<V, E>`, or nothing.
///
/// ```
/// # use celeriac::prelude::*;
/// #[derive(Debug, thiserror::Error)]
/// #[error("no such user")]
/// struct NoUser;
///
/// #[task]
/// async fn rename(user: u64) -> Result<String, NoUser> {
///     if user == 0 { Err(NoUser) } else { Ok("ada".to_owned()) }
/// }
///
/// #[task]
/// async fn touch(user: u64) {
///     tracing::debug!(user, "touched");
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a task's return type",
    label = "expected `Result<V, E>`, or nothing",
    note = "`V` must be Serialize (and Deserialize, for callers that await it) and own its data",
    note = "`E` must be `anyhow::Error`, `Failure`, or any error type"
)]
pub trait Return: Send + 'static {
    /// The value of success.
    type Value: 'static;

    /// What the worker makes of it.
    #[doc(hidden)]
    fn ended(self, kinds: &[ErrorKind]) -> Result<Output, Failure>;
}

impl Return for () {
    type Value = ();

    fn ended(self, _: &[ErrorKind]) -> Result<Output, Failure> {
        Ok(Output::none())
    }
}

#[diagnostic::do_not_recommend]
impl<V, E> Return for Result<V, E>
where
    V: Serialize + Send + Sync + 'static,
    E: Into<anyhow::Error> + Send + 'static,
{
    type Value = V;

    fn ended(self, kinds: &[ErrorKind]) -> Result<Output, Failure> {
        self.map(Output::new).map_err(|error| failure(error, kinds))
    }
}
