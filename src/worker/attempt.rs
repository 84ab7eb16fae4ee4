//! One execution of one delivery.

use super::adjust::Limits;
use super::context::{Context, Known};
use super::here::{Stage, Step};
use super::rate::{Keyed, Turn};
use crate::archive::AttemptRecord;
use crate::broker::{Delivery, Settle};
use crate::handler::TaskError;
use crate::protocol::{
    Body, Envelope, HeaderValue, Headers, Properties, TimeLimits, Unreadable, header,
};
use crate::task::{RetryPolicy, rate_key};
use crate::traces::Span;
use crate::{clock, protocol};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

/// A message that was read, and what this worker knows about its task.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) headers: Arc<Headers>,
    pub(super) properties: Properties,
    /// The body as it came, for whatever is published again.
    bytes: protocol::Bytes,
    pub(super) body: Arc<Body>,
    pub(super) queue: Arc<str>,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) redelivered: bool,
    /// `None` when no such task is registered here.
    pub(super) known: Option<Arc<Known>>,
    /// How far it has come.
    pub(super) stage: Stage,
    /// Set once it begins, if anything is traced.
    pub(super) span: OnceLock<Span>,
}

/// A delivery that is no task that can be run, whole, with the reason.
#[derive(Debug)]
pub(super) struct NoTask {
    pub(super) delivery: Delivery,
    pub(super) reason: Unreadable,
}

/// A delivery that was read: an attempt and what settles it, or why it is none.
pub(super) type Read = Result<(Arc<Attempt>, Settle), Box<NoTask>>;

impl Attempt {
    /// Reads a delivery.
    ///
    /// # Errors
    ///
    /// The delivery and why it cannot be read.
    pub(super) fn read(delivery: Delivery, cx: &Context) -> Read {
        let read = || {
            let envelope = delivery.envelope(&cx.limits)?;
            let body = cx.security.parse(&envelope, &cx.limits, cx.clock.now())?;
            Ok((envelope, body))
        };
        let (envelope, body) = match read() {
            Ok(parts) => parts,
            Err(reason) => return Err(Box::new(NoTask { delivery, reason })),
        };
        let known = cx.known(&envelope.headers.task);
        let attempt = Self {
            headers: Arc::new(envelope.headers),
            properties: envelope.properties,
            bytes: envelope.body,
            body: Arc::new(body),
            queue: delivery.queue,
            exchange: delivery.exchange,
            routing_key: delivery.routing_key,
            redelivered: delivery.redelivered,
            known,
            stage: Stage::default(),
            span: OnceLock::new(),
        };
        Ok((Arc::new(attempt), delivery.settle))
    }

    /// How this task is retried: as the call says, else as the task says.
    pub(super) fn retry_policy(&self) -> Cow<'_, RetryPolicy> {
        let header = self.headers.extra.get(header::RETRY);
        match (&self.known, header) {
            (Some(known), None) => Cow::Borrowed(&known.options.retry),
            (Some(known), Some(header)) => Cow::Owned(known.options.retry.with_header(header)),
            (None, _) => Cow::Owned(RetryPolicy::default()),
        }
    }

    /// The soft and the hard limit: as the call says, else as the task says now.
    pub(super) fn limits(&self) -> (Option<Duration>, Option<Duration>) {
        let TimeLimits { hard, soft } = self.headers.time_limits;
        let limits = self.known.as_ref().map(|known| &known.limits);
        let called = |limit: Option<f64>| {
            limit.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        };
        (
            called(soft).or_else(|| limits.and_then(Limits::soft)),
            called(hard).or_else(|| limits.and_then(Limits::hard)),
        )
    }

    /// Whether it has run and nothing is left but to tell its result.
    pub(super) fn only_tells_its_result(&self) -> bool {
        self.stage.step() == Step::Settling && !self.body.is_followed()
    }

    /// Whether somebody is to learn the result.
    pub(super) fn wants_result(&self, cx: &Context) -> bool {
        let ignored = self.headers.ignore_result.unwrap_or_else(|| {
            self.known.as_ref().is_some_and(|known| known.options.ignore_result)
        });
        !ignored && cx.results.wants(self.properties.reply_to.as_deref())
    }

    /// How long the body is as it came, in bytes.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The message as it came, to be published again.
    pub(super) fn envelope(&self) -> Envelope {
        let mut headers = Headers::clone(&self.headers);
        headers.forget_delivery();
        // A trace that began with this attempt is gone on with by the next.
        if let Some(span) = self.span.get()
            && headers.trace().parent.is_none()
        {
            headers.set_trace(span);
        }
        let properties = Properties { expiration: None, ..self.properties.clone() };
        Envelope { properties, headers, body: self.bytes.clone() }
    }

    /// The same, with one more line in its history.
    pub(super) fn envelope_after(
        &self,
        error: &TaskError,
        took: Duration,
        cx: &Context,
    ) -> Envelope {
        let mut envelope = self.envelope();
        let record = AttemptRecord {
            number: self.headers.retries.saturating_add(1),
            at: cx.clock.now(),
            took,
            worker: cx.name.clone(),
            error: match &error.detail {
                Some(detail) => format!("{error}\n{detail}"),
                None => error.to_string(),
            },
        };
        let extra = &mut envelope.headers.extra;
        let earlier = extra.get(header::ATTEMPTS).unwrap_or(&HeaderValue::Null);
        let history = record.add_to(earlier);
        extra.insert(header::ATTEMPTS.to_owned(), history);
        envelope
    }

    /// What it counts for where its task has a rate, if not for the task.
    pub(super) fn keyed(&self) -> Option<Keyed<'_>> {
        let key = rate_key(&self.headers)?;
        let turn = match self.counter(header::RATE_WAITS) {
            0 => Turn::First,
            _ => Turn::Again,
        };
        Some(Keyed { key, turn })
    }

    /// How long until the task may start; zero when it may.
    pub(super) fn not_due_for(&self, now: SystemTime) -> Duration {
        self.headers.eta.map(|eta| clock::until(eta, now)).unwrap_or_default()
    }

    /// A whole number in one of our own headers.
    pub(super) fn counter(&self, name: &str) -> u32 {
        match self.headers.extra.get(name) {
            Some(HeaderValue::Int(count)) => u32::try_from(*count).unwrap_or(0),
            _ => 0,
        }
    }
}
