//! What is done with tasks.

use super::{Actor, Answer, NotRecorded, Outcome, PATIENCE, Reply};
use crate::control::{self, Arguments, Reach, Recipients};
use crate::ids::TaskId;
use serde_json::json;

impl Actor {
    /// Revokes a task: it does not begin, or with [`Reach::Running`] does not go on either. The
    /// broker keeps it for our workers; those of both fleets that are there say what they do.
    ///
    /// # Errors
    /// When it could not be written down; then nothing was done.
    pub(in super::super) async fn revoke(
        &self,
        by: &str,
        id: TaskId,
        reach: Reach,
    ) -> Result<Reply, NotRecorded> {
        let action = if reach == Reach::Running { "terminate" } else { "revoke" };
        let target = id.to_string();
        let work = async {
            let kept = control::revoke(&self.0.broker, [id.clone()], reach, PATIENCE).await;
            let mut answers = vec![match kept {
                Ok(()) => Answer::done("broker", "keeps that it shall not run"),
                Err(error) => Answer::not("broker", Outcome::Error, error.to_string()),
            }];
            let mut arguments = Arguments::new();
            arguments.insert("task_id".to_owned(), json!(id.as_str()));
            arguments.insert("terminate".to_owned(), json!(reach == Reach::Running));
            arguments.insert("signal".to_owned(), json!("SIGTERM"));
            answers.extend(self.tell_workers("revoke", arguments, Recipients::All).await);
            answers
        };
        self.act(by, (action, target), json!({}), work).await
    }
}
