//! What every attempt of a worker shares.

use super::adjust::Limits;
use super::here::Here;
use super::journal::Journal;
use super::slots::Slots;
use super::status::Status;
use crate::clock::Clock;
use crate::control::{Paused, Revoked};
use crate::events::Events;
use crate::handler::exec::Watcher;
use crate::handler::{Handler, Isolated, OnThread, Registry};
use crate::protocol;
use crate::publisher::Publisher;
use crate::results::{Reporting, ResultBackend};
use crate::security::Security;
use crate::shutdown::Shutdown;
use crate::task::{Isolation, PolicyLine, TaskOptions, Tasks};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};
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
    pub(super) limits: protocol::Limits,
    pub(super) security: Security,
    pub(super) shutdown: Shutdown,
    pub(super) slots: Slots,
    pub(super) tasks: HashMap<String, Arc<Known>>,
    /// Whether this worker consumes the queue of tasks for which nobody named one.
    pub(super) consumes_default: bool,
    /// The exchange of the archive.
    pub(super) dead_exchange: String,
    pub(super) unknown_grace: Duration,
    /// Deliveries of one message after which it is taken for poison, by queue.
    pub(super) delivery_limits: RwLock<HashMap<Arc<str>, u32>>,
    pub(super) status: Status,
    /// What is in its hands.
    pub(super) here: Here,
    /// What was revoked.
    pub(super) revoked: Revoked,
    /// Which queues are paused.
    pub(super) paused: Paused,
    /// Where monitors are told of tasks.
    pub(super) events: Events,
    pub(super) journal: Option<Journal>,
    /// A random number from 0 to 1, for jitter.
    pub(super) chance: fn() -> f64,
}

/// A task that is registered here, with its effective options.
pub(super) struct Known {
    pub(super) handler: Arc<dyn Handler>,
    pub(super) options: TaskOptions,
    /// What its options are, and who says so.
    pub(super) policy: Vec<PolicyLine>,
    /// Its rate and time limits, which may be changed.
    pub(super) limits: Limits,
    /// How many attempts have begun.
    pub(super) started: AtomicU64,
    /// Whether it runs on threads of its own.
    pub(super) on_thread: OnThread,
    /// Whether an argument is secret.
    pub(super) hides_arguments: bool,
}

impl Known {
    pub(super) fn new(
        handler: Arc<dyn Handler>,
        options: TaskOptions,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let limits = Limits::new(&options, Arc::clone(clock));
        let (policy, started, on_thread) = Default::default();
        Self { handler, options, policy, limits, started, on_thread, hides_arguments: false }
    }
}

impl Context {
    pub(super) fn known(&self, task: &str) -> Option<Arc<Known>> {
        self.tasks.get(task).cloned()
    }

    /// Deliveries of one message of `queue` after which it is taken for poison.
    pub(super) fn delivery_limit(&self, queue: &str) -> u32 {
        let limits = self.delivery_limits.read().unwrap_or_else(PoisonError::into_inner);
        limits.get(queue).copied().unwrap_or(u32::MAX)
    }
}

/// Every registered task with its options, the configured ones over the declared. With a `watcher`
/// those that want it run in processes of their own.
pub(super) fn known_tasks(
    registry: &Registry,
    tasks: &Tasks,
    clock: &Arc<dyn Clock>,
    watcher: Option<&Arc<Watcher>>,
) -> HashMap<String, Arc<Known>> {
    let known = registry.names().into_iter().filter_map(|name| {
        let registered = registry.get(name)?;
        let options = tasks.options(name, registered.options.clone());
        let handler: Arc<dyn Handler> = match watcher {
            Some(watcher) if options.isolation == Isolation::Process => {
                Arc::new(Isolated::new(options.max_memory, Arc::clone(watcher)))
            }
            _ => Arc::clone(&registered.handler),
        };
        let known = Known::new(handler, options, clock);
        let hides_arguments = registered.hides_arguments;
        let policy = tasks.policy(name, &registered.options);
        Some((name.to_owned(), Arc::new(Known { policy, hides_arguments, ..known })))
    });
    known.collect()
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("options", &self.options).finish_non_exhaustive()
    }
}
