//! What is in this worker's hands now, so that it can tell when asked.
//!
//! Every attempt passes through here, ten thousand a second and more, so noting one is two short
//! locks and no search; whoever asks walks them all.

use super::attempt::Attempt;
use crate::clock::micros;
use crate::ids::TaskId;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The attempts that are here.
#[derive(Debug, Default)]
pub(super) struct Here(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    taken: Vec<Option<Arc<Attempt>>>,
    free: Vec<usize>,
}

/// The presence of one attempt, for as long as this lives.
#[derive(Debug)]
pub(super) struct Stay<'a> {
    here: &'a Here,
    place: usize,
}

/// How far an attempt has come.
#[derive(Debug, Default)]
pub(super) struct Stage {
    step: AtomicU8,
    /// Microseconds after 1970 at which it began to run.
    began: AtomicU64,
    acknowledged: AtomicBool,
}

/// A step in the life of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It waits for its time, its rate or a slot.
    Waiting,
    /// It runs.
    Running,
    /// It has run; what follows from it is being told.
    Settling,
}

impl Here {
    /// Notes an attempt.
    pub(super) fn enter(&self, attempt: &Arc<Attempt>) -> Stay<'_> {
        let attempt = Arc::clone(attempt);
        let mut places = self.places();
        let place = match places.free.pop() {
            Some(place) => {
                places.taken[place] = Some(attempt);
                place
            }
            None => {
                places.taken.push(Some(attempt));
                places.taken.len() - 1
            }
        };
        Stay { here: self, place }
    }

    /// The attempts that are here now, in no order.
    pub(super) fn all(&self) -> Vec<Arc<Attempt>> {
        self.places().taken.iter().flatten().cloned().collect()
    }

    /// Those of these tasks that run.
    pub(super) fn running(&self, ids: &[TaskId]) -> Vec<Arc<Attempt>> {
        let mut here = self.all();
        here.retain(|it| it.stage.step() == Step::Running && ids.contains(&it.headers.id));
        here
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        let mut places = self.here.places();
        let left = places.taken[self.place].take();
        places.free.push(self.place);
        // The last reference may free a large body: not while the others wait.
        drop(places);
        drop(left);
    }
}

impl Stage {
    /// It runs from now on.
    pub(super) fn begin(&self, now: SystemTime) {
        self.began.store(micros(now).unsigned_abs(), Ordering::Relaxed);
        self.step.store(1, Ordering::Relaxed);
    }

    /// It runs no more.
    pub(super) fn end(&self) {
        self.step.store(2, Ordering::Relaxed);
    }

    /// Its message is acknowledged before it runs.
    pub(super) fn acknowledge(&self) {
        self.acknowledged.store(true, Ordering::Relaxed);
    }

    pub(super) fn step(&self) -> Step {
        match self.step.load(Ordering::Relaxed) {
            0 => Step::Waiting,
            1 => Step::Running,
            _ => Step::Settling,
        }
    }

    /// When it began to run, as time since 1970; `None` before.
    pub(super) fn began(&self) -> Option<Duration> {
        match self.began.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    pub(super) fn is_acknowledged(&self) -> bool {
        self.acknowledged.load(Ordering::Relaxed)
    }
}
