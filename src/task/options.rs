//! Options of a task, merged over declaration and configuration.

use super::RetryPolicy;
use std::time::Duration;

/// Everything the worker and the publisher need to know about a task besides how to run it.
///
/// ```
/// use celeriac::prelude::*;
/// use std::time::Duration;
///
/// #[task(queue = "mail", time_limit = "30s", rate = "50/s")]
/// async fn send_mail(to: String) -> anyhow::Result<()> {
///     # drop(to);
///     Ok(())
/// }
///
/// let options = <send_mail as Task>::options();
/// assert_eq!(options.time_limit, Some(Duration::from_secs(30)));
/// assert_eq!(options.rate, Some(50.0));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskOptions {
    /// The queue it goes to when neither the call nor a route says otherwise.
    pub queue: Option<String>,
    /// Its priority when neither the call nor a route says otherwise, on a queue that has
    /// priorities; higher goes first.
    pub priority: Option<u8>,
    /// An attempt that has not begun this long after the call is not begun any more; `None` for
    /// never.
    pub expires: Option<Duration>,
    /// When and how often it is tried again.
    pub retry: RetryPolicy,
    /// The task is asked to stop after this long; `None` for no limit.
    pub soft_limit: Option<Duration>,
    /// The task is stopped after this long; `None` for no limit.
    pub time_limit: Option<Duration>,
    /// At most this many starts per second in one worker process, of each rate key where calls have
    /// one; `None` for no limit.
    pub rate: Option<f64>,
    /// Whether no result is stored when the caller did not say.
    pub ignore_result: bool,
    /// Acknowledge before running: the task is lost rather than run twice when the worker dies.
    pub acknowledge_early: bool,
    /// Do not run a task again that has a value: when a message is handed out again, the result
    /// backend is asked first, and what the task returned then is taken for what it returns now.
    /// Needs a backend that keeps results. If that does not answer, the task runs.
    pub skip_finished: bool,
    /// Which process it runs in.
    pub isolation: Isolation,
    /// The most memory that a process of its own may use, in bytes; `None` for no limit.
    pub max_memory: Option<u64>,
}

/// Which process a task runs in.
///
/// ```
/// use celeriac::prelude::*;
/// use celeriac::task::Isolation;
///
/// #[task(isolation = "process", max_memory = "512 MiB")]
/// fn convert(path: String) -> anyhow::Result<()> {
///     # drop(path);
///     Ok(())
/// }
///
/// assert_eq!(<convert as Task>::options().isolation, Isolation::Process);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// The worker's.
    #[default]
    None,
    /// One of its own for each attempt: the worker's program, started again. It can be killed at its
    /// time limit whatever it does, and takes nobody with it when it crashes. Starting it takes as
    /// long as the program takes to reach its worker.
    Process,
}
