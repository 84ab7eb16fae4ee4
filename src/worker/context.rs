//! What every attempt of a worker shares.

use super::journal::Journal;
use super::rate::Rate;
use super::slots::Slots;
use super::status::Status;
use crate::clock::Clock;
use crate::control::Revoked;
use crate::handler::{Handler, Registry};
use crate::protocol::Limits;
use crate::publisher::Publisher;
use crate::results::{Reporting, ResultBackend};
use crate::shutdown::Shutdown;
use crate::task::{TaskOptions, Tasks};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Shared by all attempts of one worker.
#[derive(Debug)]
pub(super) struct Context {
    /// The worker's name, for logs and histories.
    pub(super) name: String,
    pub(super) publisher: Publisher,
    pub(super) results: Arc<dyn ResultBackend>,
    pub(super) reporting: Reporting,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    pub(super) shutdown: Shutdown,
    pub(super) slots: Slots,
    pub(super) tasks: HashMap<String, Arc<Known>>,
    /// Whether this worker consumes the queue of tasks for which nobody named one.
    pub(super) consumes_default: bool,
    /// The exchange of the archive.
    pub(super) dead_exchange: String,
    pub(super) unknown_grace: Duration,
    /// Deliveries of one message after which it is taken for poison, by queue.
    pub(super) delivery_limits: HashMap<Arc<str>, u32>,
    pub(super) status: Status,
    /// What was revoked.
    pub(super) revoked: Revoked,
    pub(super) journal: Option<Journal>,
    /// A random number from 0 to 1, for jitter.
    pub(super) chance: fn() -> f64,
}

/// A task that is registered here, with its effective options.
pub(super) struct Known {
    pub(super) handler: Arc<dyn Handler>,
    pub(super) options: TaskOptions,
    pub(super) rate: Option<Rate>,
}

impl Context {
    pub(super) fn known(&self, task: &str) -> Option<Arc<Known>> {
        self.tasks.get(task).cloned()
    }
}

/// Every registered task with its options, the configured ones over the declared.
pub(super) fn known_tasks(
    registry: &Registry,
    tasks: &Tasks,
    clock: &Arc<dyn Clock>,
) -> HashMap<String, Arc<Known>> {
    let known = registry.names().into_iter().filter_map(|name| {
        let registered = registry.get(name)?;
        let options = tasks.options(name, registered.options.clone());
        let rate = options.rate.and_then(|rate| Rate::new(rate, Arc::clone(clock)));
        let handler = Arc::clone(&registered.handler);
        Some((name.to_owned(), Arc::new(Known { handler, options, rate })))
    });
    known.collect()
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("options", &self.options).finish_non_exhaustive()
    }
}
