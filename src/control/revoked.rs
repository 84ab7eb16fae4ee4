//! Knowing which tasks shall not run.

use super::records::Read;
use super::{Reach, Record, STREAM, Stamps};
use crate::broker::Broker;
use crate::ids::TaskId;
use crate::protocol::{HeaderValue, Headers};
use crate::topology::names;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Stamps are few; more than this many values are not taken in.
const MOST_STAMPS: usize = 10_000;

/// The newest of so many revocations are known; Celery's workers keep as many.
const MOST: usize = 50_000;

/// How long a worker that starts waits to have read what was revoked before.
const CATCHING_UP: Duration = Duration::from_secs(5);

/// What one worker knows of revocations. Cloning is cheap; all clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Revoked(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Whether there is any: most workers never see one, and pay one load per task.
    any: AtomicBool,
    /// Whether any is of stamps.
    any_stamp: AtomicBool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    ids: HashMap<TaskId, Reach>,
    /// Oldest first.
    order: VecDeque<TaskId>,
    /// Name and value.
    stamps: HashSet<(String, String)>,
    running: HashMap<TaskId, (CancellationToken, Arc<Headers>)>,
}

/// A task that runs, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Running {
    id: TaskId,
    revoked: Revoked,
    /// Cancelled when the task shall stop.
    pub(crate) stop: CancellationToken,
}

impl Revoked {
    /// Whether this task shall not run.
    pub(crate) fn contains(&self, id: &TaskId) -> bool {
        self.0.any.load(Ordering::Acquire) && self.known().ids.contains_key(id)
    }

    /// Whether a task with these headers shall not run.
    pub(crate) fn covers(&self, headers: &Headers) -> bool {
        self.contains(&headers.id) || self.bears(&headers.stamps)
    }

    /// Whether one of these stamps is revoked.
    pub(crate) fn bears(&self, stamps: &BTreeMap<String, HeaderValue>) -> bool {
        if stamps.is_empty() || !self.0.any_stamp.load(Ordering::Acquire) {
            return false;
        }
        let known = self.known();
        stamps.iter().any(|(name, value)| known.bears(name, value))
    }

    /// Those of these ids of which it is not known that they are revoked as far as this.
    pub(crate) fn unknown(&self, ids: &[TaskId], reach: Reach) -> Vec<TaskId> {
        let known = self.known();
        let is_new = |id: &&TaskId| known.ids.get(*id).is_none_or(|known| *known < reach);
        ids.iter().filter(is_new).cloned().collect()
    }

    /// The ids, the oldest first.
    pub(crate) fn ids(&self) -> Vec<TaskId> {
        self.known().order.iter().cloned().collect()
    }

    /// Takes in what somebody says is revoked, until the worker stops.
    pub(crate) fn hear(&self, ids: &[TaskId], reach: Reach) {
        ids.iter().for_each(|id| self.note(id.clone(), reach));
    }

    /// The same of stamps.
    pub(crate) fn hear_stamps(&self, stamps: &Stamps, reach: Reach) {
        for (name, values) in stamps {
            for value in values {
                self.note_stamp(name, value, reach);
            }
        }
    }

    /// Notes that a task runs, so that it can be stopped.
    pub(crate) fn running(&self, headers: &Arc<Headers>) -> Running {
        let stop = CancellationToken::new();
        let id = headers.id.clone();
        self.known().running.insert(id.clone(), (stop.clone(), Arc::clone(headers)));
        Running { id, revoked: self.clone(), stop }
    }

    /// Follows the stream until `done`: a worker that drains still hears what to stop. `caught_up` is
    /// told once everything that was revoked before is known.
    pub(crate) async fn follow(
        &self,
        broker: Broker,
        caught_up: watch::Sender<bool>,
        done: CancellationToken,
    ) {
        let mut records = STREAM.read(&broker);
        while let Some(Some(read)) = done.run_until_cancelled(records.next()).await {
            match read {
                Read::CaughtUp(_) => drop(caught_up.send_replace(true)),
                Read::Record(message) => match Record::read(&message) {
                    Some(Record::Revoked(id, reach)) => self.note(id, reach),
                    Some(Record::Stamped(stamp, value, reach)) => {
                        self.note_stamp(&stamp, &value, reach);
                    }
                    None => {}
                },
            }
        }
        records.close().await;
    }

    fn note(&self, id: TaskId, reach: Reach) {
        let mut known = self.known();
        if reach == Reach::Running
            && let Some((stop, _)) = known.running.get(&id)
        {
            info!(task.id = %id, "revoked while it runs, stopping it");
            stop.cancel();
        }
        let before = known.ids.get(&id).copied();
        known.ids.insert(id.clone(), before.unwrap_or_default().max(reach));
        if before.is_none() {
            known.order.push_back(id);
        }
        if known.order.len() > MOST
            && let Some(oldest) = known.order.pop_front()
        {
            known.ids.remove(&oldest);
        }
        self.0.any.store(true, Ordering::Release);
    }

    fn note_stamp(&self, name: &str, value: &str, reach: Reach) {
        let mut known = self.known();
        if known.stamps.len() >= MOST_STAMPS {
            return warn!(stamp = name, "more stamps are revoked than are kept, not this one");
        }
        known.stamps.insert((name.to_owned(), value.to_owned()));
        self.0.any_stamp.store(true, Ordering::Release);
        if reach == Reach::NotBegun {
            return;
        }
        for (stop, headers) in known.running.values() {
            if headers.stamps.get(name).is_some_and(|worn| texts(worn).any(|it| it == value)) {
                info!(task.id = %headers.id, stamp = name, "revoked while it runs, stopping it");
                stop.cancel();
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn bears(&self, name: &str, worn: &HeaderValue) -> bool {
        texts(worn).any(|value| self.stamps.contains(&(name.to_owned(), value)))
    }
}

/// The values of a stamp, which may be one or a list.
fn texts(worn: &HeaderValue) -> impl Iterator<Item = String> + '_ {
    let list = match worn {
        HeaderValue::List(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    list.iter().filter_map(|value| match value {
        HeaderValue::Text(text) => Some(text.clone()),
        HeaderValue::Int(number) => Some(number.to_string()),
        _ => None,
    })
}

impl Drop for Running {
    fn drop(&mut self) {
        self.revoked.known().running.remove(&self.id);
    }
}

/// Waits until everything that was revoked before is known; not for ever.
pub(crate) async fn caught_up(mut told: watch::Receiver<bool>) {
    let waiting = tokio::time::timeout(CATCHING_UP, told.wait_for(|caught_up| *caught_up));
    if !matches!(waiting.await, Ok(Ok(_))) {
        warn!(
            stream = names::REVOKED,
            "what was revoked earlier could not be read within {CATCHING_UP:?}; starting without it"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> TaskId {
        number.to_string().into()
    }

    fn headers(number: usize) -> Arc<Headers> {
        let mut headers = Headers::new("t", id(number));
        let worn = HeaderValue::List(vec!["acme".into(), 7_i64.into()]);
        headers.stamps = BTreeMap::from([("customer".to_owned(), worn)]);
        headers.into()
    }

    #[test]
    fn a_stamp_is_revoked_whatever_bears_it() {
        let revoked = Revoked::default();
        let stamps = |value: &str| Stamps::from([("customer".to_owned(), vec![value.to_owned()])]);
        let running = revoked.running(&headers(1));
        revoked.hear_stamps(&stamps("other"), Reach::Running);
        assert!(!revoked.covers(&headers(2)) && !running.stop.is_cancelled());
        revoked.hear_stamps(&stamps("7"), Reach::NotBegun);
        assert!(revoked.covers(&headers(2)) && !running.stop.is_cancelled());
        assert!(!revoked.covers(&Headers::new("t", id(2))), "it bears none");
        revoked.hear_stamps(&stamps("acme"), Reach::Running);
        assert!(running.stop.is_cancelled());
    }

    #[test]
    fn the_newest_revocations_are_known() {
        let revoked = Revoked::default();
        assert!(!revoked.contains(&id(0)));
        (0..=MOST).for_each(|number| revoked.note(id(number), Reach::NotBegun));
        assert!(!revoked.contains(&id(0)), "the oldest is forgotten");
        assert!(revoked.contains(&id(1)) && revoked.contains(&id(MOST)));
    }

    #[test]
    fn only_a_revocation_of_running_tasks_stops_one() {
        let revoked = Revoked::default();
        let running = revoked.running(&headers(1));
        revoked.note(id(1), Reach::NotBegun);
        assert!(!running.stop.is_cancelled());
        revoked.note(id(1), Reach::Running);
        assert!(running.stop.is_cancelled());
        drop(running);
        assert!(revoked.known().running.is_empty());
        revoked.note(id(1), Reach::NotBegun);
        assert_eq!(
            revoked.unknown(&[id(1), id(2)], Reach::Running),
            [id(2)],
            "it goes no less far"
        );
    }
}
