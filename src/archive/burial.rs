//! Putting a message into the archive: the whole message, and why.

use super::Reason;
use super::attempt::shorten;
use crate::broker::RawMessage;
use crate::clock;
use crate::protocol::HeaderValue;
use std::time::SystemTime;

/// Names of the headers that the archive adds. All begin with
/// [`crate::protocol::header::DEAD_PREFIX`].
pub(super) mod header {
    pub(crate) const REASON: &str = "celeriac-dead-reason";
    pub(crate) const ERROR: &str = "celeriac-dead-error";
    pub(crate) const AT: &str = "celeriac-dead-at";
    pub(crate) const QUEUE: &str = "celeriac-dead-queue";
    pub(crate) const EXCHANGE: &str = "celeriac-dead-exchange";
    pub(crate) const ROUTING_KEY: &str = "celeriac-dead-routing-key";
    pub(crate) const WORKER: &str = "celeriac-dead-worker";
    /// In a mark: what became of the message that the mark is about.
    pub(crate) const MARK: &str = "celeriac-dead-mark";
    /// In a mark: the offset of that message.
    pub(crate) const OF: &str = "celeriac-dead-of";
    /// In a mark: the id of that message.
    pub(crate) const OF_ID: &str = "celeriac-dead-of-id";
    /// In a mark: who did it.
    pub(crate) const BY: &str = "celeriac-dead-by";
}

/// So many bytes of the error are kept. All headers together must fit into one frame.
const LONGEST_ERROR: usize = 8_000;

/// Why, when and where a message was given up.
#[derive(Debug, Clone, PartialEq)]
pub struct Burial {
    /// Why.
    pub reason: Reason,
    /// The last error: type, text, details.
    pub error: Option<String>,
    /// When.
    pub at: SystemTime,
    /// The queue it came from.
    pub queue: String,
    /// The worker that gave it up.
    pub worker: String,
}

impl Burial {
    /// `message` as it came from its queue, on its way to the archive's exchange.
    ///
    /// Publish it confirmed, and only then acknowledge the delivery.
    pub fn bury(&self, message: RawMessage, archive: &str) -> RawMessage {
        let text = |text: &str| HeaderValue::Text(text.to_owned());
        let mut headers = vec![
            (header::REASON, text(self.reason.as_str())),
            (header::AT, HeaderValue::Text(clock::to_iso(self.at))),
            (header::QUEUE, text(&self.queue)),
            (header::EXCHANGE, text(&message.exchange)),
            (header::ROUTING_KEY, text(&message.routing_key)),
            (header::WORKER, text(&self.worker)),
        ];
        let error = self.error.as_deref().map(|error| shorten(error, LONGEST_ERROR));
        headers.extend(error.map(|error| (header::ERROR, HeaderValue::Text(error))));
        RawMessage { exchange: archive.to_owned(), ..message.afresh().with_headers(headers) }
    }
}
