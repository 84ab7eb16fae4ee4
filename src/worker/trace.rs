//! The span of an attempt: from when it begins until it is settled.

use super::attempt::Attempt;
use super::decide::Decision;
use crate::handler::TaskError;
use crate::traces::{Span, Told};

impl Attempt {
    /// Begins the span, if anything is traced.
    pub(super) fn begin_span(&self, worker: &str) {
        let headers = &self.headers;
        let span = Span::process(headers.trace(), || {
            let told = Told {
                task: &headers.task,
                id: headers.id.as_str(),
                root: headers.root_id.as_ref().map(|root| root.as_str()),
                exchange: &self.exchange,
                routing_key: &self.routing_key,
                queue: Some(&self.queue),
                size: self.size(),
                retries: headers.retries,
            };
            (told, worker)
        });
        if let Some(span) = span {
            // Once per attempt, so that there is none before.
            self.span.get_or_init(|| span);
        }
    }

    /// Notes what was decided. A task that ends without having begun has a span too, a short one: it
    /// is the end of its trace.
    pub(super) fn note_decision(&self, decision: &Decision, worker: &str) {
        let (state, error) = told(decision);
        if matches!(state, Some("FAILURE" | "REVOKED")) && self.span.get().is_none() {
            self.begin_span(worker);
        }
        let Some(span) = self.span.get() else { return };
        if let Some(state) = state {
            span.state(state);
        }
        if let Some(error) = error {
            span.fail(&error.kind, &error.to_string());
        }
    }

    /// Ends the span: the attempt is settled.
    pub(super) fn end_span(&self) {
        if let Some(span) = self.span.get() {
            span.end();
        }
    }
}

/// The state of a task that this is decided about, in Celery's words, and its error.
fn told(decision: &Decision) -> (Option<&'static str>, Option<&TaskError>) {
    match decision {
        Decision::Succeed => (Some("SUCCESS"), None),
        Decision::Retry { error, .. } => (Some("RETRY"), Some(error)),
        Decision::Revoke(_) => (Some("REVOKED"), None),
        Decision::Fail(error) | Decision::Bury { error, .. } => (Some("FAILURE"), Some(error)),
        Decision::Replace(_) | Decision::Defer { .. } => (None, None),
        Decision::Recount(_) | Decision::GiveBack => (None, None),
    }
}
