//! The consuming end of the broker in memory.

use super::Memory;
use super::queue::Kind;
use super::state::{AllOr, Back, Consumer};
use crate::broker::{Consume, Delivery, Settle, StreamStart};
use crate::topology::names;
use std::sync::Arc;
use std::task::{Context, Poll};

/// One consumer of one queue.
#[derive(Debug)]
pub(in crate::broker) struct Subscription {
    memory: Memory,
    queue: Arc<str>,
    prefetch: u16,
    stream: Option<StreamStart>,
    /// `None` once it is stopped.
    consumer: Option<u64>,
    /// For what it still holds after it was stopped.
    last: u64,
}

/// Settles one delivery of a [`Subscription`].
#[derive(Debug)]
pub(in crate::broker) struct Receipt {
    memory: Memory,
    consumer: u64,
    tag: u64,
}

impl Subscription {
    pub(in crate::broker) fn new(memory: &Memory, consume: Consume) -> Self {
        let queue: Arc<str> = consume.queue.as_str().into();
        let prefetch = consume.prefetch.max(1);
        let missing = memory.depth(&queue).is_none();
        let repair = consume.repair.filter(|_| missing);
        for topology in consume.declare.into_iter().chain(repair) {
            if let Err(error) = memory.declare(&topology) {
                tracing::warn!(%queue, %error, "cannot consume until somebody declares it");
            }
        }
        let stream = consume.stream;
        let id = memory.open(&queue, prefetch, stream);
        Self { memory: memory.clone(), queue, prefetch, stream, consumer: Some(id), last: id }
    }

    pub(in crate::broker) fn queue(&self) -> &Arc<str> {
        &self.queue
    }

    pub(in crate::broker) fn prefetch(&self) -> u16 {
        self.prefetch
    }

    pub(in crate::broker) fn is_consuming(&self) -> bool {
        self.consumer.is_some() && self.memory.depth(&self.queue).is_some()
    }

    pub(in crate::broker) fn set_prefetch(&mut self, prefetch: u16) {
        self.prefetch = prefetch.max(1);
        let Some(consumer) = self.consumer else { return };
        self.memory.change(|state, now| {
            if let Some(consumer) = state.consumers.get_mut(&consumer) {
                consumer.prefetch = usize::from(self.prefetch);
            }
            state.settle(now);
        });
    }

    /// What it holds becomes void, as on a lost connection.
    pub(in crate::broker) fn restart(&mut self) {
        let Some(consumer) = self.consumer else { return };
        self.memory.change(|state, now| {
            state.cancel(consumer, now);
            state.take_back(consumer, AllOr::All, now);
        });
        let consumer = self.memory.open(&self.queue, self.prefetch, self.stream);
        (self.consumer, self.last) = (Some(consumer), consumer);
    }

    pub(in crate::broker) fn stop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            self.memory.change(|state, now| {
                // Whoever waits for the next delivery learns that there is none.
                state.consumers.get_mut(&consumer).into_iter().for_each(Consumer::wake);
                state.cancel(consumer, now);
            });
        }
    }

    pub(in crate::broker) fn close(mut self) {
        self.stop();
        let consumer = self.last;
        self.memory.change(|state, now| state.take_back(consumer, AllOr::All, now));
    }

    pub(in crate::broker) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<Delivery>> {
        let Some(id) = self.consumer else { return Poll::Ready(None) };
        let mut state = self.memory.state();
        let Some(consumer) = state.consumers.get_mut(&id) else { return Poll::Ready(None) };
        let Some(tag) = consumer.buffer.pop_front() else {
            consumer.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let entry = consumer.held.get(&tag).map(|held| held.entry.clone());
        let counts =
            state.queues.get(&*self.queue).is_some_and(|queue| queue.rules.kind == Kind::Quorum);
        drop(state);
        let entry = entry.expect("what is in the buffer is held");
        let message = entry.as_delivered(counts);
        let receipt = Receipt { memory: self.memory.clone(), consumer: id, tag };
        Poll::Ready(Some(Delivery {
            queue: Arc::clone(&self.queue),
            routing_key: names::sent_key(&message.exchange, &message.routing_key).to_owned(),
            exchange: message.exchange,
            redelivered: entry.redelivered,
            properties: message.properties,
            body: message.body,
            settle: Settle::of_memory(receipt),
        }))
    }
}

impl Drop for Subscription {
    /// What is unsettled and in nobody's hands goes back; the rest may still be settled.
    fn drop(&mut self) {
        self.stop();
        let consumer = self.last;
        self.memory.change(|state, now| state.take_back(consumer, AllOr::Abandoned, now));
    }
}

impl Receipt {
    pub(in crate::broker) fn is_void(&self) -> bool {
        let state = self.memory.state();
        let consumer = state.consumers.get(&self.consumer);
        !consumer.is_some_and(|consumer| consumer.held.contains_key(&self.tag))
    }

    pub(in crate::broker) fn ack(self) {
        self.memory.change(|state, now| {
            state.release(self.consumer, self.tag);
            state.settle(now);
        });
    }

    pub(in crate::broker) fn give_back(self) {
        self.memory.change(|state, now| {
            state.put_back(self.consumer, self.tag, Back::Returned, now);
            state.settle(now);
        });
    }

    pub(in crate::broker) fn reject(self) {
        self.memory.change(|state, now| state.reject(self.consumer, self.tag, now));
    }
}

impl Drop for Receipt {
    /// One that nobody settled stays with the consumer for as long as that is there.
    fn drop(&mut self) {
        let mut state = self.memory.state();
        let Some(consumer) = state.consumers.get_mut(&self.consumer) else { return };
        let Some(held) = consumer.held.get_mut(&self.tag) else { return };
        held.abandoned = true;
        let is_orphan = consumer.cancelled;
        drop(state);
        if is_orphan {
            let consumer = self.consumer;
            self.memory.change(|state, now| state.take_back(consumer, AllOr::Abandoned, now));
        }
    }
}
