//! Acknowledging in runs.
//!
//! One acknowledgement for many deliveries costs the broker a fraction of many. A run may only
//! cover deliveries that are all finished, so a [`Ledger`] keeps, per channel, which delivery tags
//! are open and which are done, and says which acknowledgements are due. It is pure; the
//! consuming side of [`crate::broker`] sends them.

use std::collections::VecDeque;

/// One acknowledgement to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ack {
    /// This delivery and every earlier one on the channel.
    UpTo(u64),
    /// This delivery alone.
    One(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Open,
    Done,
    Settled,
}

/// The delivery tags of one channel. Tags count up from 1 without gaps.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Every tag up to this one is settled.
    base: u64,
    tags: VecDeque<Tag>,
    done: usize,
}

impl Ledger {
    /// Notes that a delivery has arrived.
    pub(crate) fn open(&mut self, tag: u64) {
        while self.base + (self.tags.len() as u64) < tag {
            self.tags.push_back(Tag::Open);
        }
    }

    /// Notes that a delivery is finished and may be acknowledged. Returns how many wait for it.
    pub(crate) fn finish(&mut self, tag: u64) -> usize {
        self.set(tag, Tag::Done);
        self.done
    }

    /// Notes that a delivery was settled otherwise (rejected or given back).
    pub(crate) fn settle(&mut self, tag: u64) {
        self.set(tag, Tag::Settled);
    }

    /// The acknowledgements that are due now; afterwards nothing is waiting.
    pub(crate) fn flush(&mut self) -> Vec<Ack> {
        let mut acks = Vec::new();
        if self.done == 0 {
            return acks;
        }
        let mut run = None;
        while let Some(tag) = self.tags.front().copied()
            && tag != Tag::Open
        {
            self.tags.pop_front();
            self.base += 1;
            if tag == Tag::Done {
                run = Some(self.base);
            }
        }
        acks.extend(run.map(Ack::UpTo));
        for (after_base, tag) in (self.base + 1..).zip(&mut self.tags) {
            if *tag == Tag::Done {
                *tag = Tag::Settled;
                acks.push(Ack::One(after_base));
            }
        }
        self.done = 0;
        acks
    }

    fn set(&mut self, tag: u64, to: Tag) {
        let place = tag.checked_sub(self.base + 1).and_then(|place| usize::try_from(place).ok());
        if let Some(slot) = place.and_then(|place| self.tags.get_mut(place))
            && *slot == Tag::Open
        {
            *slot = to;
            self.done += usize::from(to == Tag::Done);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(tags: u64) -> Ledger {
        let mut ledger = Ledger::default();
        (1..=tags).for_each(|tag| ledger.open(tag));
        ledger
    }

    #[test]
    fn a_run_of_finished_deliveries_needs_one_acknowledgement() {
        let mut ledger = ledger(5);
        assert_eq!([1, 2, 3].map(|tag| ledger.finish(tag)), [1, 2, 3]);
        assert_eq!(ledger.flush(), [Ack::UpTo(3)]);
        assert_eq!(ledger.flush(), []);
    }

    #[test]
    fn a_run_never_covers_an_open_delivery() {
        let mut ledger = ledger(4);
        ledger.finish(1);
        ledger.finish(3);
        ledger.finish(4);
        assert_eq!(ledger.flush(), [Ack::UpTo(1), Ack::One(3), Ack::One(4)]);
        ledger.finish(2);
        assert_eq!(ledger.flush(), [Ack::UpTo(2)]);
        ledger.open(5);
        ledger.finish(5);
        assert_eq!(ledger.flush(), [Ack::UpTo(5)]);
    }

    #[test]
    fn what_was_given_back_is_not_acknowledged() {
        let mut ledger = ledger(3);
        ledger.finish(1);
        ledger.settle(2);
        ledger.settle(3);
        assert_eq!(ledger.flush(), [Ack::UpTo(1)]);
        assert_eq!(ledger.finish(2), 0, "a settled delivery cannot be finished");
    }
}
