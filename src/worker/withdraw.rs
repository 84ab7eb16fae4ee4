//! Telling at once that a task is revoked, as Celery's workers do when they are told so.
//!
//! Its message may come hours later, and only then end it; whoever waits for the result need not.

use super::context::Context;
use super::decide::REVOKED;
use super::here::Step;
use crate::ids::TaskId;
use crate::protocol::{Format, StoredException, StoredResult, TaskState};
use crate::results::{Document, StoreError};
use std::time::Duration;
use tokio::time::timeout;
use tracing::warn;

/// How long the store may take for all of them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stores `REVOKED` of those of these tasks that have not begun here and of which nothing says that
/// they have begun or ended elsewhere. Where results go to their callers nobody can be told before
/// the message comes.
pub(super) async fn withdraw(ids: &[TaskId], cx: &Context) {
    if !cx.results.wants(None) {
        return;
    }
    let mut begun = cx.here.all();
    begun.retain(|attempt| attempt.stage.step() != Step::Waiting);
    let waiting = ids.iter().filter(|id| begun.iter().all(|attempt| attempt.headers.id != **id));
    let telling = async {
        for id in waiting {
            if let Err(error) = tell(id, cx).await {
                warn!(task.id = %id, %error, "REVOKED is told when its message arrives");
            }
        }
    };
    if timeout(PATIENCE, telling).await.is_err() {
        warn!(waited = ?PATIENCE, "REVOKED is told when the messages of revoked tasks arrive");
    }
}

async fn tell(id: &TaskId, cx: &Context) -> Result<(), StoreError> {
    let known = cx.results.latest(id).await?;
    if known.is_some_and(|known| !may_wait(&known.state)) {
        return Ok(());
    }
    let error = StoredException::new(REVOKED, "revoked", Some("celery.exceptions"));
    let mut result = StoredResult::failure(id.clone(), error, None, cx.clock.now());
    result.state = TaskState::Revoked;
    let format = cx.reporting.format.unwrap_or(Format::Json);
    let body = result.encode(format).map_err(|error| StoreError::permanent(error.to_string()))?;
    let (task_id, state) = (id.clone(), result.state);
    let document = Document { task_id, state, reply_to: None, format, body: body.into() };
    cx.results.store(&document).await
}

/// Whether a task in this state has not begun, or waits to begin again.
fn may_wait(state: &TaskState) -> bool {
    use TaskState::{Pending, Received, Rejected, Retry};
    matches!(state, Pending | Received | Retry | Rejected)
}
