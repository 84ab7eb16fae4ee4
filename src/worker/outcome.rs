//! How an attempt ended, before anyone has judged it.

use crate::handler::{Failure, Output};
use std::time::Duration;

/// How an attempt ended, or why it was not begun.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It returned a value.
    Done(Output),
    /// It returned a failure.
    Failed(Failure),
    /// It was stopped at its hard limit.
    TimedOut(Duration),
    /// It panicked, with this message.
    Panicked(String),
    /// The worker stopped before it had ended.
    Interrupted,
    /// It was not begun because its time had passed.
    Expired,
    /// It was revoked before it began.
    Revoked,
    /// It was stopped because it was revoked.
    Terminated,
    /// It was not begun because its time has not come.
    NotDue(Duration),
    /// It was not begun because its rate key has no start left for this long.
    OverRate(Duration),
    /// It was not begun because no such task is registered here, for this long by now.
    Unknown(Duration),
    /// It was not begun because it has been handed out this often without ending.
    Poison(u32),
    /// It was not begun because its deliveries must be counted first; this would be the count.
    Uncounted(u32),
}
