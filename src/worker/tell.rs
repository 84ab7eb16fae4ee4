//! What monitors are told of a task, where its life turns.
//!
//! How a task ended is told once that was done and before its message is acknowledged: what a monitor
//! shows has happened, and if the worker dies in between, it is told twice. A retry is told before it
//! is sent, so that nothing of the next attempt is told earlier. Each function costs one load when
//! nobody wants to be told.

use super::admit::Admission;
use super::attempt::Attempt;
use super::context::Context;
use super::outcome::Outcome;
use super::settle::Settling;
use crate::archive::Reason;
use crate::clock::to_iso;
use crate::events::{Event, Payload, ReceivedTask};
use crate::handler::{Failure, TaskError};
use crate::protocol::repr;
use std::time::Duration;

/// The signal that stops a task where nobody names one.
const SIGTERM: u8 = 15;

/// What Celery's `Reject` is not: a call that does not fit the task has failed.
const MISFIT: &str = "ArgumentError";

/// That a worker has the task: unless it refuses it at once.
pub(super) fn received(attempt: &Attempt, admission: &Admission, cx: &Context) {
    let is_taken =
        !matches!(admission, Admission::Refused(outcome) if !matches!(outcome, Outcome::NotDue(_)));
    if !cx.events.is_on() || !is_taken {
        return;
    }
    let headers = &attempt.headers;
    let given = |header: &Option<String>, own: &dyn Fn() -> String| {
        shows_arguments(attempt, cx).then(|| header.clone().unwrap_or_else(own))
    };
    cx.events.tell(&Event::Received(ReceivedTask {
        uuid: &headers.id,
        name: &headers.task,
        args: given(&headers.argsrepr, &|| attempt.body.args_repr()),
        kwargs: given(&headers.kwargsrepr, &|| attempt.body.kwargs_repr()),
        root_id: headers.root_id.as_ref().unwrap_or(&headers.id),
        parent_id: headers.parent_id.as_ref(),
        group_id: headers.group.as_deref(),
        retries: headers.retries,
        eta: headers.eta.map(to_iso),
        expires: headers.expires.map(to_iso),
        queue: &attempt.queue,
    }));
}

/// That an attempt begins.
pub(super) fn started(attempt: &Attempt, cx: &Context) {
    if cx.events.is_on() {
        cx.events.tell(&Event::Started { uuid: &attempt.headers.id });
    }
}

/// That it has returned a value.
pub(super) fn succeeded(ended: &Settling<'_>) {
    let (cx, Outcome::Done(output)) = (ended.cx, ended.outcome) else { return };
    if cx.events.is_on() {
        cx.events.tell(&Event::Succeeded {
            uuid: &ended.attempt.headers.id,
            result: shows(cx).then(|| repr(output)),
            runtime: ended.took,
        });
    }
}

/// That it has failed for good.
pub(super) fn failed(ended: &Settling<'_>, error: &TaskError) {
    if ended.cx.events.is_on() {
        let uuid = &ended.attempt.headers.id;
        let traceback = Some(traceback(error));
        ended.cx.events.tell(&Event::Failed { uuid, exception: exception(error), traceback });
    }
}

/// That it failed and is tried again.
pub(super) fn retried(ended: &Settling<'_>, error: &TaskError) {
    if ended.cx.events.is_on() {
        let (exception, traceback) = (exception(error), traceback(error));
        let uuid = &ended.attempt.headers.id;
        ended.cx.events.tell(&Event::Retried { uuid, exception, traceback });
    }
}

/// That it put itself off: to Celery's monitors it is a retry.
pub(super) fn snoozed(ended: &Settling<'_>, wait: Duration) {
    retried(ended, &TaskError::new("Snooze", format!("put off for {wait:?}")));
}

/// That it was revoked, before it ran or while it did.
pub(super) fn revoked(ended: &Settling<'_>) {
    if ended.cx.events.is_on() {
        let terminated = !ended.took.is_zero();
        ended.cx.events.tell(&Event::Revoked {
            uuid: &ended.attempt.headers.id,
            terminated,
            signum: terminated.then_some(SIGTERM),
            expired: false,
        });
    }
}

/// That it went into the archive.
pub(super) fn given_up(ended: &Settling<'_>, reason: Reason, error: &TaskError) {
    let events = &ended.cx.events;
    if !events.is_on() {
        return;
    }
    let uuid = &ended.attempt.headers.id;
    match reason {
        Reason::Expired => {
            let (terminated, signum) = (false, None);
            events.tell(&Event::Revoked { uuid, terminated, signum, expired: true });
        }
        Reason::Rejected if is_refused(ended.outcome) => {
            events.tell(&Event::Rejected { uuid, requeue: false });
            failed(ended, error);
        }
        Reason::Unknown => {
            let exception = exception(&TaskError::new(&*error.kind, &*ended.attempt.headers.task));
            events.tell(&Event::Failed { uuid, exception, traceback: None });
        }
        _ => failed(ended, error),
    }
}

/// That its message goes back to its queue, because the worker stops.
pub(super) fn given_back(ended: &Settling<'_>) {
    if ended.cx.events.is_on() {
        let uuid = &ended.attempt.headers.id;
        ended.cx.events.tell(&Event::Rejected { uuid, requeue: true });
    }
}

/// Whether the task itself refused its message.
fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(Failure::Reject(error)) if error.kind != MISFIT)
}

fn shows(cx: &Context) -> bool {
    cx.events.settings().payload == Payload::Always
}

fn shows_arguments(attempt: &Attempt, cx: &Context) -> bool {
    shows(cx) && !attempt.known.as_ref().is_some_and(|known| known.hides_arguments)
}

/// An error as Python shows an exception: `ValueError('no')`.
fn exception(error: &TaskError) -> String {
    format!("{}({})", error.kind, repr(&error.message))
}

/// An error in one line, and what else is known of it.
fn traceback(error: &TaskError) -> String {
    match &error.detail {
        Some(detail) => format!("{error}\n{detail}"),
        None => error.to_string(),
    }
}
