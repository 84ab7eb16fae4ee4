//! The traces that tasks are part of, as OpenTelemetry has them.
//!
//! Sending a task is a span, and every attempt at it is a span under that one: the message carries
//! the identity of the first in its headers `traceparent` and `tracestate` (W3C Trace Context), as
//! Celery's instrumentation for Python does, and keeps them while it waits and is tried again. What a
//! running task sends is under the span of its attempt.
//!
//! Nothing is traced, written or allocated before [`begin`] was called, which the program `celeriac`
//! does where `[log.otlp]` names an endpoint. All of it is behind the feature `otel`; without it a
//! [`Span`] cannot exist.

#[cfg(feature = "otel")]
mod export;
#[cfg(not(feature = "otel"))]
mod off;
#[cfg(feature = "otel")]
mod span;

#[cfg(feature = "otel")]
pub(crate) use export::{Exporting, export};
#[cfg(not(feature = "otel"))]
pub(crate) use off::{Span, here};
#[cfg(feature = "otel")]
pub use span::begin;
#[cfg(feature = "otel")]
pub(crate) use span::{Span, here};

use futures::future::BoxFuture;

/// The header that says which trace a message belongs to, and under which span.
pub(crate) const PARENT: &str = "traceparent";

/// The header in which tracing systems add what they know.
pub(crate) const STATE: &str = "tracestate";

/// What a message says of its trace.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Carried<'a> {
    /// The header [`PARENT`].
    pub(crate) parent: Option<&'a str>,
    /// The header [`STATE`].
    pub(crate) state: Option<&'a str>,
}

impl Carried<'_> {
    /// The same as headers.
    pub(crate) fn headers(self) -> Vec<(&'static str, String)> {
        let headers = [(PARENT, self.parent), (STATE, self.state)].into_iter();
        headers.filter_map(|(name, value)| Some((name, value?.to_owned()))).collect()
    }
}

/// What is told of a task in its spans.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "there are no spans to tell it in"))]
pub(crate) struct Told<'a> {
    /// The name of the task.
    pub(crate) task: &'a str,
    /// Its id.
    pub(crate) id: &'a str,
    /// The first task of its workflow, if that is another.
    pub(crate) root: Option<&'a str>,
    /// The exchange it goes to or came from; empty for none.
    pub(crate) exchange: &'a str,
    /// Its routing key.
    pub(crate) routing_key: &'a str,
    /// The queue it came from, for an attempt.
    pub(crate) queue: Option<&'a str>,
    /// How long the body is, in bytes.
    pub(crate) size: usize,
    /// How many attempts were made before.
    pub(crate) retries: u32,
}

/// `future` as a part of `span`: whatever it sends is under it.
pub(crate) fn within<'a, T>(
    span: Option<&Span>,
    future: impl Future<Output = T> + Send + 'a,
) -> BoxFuture<'a, T> {
    match span {
        Some(span) => span.around(future),
        None => Box::pin(future),
    }
}
