//! A broker in memory, for tests: what [`super::Broker`] asks of RabbitMQ, without one.
//!
//! It routes, holds, hands out, expires and dead-letters as RabbitMQ does, as far as our own
//! topology uses it, so that everything above the broker runs unchanged in a test. Its time is a
//! [`VirtualClock`]: a message waits exactly as long as the clock is moved. Nothing here runs by
//! itself; whatever follows from a call has happened when the call returns, so that the same calls
//! always end the same way. Where it differs from RabbitMQ stands in `docs/testing.md`.

mod declare;
mod entry;
mod queue;
mod routing;
mod state;
mod stream;
mod subscription;

pub(super) use stream::Reader;
pub(super) use subscription::{Receipt, Subscription};

use super::{DeclareError, Depth, PublishError, RawMessage, StreamStart};
use crate::clock::{Clock, VirtualClock};
use crate::topology::{Finding, Topology};
use state::{Consumer, Lane, State};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// A handle on a broker in memory. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    shared: Arc<Shared>,
    /// What is consumed through this handle shares one bound on deliveries.
    lane: Option<u64>,
}

/// Keeps a lane closed.
#[derive(Debug)]
pub(crate) struct Hold(Memory);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    clock: VirtualClock,
    changed: Notify,
}

impl Memory {
    pub(crate) fn new(clock: VirtualClock) -> Self {
        let state = Mutex::new(State::new());
        let shared = Shared { state, clock, changed: Notify::new() };
        Self { shared: Arc::new(shared), lane: None }
    }

    /// A handle whose consumers together hold at most `most` deliveries.
    pub(crate) fn in_lane(&self, most: usize) -> Self {
        let lane = self.change(|state, _| {
            let lane = state.number();
            state.lanes.insert(lane, Lane { most: most.max(1), holds: 0 });
            lane
        });
        Self { lane: Some(lane), ..self.clone() }
    }

    /// A handle whose consumers hold as much as they are given.
    pub(super) fn out_of_lane(&self) -> Self {
        Self { lane: None, ..self.clone() }
    }

    pub(super) fn delete_queue(&self, queue: &str) {
        self.change(|state, _| state.delete_queue(queue));
    }

    pub(super) fn purge_queue(&self, queue: &str) -> Result<u32, DeclareError> {
        let purged = self.change(|state, _| {
            let queue = state.queues.get_mut(queue)?;
            u32::try_from(queue.purge()).ok()
        });
        purged
            .ok_or_else(|| DeclareError::Missing(crate::topology::Object::Queue(queue.to_owned())))
    }

    /// Hands nothing out in this handle's lane until the hold is dropped.
    pub(crate) fn hold(&self) -> Hold {
        self.change_holds(|holds| holds + 1);
        Hold(self.clone())
    }

    fn change_holds(&self, change: impl FnOnce(usize) -> usize) {
        self.change(|state, now| {
            if let Some(lane) = self.lane.and_then(|lane| state.lanes.get_mut(&lane)) {
                lane.holds = change(lane.holds);
            }
            state.settle(now);
        });
    }

    pub(super) fn publish(&self, message: &Arc<RawMessage>) -> Result<(), PublishError> {
        self.change(|state, now| state.publish(message, now))
    }

    pub(crate) fn declare(&self, topology: &Topology) -> Result<(), DeclareError> {
        self.change(|state, now| state.declare(topology, now))
    }

    pub(super) fn declare_beside(
        &self,
        exchange: &str,
        topology: &Topology,
    ) -> Result<(), DeclareError> {
        let is_there = self.state().exits.contains_key(exchange);
        if is_there { self.declare(topology) } else { Ok(()) }
    }

    pub(super) fn verify(&self, topology: &Topology) -> Result<(), DeclareError> {
        self.state().verify(topology)
    }

    pub(super) fn differences(&self, topology: &Topology) -> Vec<Finding> {
        self.state().differences(topology)
    }

    pub(crate) fn depth(&self, queue: &str) -> Option<Depth> {
        let mut state = self.state();
        let now = self.shared.clock.now();
        let consumers = state
            .consumers
            .values()
            .filter(|consumer| &*consumer.queue == queue && !consumer.cancelled)
            .count();
        let queue = state.queues.get_mut(queue)?;
        queue.used = now;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Some(Depth { ready: count(queue.len()), consumers: count(consumers) })
    }

    /// Lets the broker do what is due at the present time of its clock.
    pub(crate) fn tick(&self) {
        self.change(State::tick);
    }

    /// When something happens by itself next.
    pub(crate) fn next_event(&self) -> Option<SystemTime> {
        self.state().next_event()
    }

    /// How many deliveries are with consumers, and a count of all changes so far.
    pub(crate) fn unacknowledged(&self) -> (usize, u64) {
        let state = self.state();
        (state.unacknowledged(), state.changes)
    }

    /// Every task that was published, in order; again for each time it was published.
    pub(crate) fn tasks(&self) -> Vec<Arc<RawMessage>> {
        self.state().tasks.clone()
    }

    /// Completes with the next change after this call.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.shared.changed.notified()
    }

    /// A reader of a stream is in no lane: it takes nothing from anybody.
    fn open(&self, queue: &Arc<str>, prefetch: u16, stream: Option<StreamStart>) -> u64 {
        self.change(|state, now| {
            let id = state.number();
            let lane = self.lane.filter(|_| stream.is_none());
            let log = state.queues.get(&**queue).map_or(&[][..], |queue| &queue.log);
            let next = stream.map(|start| stream::position(log, start));
            let consumer = Consumer { next, ..Consumer::new(queue, prefetch, lane) };
            state.consumers.insert(id, consumer);
            state.settle(now);
            id
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut State, SystemTime) -> T) -> T {
        let now = self.shared.clock.now();
        let changed = change(&mut self.state(), now);
        self.shared.changed.notify_waiters();
        changed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.change_holds(|holds| holds.saturating_sub(1));
    }
}
