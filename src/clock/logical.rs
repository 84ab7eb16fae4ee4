//! Order without a clock on the wall: Lamport's counter.
//!
//! Celery's workers put one into every event and every remote command, so that a monitor can put
//! what happened in order although no two machines agree on the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counter of one process. Cloning is cheap; all clones count together. It begins at 0.
///
/// ```
/// use celeriac::clock::LogicalClock;
///
/// let clock = LogicalClock::default();
/// assert_eq!(clock.forward(), 1); // something happens here
/// assert_eq!(clock.adjust(40), 41); // a message says 40: what follows comes after it
/// assert_eq!(clock.adjust(3), 42); // and an old message does not turn it back
/// assert_eq!(clock.value(), 42);
/// ```
#[derive(Debug, Clone, Default)]
pub struct LogicalClock(Arc<AtomicU64>);

impl LogicalClock {
    /// Counts something that happens here: the number that goes into what is sent about it.
    pub fn forward(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Counts a message that came with `other`: afterwards this clock is ahead of both.
    pub fn adjust(&self, other: u64) -> u64 {
        let mut own = self.value();
        loop {
            let after = own.max(other).saturating_add(1);
            let turned =
                self.0.compare_exchange_weak(own, after, Ordering::Relaxed, Ordering::Relaxed);
            match turned {
                Ok(_) => return after,
                Err(now) => own = now,
            }
        }
    }

    /// Where it stands.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_from_the_later_of_two_and_never_back() {
        let clock = LogicalClock::default();
        let clone = clock.clone();
        assert_eq!((clock.forward(), clone.forward()), (1, 2));
        assert_eq!(clock.adjust(10), 11);
        assert_eq!(clock.adjust(10), 12);
        assert_eq!(clock.adjust(u64::MAX), u64::MAX, "a hostile number does not wrap it");
        assert_eq!(clock.adjust(1), u64::MAX);
    }
}
