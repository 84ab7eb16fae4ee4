//! One queue: what is ready in it, in which order, and by which rules it gives messages up.

use super::entry::Entry;
use crate::protocol::HeaderValue;
use crate::topology::{self, Arguments};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// A queue or stream.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) declared: topology::Queue,
    pub(super) rules: Rules,
    /// By rank, then by arrival: the first is handed out next.
    ready: BTreeMap<(u8, u64), Entry>,
    /// What a stream keeps, and since when.
    pub(super) log: Vec<(SystemTime, Entry)>,
    /// When it was last used by somebody other than a consumer that is still there.
    pub(super) used: SystemTime,
    /// The consumer that was served last.
    pub(super) served: u64,
}

/// What the arguments of a queue say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rules {
    pub(super) kind: Kind,
    pub(super) ttl: Option<Duration>,
    pub(super) max_length: Option<usize>,
    pub(super) overflow: Overflow,
    /// The exchange and perhaps the key that given up messages go by.
    pub(super) dead_letter: Option<(String, Option<String>)>,
    /// What cannot be dead-lettered now waits until it can.
    pub(super) at_least_once: bool,
    pub(super) delivery_limit: Option<u32>,
    pub(super) expires: Option<Duration>,
    pub(super) single_active: bool,
    max_priority: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Classic,
    Quorum,
    Stream,
}

/// What a queue at its length does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overflow {
    DropHead,
    RejectPublish,
}

/// A quorum queue that says nothing gives up a message after so many deliveries in vain.
const DELIVERY_LIMIT: u32 = 20;

impl Rules {
    fn read(arguments: &Arguments) -> Self {
        let text = |name: &str| match arguments.get(name) {
            Some(HeaderValue::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let number = |name: &str| match arguments.get(name) {
            Some(HeaderValue::Int(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        let kind = match text("x-queue-type").as_deref() {
            Some("quorum") => Kind::Quorum,
            Some("stream") => Kind::Stream,
            _ => Kind::Classic,
        };
        let limit = number("x-delivery-limit").and_then(|limit| u32::try_from(limit).ok());
        let key = text("x-dead-letter-routing-key");
        let overflow = match text("x-overflow").as_deref() {
            Some("reject-publish" | "reject-publish-dlx") => Overflow::RejectPublish,
            _ => Overflow::DropHead,
        };
        Self {
            kind,
            ttl: number("x-message-ttl").map(Duration::from_millis),
            max_length: number("x-max-length").and_then(|length| usize::try_from(length).ok()),
            overflow,
            dead_letter: text("x-dead-letter-exchange").map(|exchange| (exchange, key)),
            at_least_once: text("x-dead-letter-strategy").as_deref() == Some("at-least-once"),
            delivery_limit: (kind == Kind::Quorum).then_some(limit.unwrap_or(DELIVERY_LIMIT)),
            expires: number("x-expires").map(Duration::from_millis),
            single_active: arguments.get("x-single-active-consumer")
                == Some(&HeaderValue::Bool(true)),
            max_priority: number("x-max-priority").and_then(|highest| u8::try_from(highest).ok()),
        }
    }
}

impl Queue {
    pub(super) fn new(declared: topology::Queue, now: SystemTime) -> Self {
        let rules = Rules::read(&declared.arguments);
        Self { declared, rules, ready: BTreeMap::new(), log: Vec::new(), used: now, served: 0 }
    }

    /// Puts a message where its priority and its arrival say.
    pub(super) fn put(&mut self, entry: Entry) {
        self.ready.insert((self.rank(&entry), entry.arrived), entry);
    }

    /// How many wait; in a stream, all that are kept.
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.log.len()
    }

    /// Drops what is ready. Returns how many messages those were.
    pub(super) fn purge(&mut self) -> usize {
        std::mem::take(&mut self.ready).len()
    }

    /// Whether it takes no more.
    pub(super) fn is_full(&self) -> bool {
        self.rules.max_length.is_some_and(|most| self.ready.len() >= most)
    }

    /// The next to be handed out.
    pub(super) fn first(&self) -> Option<&Entry> {
        self.ready.first_key_value().map(|(_, entry)| entry)
    }

    pub(super) fn take_first(&mut self) -> Option<Entry> {
        self.ready.pop_first().map(|(_, entry)| entry)
    }

    /// What the queue drops when it is too long: the oldest of the lowest rank.
    pub(super) fn take_surplus(&mut self) -> Option<Entry> {
        let most = self.rules.max_length.filter(|most| self.ready.len() > *most)?;
        let lowest = self.ready.last_key_value().map(|((rank, _), _)| *rank);
        let key = self.ready.range((lowest?, 0)..).next().map(|(key, _)| *key);
        debug_assert!(most < self.ready.len());
        self.ready.remove(&key?)
    }

    /// What has waited too long. Only the first of each rank is looked at, as RabbitMQ does: one
    /// that may wait longer holds up those behind it.
    pub(super) fn take_expired(&mut self, now: SystemTime) -> Option<Entry> {
        let is_over = |entry: &Entry| entry.expires.is_some_and(|end| end <= now);
        let key = self.heads().find(|(_, entry)| is_over(entry)).map(|(key, _)| *key)?;
        self.ready.remove(&key)
    }

    /// When something here comes to its end by itself.
    pub(super) fn next_end(&self) -> Option<SystemTime> {
        self.heads().filter_map(|(_, entry)| entry.expires).min()
    }

    /// The first of each rank.
    fn heads(&self) -> impl Iterator<Item = (&(u8, u64), &Entry)> {
        let first = self.ready.first_key_value();
        std::iter::successors(first, |((rank, _), _)| {
            self.ready.range((rank.checked_add(1)?, 0)..).next()
        })
    }

    /// Low ranks go first. Quorum queues are taken for RabbitMQ 3's, which know no priorities.
    fn rank(&self, entry: &Entry) -> u8 {
        let priority = entry.message.properties().priority.unwrap_or(0);
        u8::MAX - self.rules.max_priority.map_or(0, |highest| priority.min(highest))
    }
}
