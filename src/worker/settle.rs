//! Carries a decision out: result, then follow-ups, then acknowledgement.
//!
//! The order is what loses nothing. Whatever dies after a step leaves the message with the broker,
//! which hands it out again; at worst a step is done twice, with the same id.

use super::attempt::{Attempt, NoTask};
use super::context::Context;
use super::decide::{Decision, Deferral, REVOKED};
use super::outcome::Outcome;
use super::report;
use super::tell;
use crate::archive::{Burial, Reason};
use crate::backoff::Backoff;
use crate::broker::{PublishError, RawMessage, Settle};
use crate::clock;
use crate::handler::TaskError;
use crate::protocol::{EncodeError, Envelope, HeaderValue, TaskState, header};
use crate::results::{Document, OnStoreError};
use crate::topology::Destination;
use crate::traces;
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, error, warn};

/// How long one try to publish may take before the delivery is looked at again.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The waits between tries to store a result.
pub(super) const STORE_PAUSES: Backoff = Backoff {
    first: Duration::from_millis(100),
    factor: 2.0,
    max: Duration::from_secs(5),
    jitter: 0.5,
};

/// What became of a step that must be done before the acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Done,
    /// Not possible, now or ever; somebody must be told.
    Impossible,
    /// The broker has taken the delivery back: it will be handed out again.
    Void,
    /// Not before the worker stops: the delivery goes back, to be handed out again.
    Unfinished,
}

impl Step {
    /// Does what follows a step that is done.
    pub(super) fn and_then(self, follow: impl FnOnce()) -> Self {
        if self == Self::Done {
            follow();
        }
        self
    }
}

/// An attempt with its outcome.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) attempt: Arc<Attempt>,
    pub(super) outcome: Outcome,
    /// How long it ran; zero if it was not begun.
    pub(super) took: Duration,
}

/// Carries out what was decided about a delivery.
pub(super) async fn settle(
    ended: Ended,
    decision: Decision,
    receipt: Option<Settle>,
    cx: &Context,
) {
    let Ended { attempt, outcome, took } = ended;
    let is_copied = matches!(decision, Decision::Recount(_));
    let settling =
        Settling { attempt: &attempt, outcome: &outcome, took, receipt: receipt.as_ref(), cx };
    let step = match decision {
        Decision::Succeed if !attempt.wants_result(cx) && !attempt.body.is_followed() => {
            tell::succeeded(&settling);
            Step::Done
        }
        Decision::GiveBack => {
            tell::given_back(&settling);
            attempt.end_span();
            return receipt.into_iter().for_each(Settle::give_back);
        }
        // In boxes of their own, so that a task which has nothing to publish has a small future, and
        // one that only tells its result a smaller one than all the rest.
        Decision::Succeed => traces::within(attempt.span.get(), settling.succeed()).await,
        decision => traces::within(attempt.span.get(), settling.carry_out(decision)).await,
    };
    attempt.end_span();
    let Some(receipt) = receipt else { return };
    match step {
        Step::Done if receipt.is_void() => {
            warn!("done, but the broker had taken the message back: it will run again");
        }
        // The copy may be what kills this worker; then the original must be gone.
        Step::Done if is_copied => receipt.ack_now(),
        Step::Done => receipt.ack(),
        // The queue's dead-letter exchange is the last place where it is not lost.
        Step::Impossible => receipt.reject(),
        Step::Void => debug!("the broker has taken the message back"),
        Step::Unfinished => receipt.give_back(),
    }
}

/// Keeps a message that is no task in the archive.
pub(super) async fn settle_unreadable(no_task: NoTask, cx: &Context) {
    let NoTask { delivery, reason } = no_task;
    warn!(queue = %delivery.queue, error = %reason, "unreadable, kept in the archive");
    let burial = Burial {
        reason: Reason::Unreadable,
        error: Some(reason.to_string()),
        at: cx.clock.now(),
        queue: delivery.queue.to_string(),
        worker: cx.name.clone(),
    };
    let message = burial.bury(RawMessage::from(&delivery), &cx.dead_exchange);
    match publish(message, Some(&delivery.settle), cx).await {
        Step::Done => delivery.settle.ack(),
        Step::Impossible => delivery.settle.reject(),
        Step::Unfinished => delivery.settle.give_back(),
        Step::Void => {}
    }
}

/// One delivery while it is being settled.
pub(super) struct Settling<'a> {
    pub(super) attempt: &'a Attempt,
    pub(super) outcome: &'a Outcome,
    /// How long it ran; zero if it did not.
    pub(super) took: Duration,
    receipt: Option<&'a Settle>,
    pub(super) cx: &'a Context,
}

impl Settling<'_> {
    async fn carry_out(&self, decision: Decision) -> Step {
        match decision {
            Decision::Succeed => self.succeed().await,
            Decision::Fail(error) => {
                let step = self.fail(TaskState::Failure, &error).await;
                step.and_then(|| tell::failed(self, &error))
            }
            Decision::Revoke(error) => {
                let step = self.fail(TaskState::Revoked, &error).await;
                step.and_then(|| tell::revoked(self))
            }
            Decision::Retry { after, error } => self.retry(after, &error).await,
            Decision::Defer { after, why } => self.defer(after, why).await,
            Decision::Bury { reason, error } => self.bury(reason, &error).await,
            Decision::Replace(by) => self.replace(*by).await,
            Decision::Recount(deliveries) => self.recount(deliveries).await,
            Decision::GiveBack => Step::Void,
        }
    }

    async fn succeed(&self) -> Step {
        let Outcome::Done(output) = self.outcome else { return Step::Done };
        if self.attempt.body.is_followed() {
            return Box::pin(self.succeed_followed(output)).await;
        }
        match report::success(self.attempt, output, Vec::new(), self.cx) {
            Ok(document) => self.store(document).await.and_then(|| tell::succeeded(self)),
            Err(error) => {
                let error = TaskError::new("EncodeError", format!("the result {error}"));
                Box::pin(self.bury(Reason::Rejected, &error)).await
            }
        }
    }

    async fn retry(&self, after: Duration, error: &TaskError) -> Step {
        let mut envelope = self.attempt.envelope_after(error, self.took, self.cx);
        envelope.headers.retries = envelope.headers.retries.saturating_add(1);
        forget_start(&mut envelope);
        // Before it is sent: the next attempt may have ended for good by the time it is.
        self.tell_retry(error).await;
        tell::retried(self, error);
        self.send_back(envelope, after).await
    }

    async fn defer(&self, after: Duration, why: Deferral) -> Step {
        let mut envelope = self.attempt.envelope();
        let count = |envelope: &mut Envelope, name: &str| {
            let count = self.attempt.counter(name).saturating_add(1);
            envelope.headers.extra.insert(name.to_owned(), count.into());
        };
        match why {
            Deferral::NotDue => {}
            Deferral::OverRate => count(&mut envelope, header::RATE_WAITS),
            Deferral::Snoozed => {
                count(&mut envelope, header::SNOOZES);
                forget_start(&mut envelope);
                tell::snoozed(self, after);
            }
            Deferral::Unknown => {
                let now = clock::to_iso(self.cx.clock.now());
                let since = || HeaderValue::Text(now);
                let extra = &mut envelope.headers.extra;
                extra.entry(header::UNKNOWN_SINCE.to_owned()).or_insert_with(since);
            }
        }
        self.send_back(envelope, after).await
    }

    /// Publishes the message to its own queue again, with one more delivery counted.
    async fn recount(&self, deliveries: u32) -> Step {
        let mut envelope = self.attempt.envelope();
        let extra = &mut envelope.headers.extra;
        extra.insert(header::DELIVERIES.to_owned(), deliveries.into());
        self.send_back(envelope, Duration::ZERO).await
    }

    /// Publishes an envelope so that it comes to its queue after `wait`. What can never arrive
    /// goes to the archive.
    async fn send_back(&self, envelope: Envelope, wait: Duration) -> Step {
        let destination = Destination::foreign_queue(self.attempt.queue.as_ref());
        loop {
            let publisher = &self.cx.publisher;
            let sent = publisher.publish(envelope.clone(), &destination, wait, PATIENCE).await;
            match sent {
                Ok(()) => return Step::Done,
                Err(error) if error.is_transient() => {
                    if self.is_void() {
                        return Step::Void;
                    }
                    warn!(%error, "not published, keeping the delivery and trying again");
                }
                Err(error) => {
                    let error = TaskError::new("PublishError", error.to_string());
                    return self.bury(Reason::Undeliverable, &error).await;
                }
            }
        }
    }

    /// Puts the whole message into the archive, then tells the caller.
    pub(super) async fn bury(&self, reason: Reason, error: &TaskError) -> Step {
        let attempt = self.attempt;
        let burial = Burial {
            reason,
            error: Some(error.to_string()),
            at: self.cx.clock.now(),
            queue: attempt.queue.to_string(),
            worker: self.cx.name.clone(),
        };
        let envelope = attempt.envelope_after(error, self.took, self.cx);
        let (exchange, routing_key) = (attempt.exchange.as_str(), attempt.routing_key.as_str());
        let message = match RawMessage::try_new(exchange, routing_key, &envelope) {
            Ok(message) => burial.bury(message, &self.cx.dead_exchange),
            Err(error) => return impossible(&error),
        };
        let step = match publish(message, self.receipt, self.cx).await {
            Step::Done if error.kind == REVOKED => self.fail(TaskState::Revoked, error).await,
            Step::Done => self.fail(TaskState::Failure, error).await,
            other => other,
        };
        step.and_then(|| tell::given_up(self, reason, error))
    }

    /// Tells that the task has failed for good, and whatever follows from that.
    async fn fail(&self, state: TaskState, error: &TaskError) -> Step {
        match self.attempt.body.is_followed() {
            true => Box::pin(self.fail_followed(&state, error)).await,
            false => self.tell_error(state, error).await,
        }
    }

    async fn tell_error(&self, state: TaskState, error: &TaskError) -> Step {
        if !self.attempt.wants_result(self.cx) {
            return Step::Done;
        }
        match report::error(self.attempt, state, error, self.cx) {
            Ok(document) => self.store(document).await,
            Err(error) => impossible(&error),
        }
    }

    /// Tells that the task will be tried again. Once: what the retry ends with replaces this.
    async fn tell_retry(&self, error: &TaskError) {
        if self.attempt.wants_result(self.cx)
            && let Ok(document) = report::error(self.attempt, TaskState::Retry, error, self.cx)
            && let Err(error) = self.cx.results.store(&document).await
        {
            warn!(%error, "not told that the task is tried again");
        }
    }

    /// Stores a result; tries until it is stored, the delivery is void, the worker stops, or as
    /// `on_store_error` says.
    pub(super) async fn store(&self, document: Document) -> Step {
        let mut repetition = 0;
        loop {
            let error = match self.cx.results.store(&document).await {
                Ok(()) => return Step::Done,
                Err(error) => error,
            };
            if !error.is_transient {
                error!(%error, "the result can never be stored; the task is done without it");
                return Step::Done;
            }
            if self.is_void() {
                return Step::Void;
            }
            if self.cx.reporting.on_store_error == OnStoreError::Drop {
                warn!(%error, "the result is not stored; acknowledging the task without it");
                return Step::Done;
            }
            warn!(%error, "not acknowledging before the result is stored, trying again");
            tokio::select! {
                () = self.cx.shutdown.draining() => {
                    warn!("the worker stops before the result is stored, giving the task back");
                    return Step::Unfinished;
                }
                () = self.cx.clock.allow(STORE_PAUSES.random_wait(repetition)) => {}
            }
            repetition = repetition.saturating_add(1);
        }
    }

    pub(super) fn is_void(&self) -> bool {
        self.receipt.is_some_and(Settle::is_void)
    }
}

/// Removes what is said of a start that has been.
fn forget_start(envelope: &mut Envelope) {
    envelope.headers.eta = None;
    envelope.headers.extra.remove(header::RATE_WAITS);
}

/// Publishes into the archive; tries until it is there or the delivery is void.
async fn publish(message: RawMessage, receipt: Option<&Settle>, cx: &Context) -> Step {
    let message = Arc::new(message);
    loop {
        match cx.publisher.bury(Arc::clone(&message), PATIENCE).await {
            Ok(()) => return Step::Done,
            Err(error) if error.is_transient() => {
                if receipt.is_some_and(Settle::is_void) {
                    return Step::Void;
                }
                warn!(%error, "not archived, keeping the delivery and trying again");
            }
            Err(error @ PublishError::Unroutable { .. }) => {
                error!(%error, "the archive is missing; rejecting the message");
                return Step::Impossible;
            }
            Err(error) => {
                error!(%error, "the archive cannot take the message; rejecting it");
                return Step::Impossible;
            }
        }
    }
}

fn impossible(error: &EncodeError) -> Step {
    error!(%error, "the message cannot be written again; rejecting it");
    Step::Impossible
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<'a, 'b: 'a, F>(_: impl Fn(&'a Settling<'b>) -> F) -> usize {
        size_of::<F>()
    }

    /// Most tasks with a result do this and nothing else.
    #[test]
    fn the_future_that_tells_a_result_is_small() {
        assert!(size(Settling::succeed) <= 600, "{} bytes", size(Settling::succeed));
    }
}
