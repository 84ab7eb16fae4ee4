//! Everything in the broker, and what follows from each change of it.
//!
//! Every change ends with [`State::settle`]: what can be handed out is handed out, what has waited
//! too long is given up, until nothing more follows. So between two calls nothing is ever pending
//! but for time to pass or a consumer to settle.

use super::entry::{Cause, Entry};
use super::queue::{Kind, Overflow, Queue};
use super::routing::{Exit, NoExchange, route};
use crate::broker::{PublishError, RawMessage};
use crate::protocol::HeaderValue;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::SystemTime;

/// What the broker holds.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) exits: BTreeMap<String, Exit>,
    pub(super) queues: BTreeMap<String, Queue>,
    pub(super) consumers: BTreeMap<u64, Consumer>,
    /// Tasks in the order in which they were published.
    pub(super) tasks: Vec<Arc<RawMessage>>,
    /// Given up by these queues, and so far nobody takes them.
    stuck: Vec<(String, Entry)>,
    pub(super) lanes: BTreeMap<u64, Lane>,
    numbers: u64,
    /// Counts the changes.
    pub(super) changes: u64,
}

/// Consumers that are bounded together.
#[derive(Debug)]
pub(super) struct Lane {
    /// How many deliveries they may hold.
    pub(super) most: usize,
    /// For so many reasons they get none now.
    pub(super) holds: usize,
}

/// One consumer.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) queue: Arc<str>,
    pub(super) prefetch: usize,
    pub(super) lane: Option<u64>,
    /// Of a stream, the offset that comes next.
    pub(super) next: Option<usize>,
    /// Takes nothing more; it is here for what it still holds.
    pub(super) cancelled: bool,
    /// Handed out and not settled, by tag.
    pub(super) held: BTreeMap<u64, Held>,
    /// Handed out and not looked at.
    pub(super) buffer: VecDeque<u64>,
    pub(super) waker: Option<Waker>,
}

/// A delivery that is not settled.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) entry: Entry,
    /// Nobody can settle it any more.
    pub(super) abandoned: bool,
}

/// How a delivery is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Back {
    /// By whoever had it.
    Returned,
    /// Because it never came to them.
    Unseen,
}

impl State {
    /// The next number, for whatever needs one of its own.
    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn publish(
        &mut self,
        message: &Arc<RawMessage>,
        now: SystemTime,
    ) -> Result<(), PublishError> {
        let entry = Entry::published(message, self.number());
        let routed = route(&self.exits, &message.exchange, &entry.keys, &entry.message);
        let queues =
            routed.map_err(|NoExchange(exchange)| PublishError::NoExchange { exchange })?;
        let queues: Vec<_> =
            queues.into_iter().filter(|queue| self.queues.contains_key(queue)).collect();
        let routing_key = message.routing_key.clone();
        if queues.is_empty() && message.mandatory {
            let exchange = message.exchange.clone();
            return Err(PublishError::Unroutable { exchange, routing_key });
        }
        if message.header("task") != HeaderValue::Null {
            self.tasks.push(Arc::clone(message));
        }
        let mut refused = false;
        for queue in &queues {
            refused |= self.put(queue, entry.clone(), now).is_err();
        }
        self.settle(now);
        if refused { Err(PublishError::Nacked { routing_key }) } else { Ok(()) }
    }

    /// Puts a message into a queue, or gives it back when the queue is full and refuses.
    fn put(&mut self, name: &str, mut entry: Entry, now: SystemTime) -> Result<(), Entry> {
        let Some(queue) = self.queues.get_mut(name) else { return Err(entry) };
        if queue.rules.kind == Kind::Stream {
            let plain = RawMessage::clone(&entry.message).without_nesting();
            entry.message = Arc::new(plain);
            queue.log.push((now, entry));
            return Ok(());
        }
        if queue.rules.overflow == Overflow::RejectPublish && queue.is_full() {
            return Err(entry);
        }
        entry.expires = entry.patience(queue.rules.ttl).and_then(|wait| now.checked_add(wait));
        queue.put(entry);
        while let Some(surplus) = self.queues.get_mut(name).and_then(Queue::take_surplus) {
            self.give_up(name, surplus, Cause::TooLong, now);
        }
        Ok(())
    }

    /// Does what follows by itself at this moment.
    pub(super) fn settle(&mut self, now: SystemTime) {
        self.changes += 1;
        self.retry_stuck(now);
        loop {
            while self.hand_out() || self.hand_out_of_stream() {}
            if !self.expire(now) {
                break;
            }
        }
    }

    /// Lets time pass until `now`.
    pub(super) fn tick(&mut self, now: SystemTime) {
        while self.expire(now) {}
        self.settle(now);
    }

    /// When something happens by itself next.
    pub(super) fn next_event(&self) -> Option<SystemTime> {
        let ends = self.queues.values().filter_map(Queue::next_end);
        let expiries = self.queues.iter().filter_map(|(name, queue)| self.expiry(name, queue));
        ends.chain(expiries).min()
    }

    /// How many deliveries are with consumers.
    pub(super) fn unacknowledged(&self) -> usize {
        self.consumers.values().map(|consumer| consumer.held.len()).sum()
    }

    /// Hands the message out that arrived first, of all that somebody can take.
    fn hand_out(&mut self) -> bool {
        let candidates = self.queues.iter().filter_map(|(name, queue)| {
            let first = queue.first()?;
            let consumer = self.next_consumer(name, queue)?;
            Some((first.arrived, name, consumer))
        });
        let Some((_, name, consumer)) = candidates.min_by_key(|(arrived, ..)| *arrived) else {
            return false;
        };
        let name = name.clone();
        let tag = self.number();
        let queue = self.queues.get_mut(&name).expect("it was just found");
        let entry = queue.take_first().expect("it was just looked at");
        queue.served = consumer;
        let consumer = self.consumers.get_mut(&consumer).expect("it was just found");
        consumer.held.insert(tag, Held { entry, abandoned: false });
        consumer.buffer.push_back(tag);
        consumer.wake();
        true
    }

    /// Hands out what comes next to a reader of a stream.
    fn hand_out_of_stream(&mut self) -> bool {
        let due = self.consumers.iter().find_map(|(id, consumer)| {
            let queue = self.queues.get(&*consumer.queue)?;
            let (_, entry) = queue.log.get(consumer.next?)?;
            let takes = !consumer.cancelled && consumer.held.len() < consumer.prefetch;
            takes.then(|| (*id, entry.clone()))
        });
        let Some((id, entry)) = due else { return false };
        let tag = self.number();
        let consumer = self.consumers.get_mut(&id).expect("it was just found");
        consumer.next = consumer.next.map(|next| next + 1);
        consumer.held.insert(tag, Held { entry, abandoned: false });
        consumer.buffer.push_back(tag);
        consumer.wake();
        true
    }

    /// Whose turn it is, among those who may hold more.
    fn next_consumer(&self, name: &str, queue: &Queue) -> Option<u64> {
        let mut alive = self
            .consumers
            .iter()
            .filter(|(_, consumer)| &*consumer.queue == name && !consumer.cancelled);
        let is_free = |(_, consumer): &(&u64, &Consumer)| {
            consumer.held.len() < consumer.prefetch && self.has_room(consumer.lane)
        };
        if queue.rules.single_active {
            return alive.next().filter(is_free).map(|(id, _)| *id);
        }
        let free: Vec<u64> = alive.filter(is_free).map(|(id, _)| *id).collect();
        free.iter().find(|id| **id > queue.served).or(free.first()).copied()
    }

    fn has_room(&self, lane: Option<u64>) -> bool {
        let Some(lane) = lane else { return true };
        let of_lane = self.consumers.values().filter(|consumer| consumer.lane == Some(lane));
        let held: usize = of_lane.map(|consumer| consumer.held.len()).sum();
        self.lanes.get(&lane).is_none_or(|lane| lane.holds == 0 && held < lane.most)
    }

    /// Gives up one message, or one queue, whose time is over.
    fn expire(&mut self, now: SystemTime) -> bool {
        let over = self
            .queues
            .iter_mut()
            .find_map(|(name, queue)| Some((name.clone(), queue.take_expired(now)?)));
        if let Some((name, entry)) = over {
            self.give_up(&name, entry, Cause::Expired, now);
            return true;
        }
        let unused = self
            .queues
            .iter()
            .find(|(name, queue)| self.expiry(name, queue).is_some_and(|end| end <= now))
            .map(|(name, _)| name.clone());
        unused.is_some_and(|name| self.delete_queue(&name).is_some())
    }

    /// When a queue that nobody uses goes.
    fn expiry(&self, name: &str, queue: &Queue) -> Option<SystemTime> {
        let expires = queue.rules.expires?;
        let used = self.consumers.values().any(|consumer| &*consumer.queue == name);
        if used { None } else { queue.used.checked_add(expires) }
    }

    /// Removes a queue with its bindings and messages. Returns how many messages those were.
    pub(super) fn delete_queue(&mut self, name: &str) -> Option<usize> {
        let queue = self.queues.remove(name)?;
        for exit in self.exits.values_mut() {
            exit.bindings.retain(|binding| {
                binding.destination != crate::topology::Endpoint::Queue(name.to_owned())
            });
        }
        Some(queue.len())
    }

    /// Sends a message where its queue says that given up messages go; nowhere, if it says nothing.
    fn give_up(&mut self, queue: &str, entry: Entry, cause: Cause, now: SystemTime) {
        let entry = entry.given_up(queue, cause, now);
        if let Err(entry) = self.dead_letter(queue, entry, now)
            && self.queues.get(queue).is_some_and(|queue| queue.rules.at_least_once)
        {
            self.stuck.push((queue.to_owned(), entry));
        }
    }

    fn dead_letter(&mut self, queue: &str, entry: Entry, now: SystemTime) -> Result<(), Entry> {
        let dead_letter = self.queues.get(queue).and_then(|queue| queue.rules.dead_letter.clone());
        let Some((exchange, key)) = dead_letter else { return Ok(()) };
        let number = self.number();
        let letter = entry.clone().readdressed(&exchange, key.as_deref());
        let letter = Entry { arrived: number, ..letter };
        let routed = route(&self.exits, &exchange, &letter.keys, &letter.message);
        let targets: Vec<_> = routed
            .unwrap_or_default()
            .into_iter()
            .filter(|to| self.queues.contains_key(to))
            .collect();
        if targets.is_empty() {
            return Err(entry);
        }
        let mut refused = false;
        for target in targets.iter().filter(|target| !letter.goes_round_to(target)) {
            refused |= self.put(target, letter.clone(), now).is_err();
        }
        if refused { Err(entry) } else { Ok(()) }
    }

    fn retry_stuck(&mut self, now: SystemTime) {
        for (queue, entry) in std::mem::take(&mut self.stuck) {
            if let Err(entry) = self.dead_letter(&queue, entry, now) {
                self.stuck.push((queue, entry));
            }
        }
    }

    /// Takes a delivery from whoever holds it; `None` when it is void.
    pub(super) fn release(&mut self, consumer: u64, tag: u64) -> Option<(Arc<str>, Entry)> {
        let holder = self.consumers.get_mut(&consumer)?;
        let held = holder.held.remove(&tag)?;
        let queue = Arc::clone(&holder.queue);
        if holder.cancelled && holder.held.is_empty() {
            self.consumers.remove(&consumer);
        }
        Some((queue, held.entry))
    }

    /// Gives up a delivery that was refused.
    pub(super) fn reject(&mut self, consumer: u64, tag: u64, now: SystemTime) {
        if let Some((queue, entry)) = self.release(consumer, tag) {
            self.give_up(&queue, entry, Cause::Rejected, now);
            self.settle(now);
        }
    }

    /// Puts a delivery back to where it was in its queue.
    pub(super) fn put_back(&mut self, consumer: u64, tag: u64, how: Back, now: SystemTime) {
        let Some((name, mut entry)) = self.release(consumer, tag) else { return };
        let Some(queue) = self.queues.get_mut(&*name) else { return };
        if queue.rules.kind == Kind::Stream {
            // It has never left.
            return;
        }
        entry.redelivered |= how == Back::Returned;
        entry.failed += u32::from(how == Back::Returned);
        let limit = queue.rules.delivery_limit;
        if limit.is_some_and(|limit| entry.failed > limit) {
            self.give_up(&name, entry, Cause::DeliveryLimit, now);
        } else {
            queue.put(entry);
        }
    }

    /// Hands nothing more to a consumer, and puts back what it has not looked at.
    pub(super) fn cancel(&mut self, consumer: u64, now: SystemTime) {
        let Some(cancelled) = self.consumers.get_mut(&consumer) else { return };
        cancelled.cancelled = true;
        let unseen = std::mem::take(&mut cancelled.buffer);
        let queue = Arc::clone(&cancelled.queue);
        if cancelled.held.is_empty() {
            self.consumers.remove(&consumer);
        }
        if let Some(queue) = self.queues.get_mut(&*queue) {
            queue.used = now;
        }
        unseen.into_iter().for_each(|tag| self.put_back(consumer, tag, Back::Unseen, now));
        self.settle(now);
    }

    /// Puts back what a cancelled consumer holds; all of it, or what nobody can settle.
    pub(super) fn take_back(&mut self, consumer: u64, all: AllOr, now: SystemTime) {
        let Some(holder) = self.consumers.get(&consumer) else { return };
        let held = holder.held.iter();
        let back = held.filter(|(_, held)| all == AllOr::All || held.abandoned);
        let tags: Vec<u64> = back.map(|(tag, _)| *tag).collect();
        tags.into_iter().for_each(|tag| self.put_back(consumer, tag, Back::Returned, now));
        self.settle(now);
    }
}

/// Which of the deliveries that a consumer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AllOr {
    All,
    Abandoned,
}

impl Consumer {
    pub(super) fn new(queue: &Arc<str>, prefetch: u16, lane: Option<u64>) -> Self {
        Self {
            queue: Arc::clone(queue),
            prefetch: usize::from(prefetch),
            lane,
            next: None,
            cancelled: false,
            held: BTreeMap::new(),
            buffer: VecDeque::new(),
            waker: None,
        }
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
