//! A message in a queue, and what the broker remembers about it.

use crate::broker::RawMessage;
use crate::clock;
use crate::protocol::HeaderValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// One message in one queue.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// As its sender wrote it, without `BCC`.
    pub(super) message: Arc<RawMessage>,
    /// Every key it is routed by: its own, those in `CC`, those in `BCC`.
    pub(super) keys: Arc<[String]>,
    /// Its place among all that ever arrived.
    pub(super) arrived: u64,
    /// When it is given up in the queue where it is.
    pub(super) expires: Option<SystemTime>,
    /// Whether it was handed out before.
    pub(super) redelivered: bool,
    /// How often it was handed out in vain.
    pub(super) failed: u32,
    /// The newest first.
    pub(super) deaths: Vec<Death>,
}

/// Why a queue gives a message up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Expired,
    Rejected,
    TooLong,
    DeliveryLimit,
}

/// One line of `x-death`.
#[derive(Debug, Clone)]
pub(super) struct Death {
    pub(super) queue: String,
    pub(super) cause: Cause,
    exchange: String,
    keys: Vec<String>,
    time: SystemTime,
    count: u32,
    expiration: Option<u64>,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::TooLong => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

impl Entry {
    /// A message that was just published.
    pub(super) fn published(message: &Arc<RawMessage>, arrived: u64) -> Self {
        let further = |header: &str| match message.header(header) {
            HeaderValue::List(keys) => keys,
            _ => Vec::new(),
        };
        let (cc, bcc) = (further("CC"), further("BCC"));
        let copies = cc.into_iter().chain(bcc.iter().cloned()).filter_map(|key| match key {
            HeaderValue::Text(key) => Some(key),
            _ => None,
        });
        let keys = std::iter::once(message.routing_key.clone()).chain(copies).collect();
        let message = match bcc.is_empty() {
            true => Arc::clone(message),
            false => Arc::new(RawMessage::clone(message).without_headers(|name| name == "BCC")),
        };
        let (expires, redelivered, failed, deaths) = Default::default();
        Self { message, keys, arrived, expires, redelivered, failed, deaths }
    }

    /// The same message on its way out of `queue`, which gives it up.
    pub(super) fn given_up(self, queue: &str, cause: Cause, now: SystemTime) -> Self {
        let same = |death: &Death| death.queue == queue && death.cause == cause;
        let mut deaths = self.deaths;
        let earlier = deaths.iter().position(same).map(|place| deaths.remove(place));
        let death = match earlier {
            Some(death) => Death { count: death.count.saturating_add(1), ..death },
            None => Death::new(queue, cause, &self.message, now),
        };
        deaths.insert(0, death);
        let message = RawMessage::clone(&self.message).without_expiration();
        Self {
            message: Arc::new(message),
            expires: None,
            redelivered: false,
            failed: 0,
            deaths,
            ..self
        }
    }

    /// The same message on its way to an exchange, by another key if there is one.
    pub(super) fn readdressed(self, exchange: &str, key: Option<&str>) -> Self {
        let mut message = RawMessage::clone(&self.message);
        message.exchange = exchange.to_owned();
        let mut keys = self.keys;
        if let Some(key) = key {
            message.routing_key = key.to_owned();
            message = message.without_headers(|name| name == "CC");
            keys = Arc::from([key.to_owned()]);
        }
        Self { message: Arc::new(message), keys, ..self }
    }

    /// Whether `queue` has given it up before with nobody having touched it since: such a message
    /// would go round for ever.
    pub(super) fn goes_round_to(&self, queue: &str) -> bool {
        let earlier = self.deaths.iter().position(|death| death.queue == queue);
        earlier.is_some_and(|earlier| {
            self.deaths[..=earlier].iter().all(|death| death.cause != Cause::Rejected)
        })
    }

    /// The message as a consumer gets it; `counts` for a queue that tells of failed deliveries.
    pub(super) fn as_delivered(&self, counts: bool) -> RawMessage {
        let mut headers = death_headers(&self.deaths);
        if counts && self.failed > 0 {
            headers.push(("x-delivery-count".to_owned(), self.failed.into()));
        }
        let message = RawMessage::clone(&self.message);
        if headers.is_empty() { message } else { message.with_headers(headers) }
    }

    /// How long it may wait in a queue whose messages may wait for `ttl`.
    pub(super) fn patience(&self, ttl: Option<Duration>) -> Option<Duration> {
        let own = self.message.properties().expiration.map(Duration::from_millis);
        own.into_iter().chain(ttl).min()
    }
}

impl Death {
    fn new(queue: &str, cause: Cause, message: &RawMessage, time: SystemTime) -> Self {
        let cc = match message.header("CC") {
            HeaderValue::List(keys) => keys,
            _ => Vec::new(),
        };
        let cc = cc.into_iter().filter_map(|key| match key {
            HeaderValue::Text(key) => Some(key),
            _ => None,
        });
        Self {
            queue: queue.to_owned(),
            cause,
            exchange: message.exchange.clone(),
            keys: std::iter::once(message.routing_key.clone()).chain(cc).collect(),
            time,
            count: 1,
            expiration: message.properties().expiration,
        }
    }

    fn table(&self) -> HeaderValue {
        let seconds = clock::until(self.time, SystemTime::UNIX_EPOCH).as_secs();
        let keys = self.keys.iter().cloned().map(HeaderValue::Text).collect();
        let mut table = BTreeMap::from([
            ("count".to_owned(), HeaderValue::from(self.count)),
            ("reason".to_owned(), self.cause.as_str().into()),
            ("queue".to_owned(), self.queue.as_str().into()),
            ("time".to_owned(), HeaderValue::Time(seconds)),
            ("exchange".to_owned(), self.exchange.as_str().into()),
            ("routing-keys".to_owned(), HeaderValue::List(keys)),
        ]);
        if let Some(millis) = self.expiration {
            table.insert("original-expiration".to_owned(), millis.to_string().into());
        }
        HeaderValue::Table(table)
    }
}

/// What RabbitMQ tells of the deaths of a message.
fn death_headers(deaths: &[Death]) -> Vec<(String, HeaderValue)> {
    let (Some(last), Some(first)) = (deaths.first(), deaths.last()) else { return Vec::new() };
    let mut headers =
        vec![("x-death".to_owned(), HeaderValue::List(deaths.iter().map(Death::table).collect()))];
    for (prefix, death) in [("x-first-death", first), ("x-last-death", last)] {
        let told = [
            ("queue", &*death.queue),
            ("reason", death.cause.as_str()),
            ("exchange", &*death.exchange),
        ];
        headers.extend(told.map(|(name, text)| (format!("{prefix}-{name}"), text.into())));
    }
    headers
}
