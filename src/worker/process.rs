//! The whole life of one delivery: read, admit, run, decide, settle.

use super::admit::{Admission, admit};
use super::attempt::{Attempt, Read};
use super::context::{Context, Known};
use super::decide::{Decision, Deferral, Judging, decide};
use super::journal::Journal;
use super::outcome::Outcome;
use super::report;
use super::run::run;
use super::settle::{Ended, settle, settle_unreadable};
use super::slots::Slot;
use super::tell;
use crate::broker::{Delivery, Settle};
use crate::handler::Output;
use crate::protocol::{TaskState, Value, header};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tracing::{Instrument, Span, debug, info, info_span, warn};

/// Takes one delivery from arrival to settlement.
///
/// Never fails: whatever goes wrong with a task becomes its [`Outcome`], and if the broker is lost
/// before the acknowledgement, the broker delivers the message again.
pub(super) async fn process(delivery: Delivery, cx: Arc<Context>) {
    process_read(Attempt::read(delivery, &cx), cx).await;
}

/// The same with a delivery that was read.
pub(super) async fn process_read(read: Read, cx: Arc<Context>) {
    let _busy = cx.journal.as_ref().map(Journal::enter);
    match read {
        Ok((attempt, receipt)) => {
            let span = span(&attempt);
            live(attempt, receipt, &cx).instrument(span).await;
        }
        Err(no_task) => Box::pin(settle_unreadable(*no_task, &cx)).await,
    }
}

async fn live(attempt: Arc<Attempt>, receipt: Settle, cx: &Context) {
    let _here = cx.here.enter(&attempt);
    let (outcome, receipt, ran) = attend(&attempt, receipt, cx).await;
    let decision = decide(
        &outcome,
        Judging {
            retries: attempt.headers.retries,
            policy: &attempt.retry_policy(),
            unknown_grace: cx.unknown_grace,
            chance: (cx.chance)(),
        },
    );
    log(&decision, ran);
    if let Some(journal) = &cx.journal {
        journal.note(&attempt, &decision, ran, cx.clock.now());
    }
    attempt.note_decision(&decision, &cx.name);
    let ended = Ended { attempt, outcome, took: ran.unwrap_or_default() };
    settle(ended, decision, receipt, cx).await;
}

/// Brings an attempt to its outcome. The receipt is gone if the task is acknowledged before it
/// runs.
async fn attend(
    attempt: &Attempt,
    receipt: Settle,
    cx: &Context,
) -> (Outcome, Option<Settle>, Option<Duration>) {
    let admission = admit(attempt, cx, cx.clock.now());
    tell::received(attempt, &admission, cx);
    let known = match admission {
        Admission::Refused(outcome) => return (outcome, Some(receipt), None),
        Admission::Go => attempt.known.as_deref(),
        Admission::In(wait) => {
            cx.clock.sleep(wait).await;
            attempt.known.as_deref()
        }
    };
    let Some(known) = known else {
        return (Outcome::Unknown(Duration::ZERO), Some(receipt), None);
    };
    let slot = match slot(attempt, receipt.life().generation(), known, cx).await {
        Ok(slot) => slot,
        Err(why) => return (why, Some(receipt), None),
    };
    if receipt.is_void() {
        debug!("taken back by the broker before it began");
        return (Outcome::Interrupted, Some(receipt), None);
    }
    // It may have waited long for its slot.
    if cx.revoked.covers(&attempt.headers) {
        return (Outcome::Revoked, Some(receipt), None);
    }
    if known.options.skip_finished
        && let Some(value) = Box::pin(finished(attempt, cx)).await
    {
        return (Outcome::Done(value), Some(receipt), None);
    }
    let receipt = match known.options.acknowledge_early {
        true => {
            receipt.ack();
            attempt.stage.acknowledge();
            None
        }
        false => Some(receipt),
    };
    if cx.reporting.track_started && attempt.wants_result(cx) {
        Box::pin(tell_started(attempt, cx)).await;
    }
    tell::started(attempt, cx);
    let started = Instant::now();
    cx.status.begun();
    known.started.fetch_add(1, Ordering::Relaxed);
    attempt.stage.begin(cx.clock.now());
    attempt.begin_span(&cx.name);
    let outcome = run(attempt, known, cx).await;
    attempt.stage.end();
    cx.status.ended();
    drop(slot);
    (outcome, receipt, Some(started.elapsed()))
}

/// What the task returned when it ran before, if its message is handed out again and its value is
/// kept. What follows from the value may not have been sent then, so it is used and not only noted.
async fn finished(attempt: &Attempt, cx: &Context) -> Option<Output> {
    if !attempt.redelivered && attempt.counter(header::DELIVERIES) == 0 {
        return None;
    }
    match cx.results.latest(&attempt.headers.id).await {
        Ok(latest) => {
            let latest = latest.filter(|latest| latest.state == TaskState::Success)?;
            let value: Value = latest.result.decode().ok()?;
            info!("it has run before and its value is kept, not running it again");
            Some(Output::new(value))
        }
        Err(error) => {
            debug!(%error, "unknown whether it has run before, running it");
            None
        }
    }
}

/// Tells that a task begins. Once: what it ends with replaces this.
async fn tell_started(attempt: &Attempt, cx: &Context) {
    if let Ok(document) = report::started(attempt, cx)
        && let Err(error) = cx.results.store(&document).await
    {
        warn!(%error, "not told that the task begins");
    }
}

/// A slot, after the task's rate; none when the worker drains meanwhile, the queue is paused, or the
/// start of its rate key is far.
async fn slot(
    attempt: &Attempt,
    generation: u64,
    known: &Known,
    cx: &Context,
) -> Result<Slot, Outcome> {
    let is_unlimited = known.limits.is_unlimited();
    if is_unlimited && attempt.keyed().is_some() {
        known.limits.warn_of_idle_key(&attempt.headers.task);
    }
    if is_unlimited
        && !cx.shutdown.is_draining()
        && cx.paused.is_current(generation)
        && !cx.paused.contains(&attempt.queue)
        && let Some(slot) = cx.slots.try_take(&attempt.queue)
    {
        return Ok(slot);
    }
    Box::pin(wait_for_slot(attempt, generation, known, cx)).await
}

async fn wait_for_slot(
    attempt: &Attempt,
    generation: u64,
    known: &Known,
    cx: &Context,
) -> Result<Slot, Outcome> {
    let ready = async {
        if !cx.paused.is_current(generation) {
            cx.paused.until_current(generation).await;
        }
        known.limits.start(attempt.keyed()).await.map_err(Outcome::OverRate)?;
        cx.slots.take(&attempt.queue).await.ok_or(Outcome::Interrupted)
    };
    tokio::select! {
        biased;
        () = cx.shutdown.draining() => Err(Outcome::Interrupted),
        () = cx.paused.until(&attempt.queue) => Err(Outcome::Interrupted),
        slot = ready => match cx.paused.contains(&attempt.queue) {
            true => Err(Outcome::Interrupted),
            false => slot,
        },
    }
}

fn span(attempt: &Attempt) -> Span {
    info_span!(
        "task",
        task.name = %attempt.headers.task,
        task.id = %attempt.headers.id,
        attempt = attempt.headers.retries.saturating_add(1),
        queue = %attempt.queue,
    )
}

/// One line per attempt.
fn log(decision: &Decision, ran: Option<Duration>) {
    let ran = ran.map(tracing::field::debug);
    match decision {
        Decision::Succeed => info!(ran, "succeeded"),
        Decision::Fail(error) => warn!(ran, %error, "discarded by the task"),
        Decision::Revoke(_) => info!(ran, "revoked"),
        Decision::Retry { after, error } => warn!(ran, %error, ?after, "failed, trying again"),
        // One line for each of a tenant's thousands would be too many.
        Decision::Defer { after, why: why @ Deferral::OverRate } => debug!(?after, ?why, "put off"),
        Decision::Defer { after, why } => info!(ran, ?after, ?why, "put off"),
        Decision::Bury { reason, error } => {
            warn!(ran, %error, %reason, "given up, kept in the archive");
        }
        Decision::Replace(_) => info!(ran, "replaced by another workflow"),
        Decision::Recount(deliveries) => debug!(deliveries, "handed out again, counting it"),
        Decision::GiveBack => info!("given back to the queue"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, F>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// Hundreds of these are copied and freed per prefetch, which was a fifth of a worker's time.
    #[test]
    fn the_future_of_a_task_is_small() {
        assert!(size(process_read) <= 1400, "{} bytes", size(process_read));
    }
}
