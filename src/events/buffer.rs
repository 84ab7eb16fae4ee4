//! Events that wait to be published, as the bytes that will be: bounded, the oldest are dropped.

use super::event::{HEARTBEAT, MULTI};
use crate::protocol::Bytes;
use std::collections::VecDeque;

/// The longest list, where much may wait: far below what any monitor takes.
const BATCH: usize = 64 << 10;

/// What waits, oldest first.
#[derive(Debug)]
pub(super) struct Buffer {
    batches: VecDeque<Batch>,
    bytes: usize,
    most: usize,
    /// A list is published before it grows longer than this.
    batch: usize,
}

/// The body of one message.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) key: &'static str,
    body: Vec<u8>,
    /// How many events it holds.
    pub(super) events: u64,
}

/// What became of an event that was pushed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pushed {
    /// Whether nothing waited before.
    pub(super) is_first: bool,
    /// How many older events were dropped for it.
    pub(super) dropped: u64,
}

impl Buffer {
    /// A buffer that holds at most `most` bytes, and always one event.
    pub(super) fn new(most: usize) -> Self {
        let batch = BATCH.min(most / 4);
        Self { batches: VecDeque::new(), bytes: 0, most, batch }
    }

    /// Adds an event. A heartbeat that comes while another waits says nothing new and is left out.
    pub(super) fn push(&mut self, key: &'static str, event: &[u8]) -> Pushed {
        let is_first = self.batches.is_empty();
        if key == HEARTBEAT && self.batches.iter().any(|batch| batch.key == HEARTBEAT) {
            return Pushed { is_first, dropped: 0 };
        }
        self.bytes += event.len();
        match self.batches.back_mut() {
            Some(last) if key == MULTI && last.takes(event, self.batch) => last.add(event),
            _ => self.batches.push_back(Batch::new(key, event)),
        }
        Pushed { is_first, dropped: self.make_room() }
    }

    /// Takes the oldest message out.
    pub(super) fn pop(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.bytes = self.bytes.saturating_sub(batch.size());
        Some(batch)
    }

    fn make_room(&mut self) -> u64 {
        let mut dropped = 0;
        while self.bytes > self.most && self.batches.len() > 1 {
            dropped += self.pop().map_or(0, |batch| batch.events);
        }
        dropped
    }
}

impl Batch {
    fn new(key: &'static str, event: &[u8]) -> Self {
        let mut body = Vec::with_capacity(if key == MULTI { 4096 } else { event.len() });
        if key == MULTI {
            body.push(b'[');
        }
        body.extend_from_slice(event);
        Self { key, body, events: 1 }
    }

    fn takes(&self, event: &[u8], longest: usize) -> bool {
        self.key == MULTI && self.body.len() + event.len() < longest
    }

    fn add(&mut self, event: &[u8]) {
        self.body.push(b',');
        self.body.extend_from_slice(event);
        self.events += 1;
    }

    /// The bytes of its events alone.
    fn size(&self) -> usize {
        let commas = usize::try_from(self.events).unwrap_or(usize::MAX);
        self.body.len() - if self.key == MULTI { commas } else { 0 }
    }

    /// The body, whole.
    pub(super) fn into_body(mut self) -> Bytes {
        if self.key == MULTI {
            self.body.push(b']');
        }
        self.body.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(buffer: &mut Buffer) -> Vec<(&'static str, String)> {
        let text =
            |batch: Batch| (batch.key, String::from_utf8(batch.into_body().to_vec()).unwrap());
        std::iter::from_fn(|| buffer.pop()).map(text).collect()
    }

    #[test]
    fn events_of_tasks_go_together_and_those_of_workers_alone_all_in_order() {
        let mut buffer = Buffer::new(1000);
        assert!(buffer.push(MULTI, b"1").is_first);
        assert!(!buffer.push(MULTI, b"2").is_first);
        buffer.push("worker.online", b"3");
        buffer.push(MULTI, b"4");
        let expected = [("task.multi", "[1,2]"), ("worker.online", "3"), ("task.multi", "[4]")];
        assert_eq!(taken(&mut buffer), expected.map(|(key, body)| (key, body.to_owned())));
        assert_eq!(buffer.bytes, 0);
    }

    #[test]
    fn a_list_ends_before_it_is_too_long_for_its_readers() {
        let mut buffer = Buffer::new(10 * BATCH);
        let event = [b'1'; 1000];
        for _ in 0..100 {
            buffer.push(MULTI, &event);
        }
        let sizes: Vec<_> = taken(&mut buffer).iter().map(|(_, body)| body.len()).collect();
        assert!(sizes.len() == 2 && sizes[0] <= BATCH + 1, "{sizes:?}");
    }

    #[test]
    fn beyond_the_bound_the_oldest_are_dropped_and_counted() {
        let mut buffer = Buffer::new(2 * BATCH);
        let event = [b'1'; 1000];
        let dropped: u64 = (0..1000).map(|_| buffer.push(MULTI, &event).dropped).sum();
        buffer.push("worker.offline", b"last");
        assert!(buffer.bytes <= 2 * BATCH, "{}", buffer.bytes);
        let left: u64 = std::iter::from_fn(|| buffer.pop()).map(|batch| batch.events).sum();
        assert_eq!(left + dropped, 1001);
        assert!(dropped > 800, "{dropped}");
    }

    #[test]
    fn one_event_is_kept_however_long_and_one_heartbeat_however_late() {
        let mut buffer = Buffer::new(1);
        assert_eq!(buffer.push(MULTI, b"long").dropped, 0);
        buffer.pop();
        let mut buffer = Buffer::new(1000);
        for _ in 0..9 {
            buffer.push(HEARTBEAT, b"beat");
        }
        assert_eq!(taken(&mut buffer).len(), 1);
    }
}
