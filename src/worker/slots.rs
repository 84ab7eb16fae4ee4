//! How many attempts run at once, in the worker and per queue.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of one worker.
#[derive(Debug)]
pub(super) struct Slots {
    all: Arc<Pool>,
    queues: RwLock<HashMap<Arc<str>, Arc<Semaphore>>>,
    /// The most and the fewest, if somebody asked for a range.
    range: Mutex<Option<(usize, usize)>>,
}

/// Slots whose number can change.
#[derive(Debug)]
struct Pool {
    free: Arc<Semaphore>,
    size: AtomicUsize,
    /// So many slots are to go as soon as they are free.
    owed: AtomicUsize,
}

/// The right to run one attempt. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct Slot {
    _queue: Option<OwnedSemaphorePermit>,
    permit: Option<OwnedSemaphorePermit>,
    pool: Arc<Pool>,
}

impl Slots {
    /// `all` slots, of which each queue listed may use so many.
    pub(super) fn new(all: usize, queues: impl IntoIterator<Item = (Arc<str>, usize)>) -> Self {
        let pool = Pool {
            free: Arc::new(Semaphore::new(all)),
            size: AtomicUsize::new(all),
            owed: AtomicUsize::new(0),
        };
        let slots = Self { all: Arc::new(pool), queues: <_>::default(), range: <_>::default() };
        queues.into_iter().for_each(|(queue, most)| slots.limit(queue, most));
        slots
    }

    /// Lets `queue` use no more than `most` slots from now on.
    pub(super) fn limit(&self, queue: Arc<str>, most: usize) {
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        queues.insert(queue, Arc::new(Semaphore::new(most)));
    }

    /// Waits for a slot, first come first served. The queue's own limit comes first, so that a
    /// queue that is at its limit holds no slot of the others. Cancel safe.
    ///
    /// `None` never happens while the slots exist.
    pub(super) async fn take(&self, queue: &str) -> Option<Slot> {
        let of_queue = match self.of(queue) {
            Some(slots) => Some(slots.acquire_owned().await.ok()?),
            None => None,
        };
        let permit = Arc::clone(&self.all.free).acquire_owned().await.ok()?;
        Some(self.slot(of_queue, permit))
    }

    /// Takes a slot if one is free and nobody has waited for it longer.
    pub(super) fn try_take(&self, queue: &str) -> Option<Slot> {
        let of_queue = match self.of(queue) {
            Some(slots) => Some(slots.try_acquire_owned().ok()?),
            None => None,
        };
        let permit = Arc::clone(&self.all.free).try_acquire_owned().ok()?;
        Some(self.slot(of_queue, permit))
    }

    /// Slots that nobody uses now.
    pub(super) fn free(&self) -> usize {
        self.all.free.available_permits()
    }

    /// How many there are.
    pub(super) fn size(&self) -> usize {
        self.all.size.load(Ordering::Relaxed)
    }

    /// Makes them so many. What runs goes on: slots that are in use go when they are free.
    pub(super) fn resize(&self, size: usize) {
        let size = size.clamp(1, Semaphore::MAX_PERMITS);
        let before = self.all.size.swap(size, Ordering::Relaxed);
        if size < before {
            let gone = self.all.free.forget_permits(before - size);
            self.all.owed.fetch_add(before - size - gone, Ordering::Relaxed);
        }
        for _ in before..size {
            if !self.all.pay() {
                self.all.free.add_permits(1);
            }
        }
    }

    /// Makes them `max`, and remembers that as few as `min` would do: those that nobody uses cost
    /// nothing, so there is no reason to have fewer.
    pub(super) fn scale(&self, max: usize, min: usize) {
        *self.range.lock().unwrap_or_else(PoisonError::into_inner) = Some((max, min));
        self.resize(max);
    }

    /// The most and the fewest, if somebody asked for a range.
    pub(super) fn range(&self) -> Option<(usize, usize)> {
        *self.range.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, queue: &str) -> Option<Arc<Semaphore>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).get(queue).cloned()
    }

    fn slot(&self, queue: Option<OwnedSemaphorePermit>, permit: OwnedSemaphorePermit) -> Slot {
        Slot { _queue: queue, permit: Some(permit), pool: Arc::clone(&self.all) }
    }
}

impl Pool {
    /// Whether one was owed, which then is owed no more.
    fn pay(&self) -> bool {
        let (mut owed, order) = (self.owed.load(Ordering::Relaxed), Ordering::Relaxed);
        while let Some(left) = owed.checked_sub(1) {
            match self.owed.compare_exchange_weak(owed, left, order, order) {
                Ok(_) => return true,
                Err(now) => owed = now,
            }
        }
        false
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.pool.pay()
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
        }
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

    #[test]
    fn slots_in_use_go_when_they_are_free() {
        let slots = Slots::new(3, []);
        let mut used = vec![slots.try_take("q"), slots.try_take("q")];
        slots.resize(1);
        assert_eq!((slots.size(), slots.free()), (1, 0));
        used.pop();
        assert_eq!(slots.free(), 0, "one too many was in use");
        used.pop();
        assert_eq!(slots.free(), 1);
        slots.resize(4);
        assert_eq!((slots.size(), slots.free()), (4, 4));
    }

    #[test]
    fn growing_takes_back_what_was_owed() {
        let slots = Slots::new(2, []);
        let used = [slots.try_take("q"), slots.try_take("q")];
        slots.resize(1);
        slots.resize(3);
        assert_eq!((slots.size(), slots.free()), (3, 1));
        drop(used);
        assert_eq!(slots.free(), 3);
    }
}
