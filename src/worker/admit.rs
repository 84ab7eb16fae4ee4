//! Whether an attempt may begin.

use super::attempt::Attempt;
use super::context::Context;
use super::outcome::Outcome;
use crate::clock;
use crate::protocol::{HeaderValue, header};
use crate::topology::delay;
use std::time::{Duration, SystemTime};

/// The answer to "may it begin?".
#[derive(Debug)]
pub(super) enum Admission {
    /// Now.
    Go,
    /// In a moment, too short for the broker to wait.
    In(Duration),
    /// Not here, not now.
    Refused(Outcome),
}

/// Judges an attempt before it takes a slot.
pub(super) fn admit(attempt: &Attempt, cx: &Context, now: SystemTime) -> Admission {
    if let Some(deliveries) = uncounted_deliveries(attempt) {
        let limit = cx.delivery_limit(&attempt.queue);
        return Admission::Refused(match deliveries > limit {
            true => Outcome::Poison(deliveries),
            false => Outcome::Uncounted(deliveries),
        });
    }
    if cx.revoked.covers(&attempt.headers) {
        return Admission::Refused(Outcome::Revoked);
    }
    if attempt.headers.expires.is_some_and(|expires| expires <= now) {
        return Admission::Refused(Outcome::Expired);
    }
    if attempt.known.is_none() {
        return Admission::Refused(Outcome::Unknown(unknown_for(attempt, now)));
    }
    match attempt.not_due_for(now) {
        Duration::ZERO => Admission::Go,
        wait if wait < delay::STEP => Admission::In(wait),
        wait => Admission::Refused(Outcome::NotDue(wait)),
    }
}

/// How often this message has been handed out without being settled, if nobody has counted yet.
///
/// A quorum queue counts by itself and gives up at its limit. On a classic queue a message that
/// kills its worker would come back for ever, so a redelivered one is first published again with
/// the count in a header; that copy is not marked as redelivered.
fn uncounted_deliveries(attempt: &Attempt) -> Option<u32> {
    let counted = attempt.headers.extra.contains_key(header::DELIVERY_COUNT);
    (attempt.redelivered && !counted).then(|| attempt.counter(header::DELIVERIES) + 1)
}

/// How long workers have been passing this task on, not knowing it.
fn unknown_for(attempt: &Attempt, now: SystemTime) -> Duration {
    let since = match attempt.headers.extra.get(header::UNKNOWN_SINCE) {
        Some(HeaderValue::Text(since)) => clock::parse_iso(since),
        _ => None,
    };
    since.and_then(|since| now.duration_since(since).ok()).unwrap_or_default()
}
