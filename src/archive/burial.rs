//! Putting a message into the archive: the whole message, and why.
//!
//! A stream forgets headers that are lists or tables, so those travel into the archive as JSON in
//! a header of their own, and are put back when the message is read.

use super::Reason;
use super::attempt::shorten;
use crate::broker::RawMessage;
use crate::clock;
use crate::protocol::{HeaderValue, header_json as json};
use std::collections::BTreeMap;
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
    /// The headers that a stream would forget, as JSON.
    pub(crate) const PACKED: &str = "celeriac-dead-headers";
    /// So many bytes at the beginning of the body are headers, as JSON.
    pub(crate) const IN_BODY: &str = "celeriac-dead-in-body";
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

/// So many bytes of other headers stay headers. RabbitMQ takes and hands out headers beyond the size
/// of a frame, but no client reads them: one such message would close the archive for all behind it.
const LONGEST_HEADERS: usize = 80_000;

/// Why, when and where a message was given up.
#[derive(Debug, Clone, PartialEq)]
pub struct Burial {
    /// Why.
    pub reason: Reason,
    /// The last error: type, text, details.
    pub error: Option<String>,
    /// When.
    pub at: SystemTime,
    /// The queue it came from; empty when nobody knows.
    pub queue: String,
    /// The worker that gave it up; empty when the broker did.
    pub worker: String,
}

impl Burial {
    /// `message` as it came from its queue, on its way to the archive's exchange.
    ///
    /// Publish it confirmed, and only then acknowledge the delivery.
    pub fn bury(&self, message: RawMessage, archive: &str) -> RawMessage {
        let error = self.error.as_deref().map(|error| shorten(error, LONGEST_ERROR));
        let headers = [
            (header::REASON, self.reason.as_str()),
            (header::AT, &clock::to_iso(self.at)),
            (header::QUEUE, &self.queue),
            (header::EXCHANGE, &message.exchange),
            (header::ROUTING_KEY, &message.routing_key),
            (header::WORKER, &self.worker),
            (header::ERROR, error.as_deref().unwrap_or_default()),
        ];
        let told = headers.into_iter().filter(|(_, text)| !text.is_empty());
        let told = told.map(|(name, text)| (name, HeaderValue::Text(text.to_owned())));
        let told: Vec<_> = told.collect();
        let buried = pack(message.afresh()).with_headers(told);
        RawMessage { exchange: archive.to_owned(), ..buried }
    }
}

/// Headers that a stream takes and keeps and every client reads: no decimals, lists and tables as
/// JSON, and not too much.
pub(super) fn pack(message: RawMessage) -> RawMessage {
    fit(flatten(message.without_decimals()))
}

/// Lists and tables as JSON.
fn flatten(message: RawMessage) -> RawMessage {
    let mut packed = message.headers();
    packed.retain(|_, value| matches!(value, HeaderValue::List(_) | HeaderValue::Table(_)));
    if packed.is_empty() {
        return message;
    }
    let text = HeaderValue::Text(json::table_to_json(&packed).to_string());
    message.without_headers(|name| packed.contains_key(name)).with_headers([(header::PACKED, text)])
}

/// The same message with its longest headers in front of its body, as far as all together are too
/// much.
fn fit(message: RawMessage) -> RawMessage {
    let mut kept: Vec<_> = message.headers().into_iter().collect();
    kept.sort_by_key(|(name, value)| name.len() + length(value));
    let mut total: usize = kept.iter().map(|(name, value)| name.len() + length(value)).sum();
    let mut moved = BTreeMap::new();
    while total > LONGEST_HEADERS {
        let Some((name, value)) = kept.pop() else { break };
        total -= name.len() + length(&value);
        moved.insert(name, value);
    }
    if moved.is_empty() {
        return message;
    }
    let text = json::table_to_json(&moved).to_string();
    let mark = HeaderValue::Int(i64::try_from(text.len()).unwrap_or(i64::MAX));
    let body = [text.as_bytes(), &message.body].concat().into();
    let fitting = message.without_headers(|name| moved.contains_key(name));
    RawMessage { body, ..fitting.with_headers([(header::IN_BODY, mark)]) }
}

/// The headers in front of the body, and where the body begins.
fn headers_in_body(message: &RawMessage) -> Option<(BTreeMap<String, HeaderValue>, usize)> {
    let HeaderValue::Int(length) = message.header(header::IN_BODY) else { return None };
    let length = usize::try_from(length).ok()?;
    let text = serde_json::from_slice(message.body.get(..length)?).ok()?;
    Some((json::table_from_json(&text)?, length))
}

/// About how many bytes a plain value takes in a header table.
fn length(value: &HeaderValue) -> usize {
    match value {
        HeaderValue::Text(text) => text.len(),
        HeaderValue::Bytes(bytes) => bytes.len(),
        _ => 8,
    }
}

/// A message of the archive as it was, with its headers back in place.
pub(super) fn unpack(message: RawMessage) -> RawMessage {
    let message = match headers_in_body(&message) {
        Some((headers, length)) => {
            let body = message.body.slice(length..);
            let whole = message.without_headers(|name| name == header::IN_BODY);
            RawMessage { body, ..whole.with_headers(headers) }
        }
        None => message,
    };
    let packed = message.text_header(header::PACKED);
    let packed = packed.and_then(|text| serde_json::from_str(&text).ok());
    match packed.and_then(|packed| json::table_from_json(&packed)) {
        Some(packed) => message.without_headers(|name| name == header::PACKED).with_headers(packed),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_tables_survive_a_stream_that_knows_only_plain_values() {
        let list = HeaderValue::List(vec![HeaderValue::Null, HeaderValue::Float(2.5)]);
        let table = HeaderValue::Table(BTreeMap::from([("k".to_owned(), list.clone())]));
        let headers = [("timelimit", list), ("stamps", table), ("n", HeaderValue::Int(1))];
        let message = RawMessage::note("celeriac", headers);
        let burial = Burial {
            reason: Reason::Rejected,
            error: None,
            at: SystemTime::UNIX_EPOCH,
            queue: "q".to_owned(),
            worker: String::new(),
        };
        let buried = burial.bury(message.clone(), "celeriac.dead");
        let plain = |value| !matches!(value, HeaderValue::List(_) | HeaderValue::Table(_));
        assert!(buried.headers().into_values().all(plain));
        let back = unpack(buried).without_headers(|name| name.starts_with("celeriac-dead-"));
        assert_eq!(back.headers(), message.headers());
    }

    #[test]
    fn headers_beyond_a_frame_travel_in_front_of_the_body() {
        let text = |length| HeaderValue::Text("x".repeat(length));
        let nested = HeaderValue::List(vec![text(30_000); 2]);
        let headers = [("a", text(50_000)), ("b", text(20_000)), ("c", nested), ("d", text(1))];
        let note = RawMessage::note("celeriac", headers);
        let message = RawMessage { body: b"[[],{},{}]".as_slice().into(), ..note };
        let packed = pack(message.clone());
        let names: Vec<_> = packed.headers().into_keys().collect();
        assert_eq!(names, ["a", "b", "celeriac-dead-in-body", "d"]);
        assert_eq!(unpack(packed), message);
        let small = RawMessage::note("celeriac", [("a", text(70_000))]);
        assert_eq!(pack(small.clone()), small);
    }
}
