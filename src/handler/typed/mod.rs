//! Tasks known to the compiler, and how they run.
//!
//! A [`Run`] is a [`Task`](crate::task::Task) with a body. A [`TaskSet`] gathers such tasks, what
//! they are supplied with ([`State`]) and what surrounds them (tower layers), as a value that a
//! library can export; put together it is a [`Registry`](super::Registry).

mod auto;
mod check;
mod definition;
mod extract;
mod function;
mod layer;
mod run;
mod set;
#[cfg(test)]
mod tests;

pub use auto::Registration;
pub(crate) use auto::linked;
pub use check::{CheckReport, Finding};
pub use definition::Definition;
pub use extract::{Extract, Need, State, States};
pub use function::MessageHandler;
pub use layer::{BoxError, Surrounds, TaskRequest, TaskService};
pub use run::{Attempt, Invocation, Return, Run};
pub use set::TaskSet;
