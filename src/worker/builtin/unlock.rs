//! `celery.chord_unlock`: how Celery joins a chord in a store that cannot count.

use super::{Ended, unanswered, unfit};
use crate::canvas::Plan;
use crate::canvas::follow::{Ended as EndedTask, Fallen};
use crate::handler::{Failure, Handler, Output, TaskContext, TaskError};
use crate::ids::TaskId;
use crate::protocol::{
    self, Body, Format, Raw, Signature, StoredException, StoredResult, TaskState, Value,
};
use crate::publisher::Publisher;
use crate::results::{Document, NewChord, ResultBackend};
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Looks whether the members of a chord have ended; then sends the body, or fails it. Puts itself
/// off until then.
pub(super) struct Unlock {
    publisher: Publisher,
    results: Arc<dyn ResultBackend>,
}

#[derive(serde::Deserialize)]
struct Given {
    /// The result tuples of the members.
    result: Vec<Value>,
    /// Seconds.
    #[serde(default)]
    interval: Option<f64>,
}

/// A member whose document is there.
type Member = Arc<StoredResult>;

impl Unlock {
    pub(super) fn new(publisher: &Publisher, results: &Arc<dyn ResultBackend>) -> Self {
        Self { publisher: publisher.clone(), results: Arc::clone(results) }
    }

    async fn look(self, cx: TaskContext, body: Arc<Body>) -> Ended {
        let (_, callback): (Value, Signature) = body.args().map_err(unfit)?;
        let Given { result, interval } = body.kwargs().map_err(unfit)?;
        let mut ids = Vec::new();
        result.iter().for_each(|tuple| members(tuple, &mut ids));
        let mut ended = Vec::with_capacity(ids.len());
        for id in ids {
            match self.results.latest(&id).await.map_err(unanswered)? {
                Some(document) if document.state.is_ready() => ended.push(document),
                _ => return Err(later(interval)),
            }
        }
        let task = EndedTask { headers: &cx.headers, reply_to: None };
        match ended.iter().find(|member| member.state != TaskState::Success) {
            Some(failed) => {
                let fallen = task.body_failed(callback).map_err(unfit)?;
                self.fail(fallen, failed, body.format()).await?;
            }
            None => {
                let values = ended.iter().map(|member| &member.result);
                let list = Raw::list(body.format(), values).map_err(unfit)?;
                let plan = task.completed(callback, &list).map_err(unfit)?;
                self.send(plan, body.format()).await?;
            }
        }
        Ok(Output::none())
    }

    async fn fail(&self, fallen: Fallen, failed: &Member, format: Format) -> Result<(), Failure> {
        let text = protocol::Member::from(&**failed).failure();
        for task in fallen.unreached {
            let error =
                StoredException::new("ChordError", text.as_str(), Some("celery.exceptions"));
            let id = task.id.clone();
            let result = StoredResult::failure(id, error, None, SystemTime::now());
            let body = result.encode(format).map_err(unfit)?.into();
            let (task_id, reply_to, state) = (task.id, task.reply_to, TaskState::Failure);
            let document = Document { task_id, state, reply_to, format, body };
            self.results.store(&document).await.map_err(unanswered)?;
        }
        self.send(fallen.plan, format).await
    }

    async fn send(&self, plan: Plan, format: Format) -> Result<(), Failure> {
        for chord in plan.chords {
            let Some(store) = self.results.chords() else { break };
            let (group_id, members) = (chord.group_id, chord.members);
            let chord = NewChord { group_id, members };
            store.begin(&chord).await.map_err(unanswered)?;
        }
        for message in &plan.messages {
            let sent = self.publisher.send_planned(message, Some(format), None).await;
            sent.map_err(|error| {
                let text = TaskError::new("PublishError", error.to_string());
                match error.is_transient() {
                    true => Failure::Retry { after: None, error: text },
                    false => Failure::Reject(text),
                }
            })?;
        }
        Ok(())
    }
}

impl Handler for Unlock {
    fn call(&self, cx: TaskContext, body: Arc<Body>) -> BoxFuture<'static, Ended> {
        let this = Self { publisher: self.publisher.clone(), results: Arc::clone(&self.results) };
        Box::pin(this.look(cx, body))
    }
}

/// Celery waits a second.
fn later(interval: Option<f64>) -> Failure {
    let wait = interval.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Failure::Snooze { after: wait.unwrap_or(Duration::from_secs(1)) }
}

/// The tasks of a result tuple: `[[id, parent], null]`, or `[[id, parent], [members]]`.
fn members(tuple: &Value, ids: &mut Vec<TaskId>) {
    let Some([own, inner]) = tuple.as_array().map(Vec::as_slice) else { return };
    match inner.as_array() {
        Some(inner) => inner.iter().for_each(|member| members(member, ids)),
        None => {
            let id = own.as_array().and_then(|own| own.first()).and_then(Value::as_str);
            ids.extend(id.or(own.as_str()).map(TaskId::from));
        }
    }
}
