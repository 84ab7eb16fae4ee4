//! What runs a task.
//!
//! A [`Handler`] takes the context of one attempt and the message body, and ends in an [`Output`]
//! or a [`Failure`]. It knows nothing of queues, acknowledgements or retries: the worker judges
//! what a handler returns.

mod call;
mod capture;
mod configured;
mod context;
pub mod exec;
mod failure;
mod function;
pub mod http;
mod isolated;
mod output;
mod registry;
mod template;
#[cfg(test)]
mod testing;
mod typed;

pub use configured::{BadTask, BadTaskProblem, BadTasks, missing_arguments};
pub(crate) use context::OnThread;
pub use context::{Progress, TaskContext};
pub(crate) use failure::panic_text;
pub use failure::{DeadLetter, Discard, Failure, TaskError};
pub use function::{Arguments, Kwargs};
pub use isolated::is_isolated;
pub(crate) use isolated::{Isolated, serve};
pub use output::Output;
pub use registry::{DuplicateTask, Registered, Registry};
pub use template::TemplateError;
pub(crate) use typed::linked;
pub use typed::{
    Attempt, BoxError, CheckReport, Definition, Extract, Finding, Invocation, MessageHandler, Need,
    Registration, Return, Run, State, States, Surrounds, TaskRequest, TaskService, TaskSet,
};

use crate::protocol::Body;
use futures::future::BoxFuture;
use std::sync::Arc;

/// Runs one kind of task.
pub trait Handler: Send + Sync + 'static {
    /// Runs one attempt. Dropping the future stops the attempt and everything it started.
    fn call(&self, cx: TaskContext, body: Arc<Body>)
    -> BoxFuture<'static, Result<Output, Failure>>;
}
