//! What keeps a worker from starting.

use std::fmt;

/// Everything that is wrong with what a worker was given.
///
/// ```
/// use celeriac::handler::Finding;
/// use celeriac::prelude::*;
///
/// # #[task(name = "db.load")]
/// # async fn load(State(url): State<String>) -> anyhow::Result<()> { Ok(()) }
/// let report = tasks![load].check().unwrap_err();
/// assert!(matches!(&report.0[..], [Finding::MissingState { task, .. }] if task == "db.load"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport(pub Vec<Finding>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// A task needs something the worker was not given.
    #[error(
        "task `{task}` needs State<{state}> but the worker was not given one; add `.state(..)`"
    )]
    MissingState {
        /// The task.
        task: String,
        /// The type.
        state: &'static str,
    },
    /// Two tasks have one name.
    #[error("two tasks are named `{name}`; give one of them another with `name = \"..\"`")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A task goes to a queue that nobody knows.
    #[error(
        "task `{task}` goes to queue `{queue}`, which is neither configured nor consumed{hint}"
    )]
    UnknownQueue {
        /// The task.
        task: String,
        /// The queue.
        queue: String,
        /// What to do, beginning with `; `.
        hint: String,
    },
    /// The memory of a task is bounded that has no process of its own.
    #[error(
        "[tasks.\"{task}\"] sets max_memory, but the task runs in the worker's own process; \
         declare it with `isolation = \"process\"`"
    )]
    SharedMemory {
        /// The task.
        task: String,
    },
}

impl std::error::Error for CheckReport {}

impl fmt::Display for CheckReport {
    /// A line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the worker cannot start:")?;
        self.0.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
    }
}
