//! What is done with one of many, for an operation: the operation is what stands in the audit.

use super::super::index::judge::Judged;
use super::super::operations::{Action, Came, Operations, Wish};
use super::{Actor, Answer, NotRecorded, Outcome, PATIENCE, Reply};
use crate::archive::{DeadLetter, Requeue, Retries};
use crate::broker::RawMessage;
use crate::control::{self, Arguments, Reach, Recipients};
use serde_json::json;

/// The archive has dropped it since.
const GONE: &str = "no longer in the archive";

impl Actor {
    /// Pauses, resumes or cancels an operation.
    ///
    /// # Errors
    /// When it could not be written down; then nothing was done.
    pub(in super::super) async fn turn(
        &self,
        by: &str,
        operations: &Operations,
        id: String,
        wish: Wish,
    ) -> Result<Reply, NotRecorded> {
        let work = async {
            let who = "monitor";
            vec![match operations.wish(&id, wish).await {
                Ok(Some(Ok(phase))) => Answer::done(who, format!("it is {}", phase.as_str())),
                Ok(Some(Err(phase))) => {
                    Answer::not(who, Outcome::Refused, format!("it is {}", phase.as_str()))
                }
                Ok(None) => Answer::not(who, Outcome::UnknownTarget, "there is no such operation"),
                Err(error) => Answer::not(who, Outcome::Error, error.to_string()),
            }]
        };
        self.act(by, (wish.as_str(), format!("operation {id}")), json!({}), work).await
    }

    /// Publishes a letter again or sets it aside, as `action` says.
    pub(in super::super) async fn give_back(
        &self,
        action: Action,
        by: &str,
        queue: Option<String>,
        judged: Judged,
        letter: Option<(DeadLetter, RawMessage)>,
    ) -> Came {
        if let Judged::Skip(why) = judged {
            return Came::Skipped(why);
        }
        let Some((letter, message)) = letter else { return Came::Skipped(GONE) };
        let archive = &self.0.archive;
        let done = match action {
            Action::Discard => archive.discard_one(&letter, by).await,
            _ => {
                let how = Requeue { rate: None, retries: Retries::Reset, queue, by: by.to_owned() };
                archive.requeue_once(&letter, message, &how).await
            }
        };
        match Answer::from(done) {
            Answer { outcome: Outcome::Done, .. } => Came::Done,
            answer => judged.failed(answer.outcome, answer.detail.unwrap_or_default()),
        }
    }

    /// Revokes tasks that have not begun. Each is done when the broker keeps it, for our workers;
    /// Celery's are told, and nobody waits for what they say.
    pub(in super::super) async fn revoke_each(&self, tasks: Vec<Judged>) -> Vec<Came> {
        let mut came = Vec::new();
        let mut kept = Vec::new();
        for judged in tasks {
            came.push(match &judged {
                Judged::Skip(why) => Came::Skipped(why),
                Judged::Letter(_) => judged.failed(Outcome::Error, "it is no task"),
                Judged::Task { id, .. } => {
                    let ids = [id.clone().into()];
                    match control::revoke(&self.0.broker, ids, Reach::NotBegun, PATIENCE).await {
                        Ok(()) => {
                            kept.push(id.clone());
                            Came::Done
                        }
                        Err(error) => judged.failed(Outcome::Error, error.to_string()),
                    }
                }
            });
        }
        if !kept.is_empty() {
            let mut arguments = Arguments::new();
            arguments.insert("task_id".to_owned(), json!(kept));
            arguments.insert("terminate".to_owned(), json!(false));
            let told = self.ask(async |caller| {
                caller.tell("revoke", arguments, Recipients::All, PATIENCE).await
            });
            if let Err(error) = told.await {
                tracing::warn!(%error, "workers of Celery are not told what is revoked");
            }
        }
        came
    }
}
