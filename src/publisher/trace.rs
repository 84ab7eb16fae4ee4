//! The span of a task that is sent.

use crate::broker::PublishError;
use crate::protocol::Headers;
use crate::topology::Destination;
use crate::traces::{Span, Told};

/// Begins the span, if anything is traced, and puts the message under it.
pub(super) fn begin(headers: &mut Headers, destination: &Destination, size: usize) -> Option<Span> {
    let span = Span::send(headers.trace(), || Told {
        task: &headers.task,
        id: headers.id.as_str(),
        root: headers.root_id.as_ref().map(|root| root.as_str()),
        exchange: &destination.route.exchange,
        routing_key: &destination.route.routing_key,
        queue: None,
        size,
        retries: headers.retries,
    })?;
    headers.set_trace(&span);
    Some(span)
}

/// Ends it with what became of the message.
pub(super) fn end(span: &Span, published: &Result<(), PublishError>) {
    if let Err(error) = published {
        span.fail("PublishError", &error.to_string());
    }
    span.end();
}
