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
    pub fn context(&self) -> &TaskContext {
        &self.cx
    }

    /// What the worker was given.
    pub fn states(&self) -> &States {
        &self.states
    }

    /// Takes one parameter that the worker supplies.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn extract<E: Extract>(&self) -> Result<E, Failure> {
        E::extract(self)
    }

    /// Reads the arguments of the call.
    ///
    /// # Errors
    ///
    /// A rejection that names the argument which does not fit: no repetition could mend it.
    pub fn arguments<T: Task>(&self) -> Result<T::Args, Failure> {
        let given = Given::new(&self.cx.headers.task, &self.body);
        given.read::<T>().map_err(|error| Failure::argument(error.to_string()))
    }

    /// Runs an async body.
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
