//! What follows an outcome. Pure: the table of all rules is the test at the end.

use super::outcome::Outcome;
use super::report::NOT_REGISTERED;
use crate::archive::Reason;
use crate::canvas::Canvas;
use crate::handler::{Failure, TaskError};
use crate::task::RetryPolicy;
use crate::topology::delay;
use std::time::Duration;

/// What is done about an outcome. [`super::settle`] does it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decision {
    /// Tell the value and forget the message.
    Succeed,
    /// Tell the failure and forget the message.
    Fail(TaskError),
    /// Tell that it was revoked and forget the message.
    Revoke(TaskError),
    /// Try again after a wait in the broker; counts as an attempt.
    Retry {
        /// How long to wait.
        after: Duration,
        /// What went wrong.
        error: TaskError,
    },
    /// Put the message off; counts nothing.
    Defer {
        /// How long to wait.
        after: Duration,
        /// Why, for the message's own record.
        why: Deferral,
    },
    /// Keep the whole message in the archive, with the reason.
    Bury {
        /// Why.
        reason: Reason,
        /// What went wrong.
        error: TaskError,
    },
    /// Send a workflow in its place.
    Replace(Box<Canvas>),
    /// Publish the message again with its deliveries counted.
    Recount(u32),
    /// Give the message back to its queue.
    GiveBack,
}

/// Why a message is put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deferral {
    /// Its ETA has not come.
    NotDue,
    /// Its rate key has no start left.
    OverRate,
    /// The task asked for it.
    Snoozed,
    /// No worker here knows the task yet.
    Unknown,
}

/// How long a task that nobody knows is passed around before it is looked at again.
const UNKNOWN_WAIT: Duration = Duration::from_secs(2);

/// What the policy must know besides the outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judging<'a> {
    /// Retries made so far.
    pub(super) retries: u32,
    /// How the task is retried.
    pub(super) policy: &'a RetryPolicy,
    /// How long an unknown task is put back before it is given up.
    pub(super) unknown_grace: Duration,
    /// A random number from 0 to 1, for jitter.
    pub(super) chance: f64,
}

/// Judges an outcome.
pub(super) fn decide(outcome: &Outcome, judging: Judging<'_>) -> Decision {
    match outcome {
        Outcome::Done(_) => Decision::Succeed,
        Outcome::Failed(failure) => judge(failure, judging),
        Outcome::TimedOut(limit) => {
            let message = format!("stopped at its time limit of {limit:?}");
            let error = TaskError::new("TimeLimitExceeded", message);
            retry_or_bury(error, None, Reason::TimeLimit, judging)
        }
        Outcome::Panicked(message) => {
            let error = TaskError::new("Panic", message.as_str());
            retry_or_bury(error, None, Reason::Exhausted, judging)
        }
        Outcome::Interrupted => Decision::GiveBack,
        Outcome::Expired => {
            Decision::Bury { reason: Reason::Expired, error: TaskError::new(REVOKED, "expired") }
        }
        Outcome::Revoked => Decision::Revoke(TaskError::new(REVOKED, "revoked")),
        Outcome::Terminated => Decision::Revoke(TaskError::new(REVOKED, "terminated")),
        Outcome::NotDue(wait) => Decision::Defer { after: *wait, why: Deferral::NotDue },
        Outcome::OverRate(wait) => Decision::Defer { after: *wait, why: Deferral::OverRate },
        Outcome::Unknown(since) if *since < judging.unknown_grace => {
            Decision::Defer { after: UNKNOWN_WAIT, why: Deferral::Unknown }
        }
        Outcome::Unknown(_) => Decision::Bury {
            reason: Reason::Unknown,
            error: TaskError::new(NOT_REGISTERED, "no worker of this queue knows the task"),
        },
        Outcome::Poison(deliveries) => Decision::Bury {
            reason: Reason::Poison,
            error: TaskError::new(
                "WorkerLostError",
                format!("handed out {deliveries} times and never ended; its worker died each time"),
            ),
        },
        Outcome::Uncounted(deliveries) => Decision::Recount(*deliveries),
    }
}

/// The error type of a task that was revoked, or that expired, which to Celery is the same.
pub(super) const REVOKED: &str = "TaskRevokedError";

fn judge(failure: &Failure, judging: Judging<'_>) -> Decision {
    match failure {
        Failure::Error(error) => retry_or_bury(error.clone(), None, Reason::Exhausted, judging),
        Failure::Retry { after, error } => {
            retry_or_bury(error.clone(), Some(*after), Reason::Exhausted, judging)
        }
        Failure::Snooze { after } => Decision::Defer { after: *after, why: Deferral::Snoozed },
        Failure::Discard(error) => Decision::Fail(error.clone()),
        Failure::Reject(error) => Decision::Bury { reason: Reason::Rejected, error: error.clone() },
        Failure::Replace(canvas) => Decision::Replace(canvas.clone()),
    }
}

/// Retries while the policy allows it. A task that asks for a retry itself (`asked`) is not asked
/// about its error's type, and may name the wait.
fn retry_or_bury(
    error: TaskError,
    asked: Option<Option<Duration>>,
    exhausted: Reason,
    judging: Judging<'_>,
) -> Decision {
    let Judging { retries, policy, chance, .. } = judging;
    if asked.is_none() && !policy.covers(&error.kind) {
        return Decision::Bury { reason: Reason::Rejected, error };
    }
    if policy.max_retries.is_some_and(|max| retries >= max) {
        return Decision::Bury { reason: exhausted, error };
    }
    let after = asked.flatten().unwrap_or_else(|| {
        let wait = policy.backoff.wait(retries, chance);
        if policy.backoff.jitter * chance > 0.0 { coarse(wait) } else { wait }
    });
    Decision::Retry { after, error }
}

/// Rounds a wait that chance made up, so that it takes few steps in the delay ladder: up to the
/// next multiple of an eighth of its magnitude.
fn coarse(wait: Duration) -> Duration {
    let step = delay::STEP.as_millis();
    let steps = wait.as_millis().div_ceil(step);
    let grain = 1_u128 << steps.max(1).ilog2().saturating_sub(2);
    let millis = steps.div_ceil(grain) * grain * step;
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::Backoff;
    use crate::handler::Output;

    const TEN: Duration = Duration::from_secs(10);
    const GRACE: Duration = Duration::from_secs(30);

    fn policy(max_retries: Option<u32>) -> RetryPolicy {
        let backoff = Backoff { first: TEN, factor: 1.0, max: TEN, jitter: 0.0 };
        RetryPolicy { max_retries, backoff, ..RetryPolicy::default() }
    }

    fn decided(outcome: &Outcome, retries: u32, policy: &RetryPolicy) -> Decision {
        decide(outcome, Judging { retries, policy, unknown_grace: GRACE, chance: 0.5 })
    }

    fn error() -> TaskError {
        TaskError::new("ValueError", "no")
    }

    #[test]
    fn a_failed_task_is_retried_until_its_retries_run_out() {
        let failed = Outcome::Failed(Failure::Error(error()));
        let retry = Decision::Retry { after: TEN, error: error() };
        let buried = Decision::Bury { reason: Reason::Exhausted, error: error() };
        assert_eq!(decided(&failed, 0, &policy(Some(2))), retry);
        assert_eq!(decided(&failed, 1, &policy(Some(2))), retry);
        assert_eq!(decided(&failed, 2, &policy(Some(2))), buried);
        assert_eq!(decided(&failed, 0, &policy(Some(0))), buried);
        assert_eq!(decided(&failed, 1_000_000, &policy(None)), retry);
    }

    #[test]
    fn an_error_that_the_policy_gives_up_on_is_not_retried_unless_the_task_asks() {
        let policy = RetryPolicy { give_up_on: vec!["ValueError".to_owned()], ..policy(Some(9)) };
        let failed = Outcome::Failed(Failure::Error(error()));
        let buried = Decision::Bury { reason: Reason::Rejected, error: error() };
        assert_eq!(decided(&failed, 0, &policy), buried);
        let after = Some(Duration::from_secs(3));
        let asked = Outcome::Failed(Failure::Retry { after, error: error() });
        let retry = Decision::Retry { after: Duration::from_secs(3), error: error() };
        assert_eq!(decided(&asked, 0, &policy), retry);
    }

    #[test]
    fn every_other_outcome_has_one_answer() {
        let policy = policy(Some(0));
        let bury = |reason| move |error| Decision::Bury { reason, error };
        let kind = |decision: Decision| match decision {
            Decision::Bury { reason, error } => format!("{reason:?} {}", error.kind),
            other => format!("{other:?}"),
        };
        assert_eq!(decided(&Outcome::Done(Output::none()), 0, &policy), Decision::Succeed);
        assert_eq!(decided(&Outcome::Interrupted, 0, &policy), Decision::GiveBack);
        assert_eq!(decided(&Outcome::Uncounted(3), 0, &policy), Decision::Recount(3));
        let discarded = Outcome::Failed(Failure::Discard(error()));
        assert_eq!(decided(&discarded, 0, &policy), Decision::Fail(error()));
        let rejected = Outcome::Failed(Failure::Reject(error()));
        assert_eq!(decided(&rejected, 0, &policy), bury(Reason::Rejected)(error()));
        for (outcome, why) in [
            (Outcome::NotDue(TEN), Deferral::NotDue),
            (Outcome::OverRate(TEN), Deferral::OverRate),
            (Outcome::Failed(Failure::Snooze { after: TEN }), Deferral::Snoozed),
        ] {
            assert_eq!(decided(&outcome, 0, &policy), Decision::Defer { after: TEN, why });
        }
        let by = Box::new(Canvas::from(crate::protocol::Signature::new("other")));
        let replaced = Outcome::Failed(Failure::Replace(by.clone()));
        assert_eq!(decided(&replaced, 0, &policy), Decision::Replace(by));
        let early = Decision::Defer { after: UNKNOWN_WAIT, why: Deferral::Unknown };
        assert_eq!(decided(&Outcome::Unknown(TEN), 0, &policy), early);
        for (outcome, expected) in [
            (Outcome::Unknown(GRACE), "Unknown NotRegistered"),
            (Outcome::Expired, "Expired TaskRevokedError"),
            (Outcome::Poison(21), "Poison WorkerLostError"),
            (Outcome::TimedOut(TEN), "TimeLimit TimeLimitExceeded"),
            (Outcome::Panicked("oh".to_owned()), "Exhausted Panic"),
        ] {
            assert_eq!(kind(decided(&outcome, 0, &policy)), expected);
        }
    }

    #[test]
    fn only_a_wait_that_chance_made_up_is_rounded() {
        let minute = Duration::from_secs(60);
        let backoff = Backoff { first: minute, factor: 1.0, max: minute, jitter: 0.5 };
        let policy = RetryPolicy { backoff, ..RetryPolicy::default() };
        let failed = Outcome::Failed(Failure::Error(error()));
        let after = |chance| {
            let judging = Judging { retries: 0, policy: &policy, unknown_grace: GRACE, chance };
            let Decision::Retry { after, .. } = decide(&failed, judging) else {
                panic!("no retry")
            };
            after
        };
        assert_eq!(after(0.0), minute);
        assert_eq!(after(0.1), coarse(Duration::from_secs(57)));
        assert_ne!(after(0.1), Duration::from_secs(57));
    }

    #[test]
    fn a_jittered_wait_takes_at_most_three_steps_and_is_never_shortened() {
        for millis in [1, 125, 126, 1_000, 1_777, 123_456, 599_999] {
            let wait = Duration::from_millis(millis);
            let coarse = coarse(wait);
            assert!(coarse >= wait && coarse <= wait + wait / 4 + delay::STEP, "{wait:?}");
            let levels = delay::Delay::new(coarse).unwrap().map_or(0, |delay| delay.levels().len());
            assert!((1..=3).contains(&levels), "{coarse:?} takes {levels}");
        }
    }
}
