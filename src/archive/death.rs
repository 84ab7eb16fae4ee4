//! What RabbitMQ itself tells of a message that it gave up.

use super::Reason;
use crate::broker::RawMessage;
use crate::protocol::{HeaderValue, delayed_routing_key};
use crate::topology::names;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// The latest death of a message, by its headers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Death {
    /// The queue it was in.
    pub(super) queue: String,
    /// Why the queue gave it up.
    pub(super) reason: Reason,
    /// The exchange it had been published to.
    pub(super) exchange: Option<String>,
    /// The key it had been published with.
    pub(super) routing_key: Option<String>,
    /// When, to the second.
    pub(super) at: Option<SystemTime>,
    /// The queue that it was on its way to when it left the delay ladder.
    pub(super) late_for: Option<String>,
}

impl Death {
    /// `None` when the broker never gave it up.
    pub(super) fn of(message: &RawMessage) -> Option<Self> {
        let death = Self::newest(&message.header("x-death"))
            .or_else(|| Self::summary(message, "x-last-death"))
            .or_else(|| Self::summary(message, "x-first-death"))?;
        Some(death.or_undeliverable(message))
    }

    /// RabbitMQ puts the latest first.
    fn newest(header: &HeaderValue) -> Option<Self> {
        let HeaderValue::List(deaths) = header else { return None };
        let Some(HeaderValue::Table(death)) = deaths.first() else { return None };
        let text = |name: &str| text_in(death, name);
        let routing_key = match death.get("routing-keys") {
            Some(HeaderValue::List(keys)) => match keys.first() {
                Some(HeaderValue::Text(key)) => Some(delayed_routing_key(key).to_owned()),
                _ => None,
            },
            _ => None,
        };
        let at = match death.get("time") {
            Some(HeaderValue::Time(seconds)) => {
                SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(*seconds))
            }
            _ => None,
        };
        Some(Self {
            queue: text("queue")?,
            reason: Reason::of_broker(&text("reason")?),
            exchange: text("exchange"),
            routing_key,
            at,
            late_for: None,
        })
    }

    /// What is left of it in a stream.
    fn summary(message: &RawMessage, prefix: &str) -> Option<Self> {
        let text = |name: &str| message.text_header(&format!("{prefix}-{name}"));
        Some(Self {
            queue: text("queue")?,
            reason: Reason::of_broker(&text("reason")?),
            exchange: text("exchange"),
            routing_key: None,
            at: None,
            late_for: None,
        })
    }

    /// A message that comes straight from a level of a delay ladder found no way to its
    /// destination. Of that only the routing key is left, and a task on its way to a queue has the
    /// queue's name as key.
    fn or_undeliverable(self, message: &RawMessage) -> Self {
        if !names::is_delay_level(&self.queue) {
            return self;
        }
        let key = self.routing_key.unwrap_or_else(|| message.routing_key.clone());
        let late_for = names::queue_after_delay(&key).map(str::to_owned);
        let key = names::sent_key(&self.queue, &key).to_owned();
        Self {
            queue: key.clone(),
            reason: Reason::Undeliverable,
            exchange: None,
            routing_key: Some(key),
            at: self.at,
            late_for,
        }
    }
}

fn text_in(death: &BTreeMap<String, HeaderValue>, name: &str) -> Option<String> {
    match death.get(name) {
        Some(HeaderValue::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> HeaderValue {
        HeaderValue::Text(text.to_owned())
    }

    fn entry(queue: &str, reason: &str) -> HeaderValue {
        let entry = [
            ("queue", text(queue)),
            ("reason", text(reason)),
            ("exchange", text("celeriac")),
            ("routing-keys", HeaderValue::List(vec![text("mail")])),
            ("time", HeaderValue::Time(60)),
        ];
        HeaderValue::Table(entry.map(|(name, value)| (name.to_owned(), value)).into())
    }

    #[test]
    fn the_latest_death_counts_and_its_reason_is_ours() {
        let cases = [
            ("mail", "expired", Reason::Expired),
            ("mail", "rejected", Reason::Rejected),
            ("mail", "maxlen", Reason::Overflow),
            ("mail", "delivery_limit", Reason::Poison),
            ("celeriac.delay.0", "expired", Reason::Undeliverable),
        ];
        for (queue, word, reason) in cases {
            let deaths = vec![entry(queue, word), entry("celeriac.delay.7", "expired")];
            let message = RawMessage::note("e", [("x-death", HeaderValue::List(deaths))]);
            let death = Death::of(&message).unwrap();
            assert_eq!((death.reason, death.queue.as_str()), (reason, "mail"), "{queue} {word}");
            assert_eq!(death.routing_key.as_deref(), Some("mail"));
            assert_eq!(death.at, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(60)));
        }
    }

    #[test]
    fn a_stream_leaves_the_last_or_the_first_death_as_plain_text() {
        let first = [
            ("x-first-death-queue", text("celeriac.delay.3")),
            ("x-first-death-reason", text("expired")),
        ];
        let routing_key = "out:mail".to_owned();
        let message = RawMessage { routing_key, ..RawMessage::note("e", first) };
        let death = Death::of(&message).unwrap();
        assert_eq!((death.reason, death.queue.as_str()), (Reason::Undeliverable, "mail"));
        assert_eq!(death.late_for.as_deref(), Some("mail"));
        let last = [("x-last-death-queue", text("mail")), ("x-last-death-reason", text("maxlen"))];
        assert_eq!(Death::of(&message.with_headers(last)).unwrap().reason, Reason::Overflow);
        assert_eq!(Death::of(&RawMessage::note("e", [("a", HeaderValue::Null)])), None);
    }
}
