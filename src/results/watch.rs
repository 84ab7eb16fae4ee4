//! Waiting for results: who waits for which task, and what each is told.

use super::StoreError;
use crate::ids::TaskId;
use crate::protocol::{StoredResult, TaskState};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use tracing::debug;

/// What is known of a task: the newest document, or nothing yet.
pub type Latest = Option<Arc<StoredResult>>;

/// No result can come, however long one waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotKept {
    /// The reason, and what to do about it.
    pub why: &'static str,
}

impl From<NotKept> for StoreError {
    fn from(never: NotKept) -> Self {
        Self::permanent(never.why)
    }
}

/// Follows the documents of one task. Dropping it stops following.
#[derive(Debug)]
pub struct Watch(Result<Followed, NotKept>);

#[derive(Debug)]
struct Followed {
    latest: watch::Receiver<Latest>,
    task_id: TaskId,
    watched: Arc<Watched>,
}

impl Watch {
    /// A watch of what is never told.
    pub fn never(why: NotKept) -> Self {
        Self(Err(why))
    }

    /// The newest document that has been told.
    pub fn latest(&self) -> Latest {
        self.0.as_ref().ok().and_then(|followed| followed.latest.borrow().clone())
    }

    /// Waits for a newer document. Cancel safe; documents that come faster than they are asked for
    /// are skipped.
    ///
    /// # Errors
    ///
    /// When none can ever come.
    pub async fn changed(&mut self) -> Result<Arc<StoredResult>, NotKept> {
        let latest = &mut self.0.as_mut().map_err(|why| *why)?.latest;
        loop {
            // The sender lives in the table for as long as this watch does.
            if latest.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(result) = latest.borrow_and_update().clone() {
                return Ok(result);
            }
        }
    }

    /// Waits for the document that ends the task. Cancel safe.
    ///
    /// # Errors
    ///
    /// When none can ever come.
    pub async fn ended(&mut self) -> Result<Arc<StoredResult>, NotKept> {
        loop {
            if let Some(result) = self.latest()
                && result.state.is_ready()
            {
                return Ok(result);
            }
            self.changed().await?;
        }
    }
}

/// The tasks that this process watches at one backend, and where each one's documents go.
///
/// The receiving end of a backend takes from here what it must ask or subscribe for, and gives
/// every document to [`Watched::tell`].
#[derive(Debug, Default)]
pub(crate) struct Watched {
    table: Mutex<Table>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    tasks: HashMap<TaskId, Watchers>,
    /// Changes since they were taken last; `None` while nobody takes them, so that they cannot
    /// pile up.
    changes: Option<Changes>,
}

#[derive(Debug)]
struct Watchers {
    sender: watch::Sender<Latest>,
    count: usize,
}

/// Tasks whose watching has begun or ended.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    pub(crate) begun: Vec<TaskId>,
    pub(crate) ended: Vec<TaskId>,
}

impl Watched {
    /// Follows a task.
    pub(crate) fn watch(self: &Arc<Self>, task_id: TaskId) -> Watch {
        let mut table = self.table();
        let latest = table.begin(&task_id);
        drop(table);
        self.changed.notify_one();
        Watch(Ok(Followed { latest, task_id, watched: Arc::clone(self) }))
    }

    /// Follows a task that somebody follows already.
    pub(crate) fn another(self: &Arc<Self>, task_id: &TaskId) -> Option<Watch> {
        // Only one who watches can end the watching, and it takes the lock for that.
        let mut table = self.table();
        table.tasks.contains_key(task_id).then(|| {
            let latest = table.begin(task_id);
            let watched = Arc::clone(self);
            Watch(Ok(Followed { latest, task_id: task_id.clone(), watched }))
        })
    }

    /// Tells a document to whoever watches its task.
    ///
    /// What ends a task is not replaced by what came before its end and was only slower, and a
    /// success not by what a second run of it comes to: see [`ResultBackend::store`].
    ///
    /// [`ResultBackend::store`]: super::ResultBackend::store
    pub(crate) fn tell(&self, result: StoredResult) {
        let table = self.table();
        let Some(watchers) = table.tasks.get(&result.task_id) else {
            debug!(task.id = %result.task_id, "a result that nobody waits for");
            return;
        };
        watchers.sender.send_if_modified(|latest| {
            let is_news = latest.as_deref().is_none_or(|known| {
                let is_open = !known.state.is_ready();
                let may_end_otherwise = known.state != TaskState::Success;
                *known != result && (is_open || (result.state.is_ready() && may_end_otherwise))
            });
            if is_news {
                *latest = Some(Arc::new(result));
            }
            is_news
        });
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg_attr(
    not(all(feature = "redis", feature = "postgres", feature = "sqlite")),
    allow(dead_code, reason = "each store uses a part of it")
)]
impl Watched {
    /// Begins to take changes: everything that is watched now has just begun.
    pub(crate) fn open(&self) -> Changes {
        let mut table = self.table();
        table.changes = Some(Changes::default());
        Changes { begun: table.tasks.keys().cloned().collect(), ended: Vec::new() }
    }

    /// Stops taking changes.
    pub(crate) fn close(&self) {
        self.table().changes = None;
    }

    /// The changes since the last time, or since [`Watched::open`].
    pub(crate) fn take(&self) -> Changes {
        self.table().changes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Waits for a change, or until one has been since this was asked last. Cancel safe; for one
    /// caller at a time.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether anybody watches this task.
    pub(crate) fn contains(&self, task_id: &TaskId) -> bool {
        self.table().tasks.contains_key(task_id)
    }

    /// Every watched task whose end was not told yet.
    pub(crate) fn unfinished(&self) -> Vec<TaskId> {
        let table = self.table();
        let open = table.tasks.iter().filter(|(_, watchers)| {
            watchers.sender.borrow().as_ref().is_none_or(|latest| !latest.state.is_ready())
        });
        open.map(|(task_id, _)| task_id.clone()).collect()
    }
}

impl Table {
    fn begin(&mut self, task_id: &TaskId) -> watch::Receiver<Latest> {
        match self.tasks.entry(task_id.clone()) {
            Entry::Occupied(mut watchers) => {
                watchers.get_mut().count += 1;
                let mut latest = watchers.get().sender.subscribe();
                // What is known already is news to whoever begins to watch.
                latest.mark_changed();
                latest
            }
            Entry::Vacant(place) => {
                let (sender, latest) = watch::channel(None);
                place.insert(Watchers { sender, count: 1 });
                if let Some(changes) = &mut self.changes {
                    changes.begun.push(task_id.clone());
                }
                latest
            }
        }
    }

    fn end(&mut self, task_id: &TaskId) {
        let Entry::Occupied(mut watchers) = self.tasks.entry(task_id.clone()) else { return };
        watchers.get_mut().count -= 1;
        if watchers.get().count == 0 {
            watchers.remove();
            if let Some(changes) = &mut self.changes {
                changes.ended.push(task_id.clone());
            }
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.watched.table().end(&self.task_id);
        self.watched.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Format;

    fn document(state: &TaskState) -> StoredResult {
        let text = format!(r#"{{"status": "{state}", "result": 1, "task_id": "t"}}"#);
        StoredResult::decode(Format::Json, text).unwrap()
    }

    #[tokio::test]
    async fn every_watch_of_a_task_is_told_and_the_last_one_ends_the_watching() {
        let watched = Arc::new(Watched::default());
        let mut first = watched.watch("t".into());
        watched.tell(document(&TaskState::Started));
        let mut second = watched.watch("t".into());
        for watch in [&mut first, &mut second] {
            assert_eq!(watch.changed().await.unwrap().state, TaskState::Started);
        }
        watched.tell(document(&TaskState::Success));
        assert_eq!(second.ended().await.unwrap().state, TaskState::Success);
        drop(second);
        assert!(watched.contains(&"t".into()));
        drop(first);
        assert!(!watched.contains(&"t".into()));
    }

    #[test]
    fn what_came_before_the_end_does_not_undo_it() {
        let watched = Arc::new(Watched::default());
        let watch = watched.watch("t".into());
        for (told, state) in [
            (TaskState::Retry, TaskState::Retry),
            (TaskState::Failure, TaskState::Failure),
            (TaskState::Started, TaskState::Failure),
            (TaskState::Success, TaskState::Success),
            (TaskState::Failure, TaskState::Success),
        ] {
            watched.tell(document(&told));
            assert_eq!(watch.latest().unwrap().state, state);
        }
    }

    #[test]
    fn changes_are_kept_only_for_one_who_takes_them() {
        let watched = Arc::new(Watched::default());
        let old = watched.watch("old".into());
        assert_eq!(watched.take(), Changes::default());
        assert_eq!(watched.open().begun, ["old".into()]);
        let new = watched.watch("new".into());
        drop(old);
        let changes = watched.take();
        assert_eq!((changes.begun, changes.ended), (vec!["new".into()], vec!["old".into()]));
        watched.close();
        drop(new);
        assert_eq!(watched.take(), Changes::default());
    }

    #[tokio::test]
    async fn what_is_never_told_says_so_at_once() {
        let why = NotKept { why: "for a reason" };
        assert_eq!(Watch::never(why).ended().await.unwrap_err(), why);
    }
}
