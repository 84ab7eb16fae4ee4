//! How many attempts run at once, in the worker and per queue.

use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of one worker.
#[derive(Debug)]
pub(super) struct Slots {
    all: Arc<Semaphore>,
    queues: HashMap<Arc<str>, Arc<Semaphore>>,
}

/// The right to run one attempt. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct Slot {
    _queue: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

impl Slots {
    /// `all` slots, of which each queue listed may use so many.
    pub(super) fn new(all: usize, queues: impl IntoIterator<Item = (Arc<str>, usize)>) -> Self {
        let limited =
            queues.into_iter().map(|(queue, slots)| (queue, Arc::new(Semaphore::new(slots))));
        Self { all: Arc::new(Semaphore::new(all)), queues: limited.collect() }
    }

    /// Waits for a slot, first come first served. The queue's own limit comes first, so that a
    /// queue that is at its limit holds no slot of the others. Cancel safe.
    ///
    /// `None` never happens while the slots exist.
    pub(super) async fn take(&self, queue: &str) -> Option<Slot> {
        let of_queue = match self.queues.get(queue) {
            Some(slots) => Some(Arc::clone(slots).acquire_owned().await.ok()?),
            None => None,
        };
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Slot { _queue: of_queue, _all: of_all })
    }

    /// Takes a slot if one is free and nobody has waited for it longer.
    pub(super) fn try_take(&self, queue: &str) -> Option<Slot> {
        let of_queue = match self.queues.get(queue) {
            Some(slots) => Some(Arc::clone(slots).try_acquire_owned().ok()?),
            None => None,
        };
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Slot { _queue: of_queue, _all: of_all })
    }

    /// Slots that nobody uses now.
    pub(super) fn free(&self) -> usize {
        self.all.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_queue_at_its_limit_leaves_the_other_slots_free() {
        let slots = Slots::new(3, [("video".into(), 1)]);
        let first = slots.take("video").now_or_never().flatten();
        assert!(first.is_some());
        assert!(slots.take("video").now_or_never().is_none(), "one video at a time");
        let mail = [slots.take("mail").now_or_never(), slots.take("mail").now_or_never()];
        assert!(mail.iter().all(Option::is_some));
        assert_eq!(slots.free(), 0);
        assert!(slots.try_take("mail").is_none(), "both mails have one");
        drop(first);
        assert!(slots.try_take("video").is_some());
        assert!(slots.take("video").now_or_never().is_some());
    }
}
