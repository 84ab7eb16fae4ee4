//! What is done with dead letters.

use super::{Actor, Answer, NotRecorded, Outcome, Reply};
use crate::archive::{DeadLetter, Done, Requeue, RequeueError, Retries};
use crate::broker::{PublishError, RawMessage};
use serde_json::json;

/// The broker may have the letter or not.
const IN_DOUBT: &str = "the connection broke while it was published, so it may be out or not; see \
                        whether its task has run before it is requeued";

impl Actor {
    /// Publishes dead letters again, to the queue each came from, or to `queue`.
    ///
    /// # Errors
    /// When it could not be written down; then nothing was done.
    pub(in super::super) async fn requeue(
        &self,
        by: &str,
        letters: Vec<DeadLetter>,
        queue: Option<String>,
    ) -> Result<Reply, NotRecorded> {
        let arguments = json!({ "offsets": offsets(&letters), "queue": queue });
        let how = Requeue { rate: None, retries: Retries::Reset, queue, by: by.to_owned() };
        let work = async {
            let mut answers = Vec::new();
            let all = self.0.archive.requeue(&letters, &how, |done| answers.push(done.into()));
            if let Err(error) = all.await {
                answers.push(Answer::not("archive", Outcome::Error, error.to_string()));
            }
            answers
        };
        self.act(by, ("requeue", named(&letters)), arguments, work).await
    }

    /// Publishes the message of one letter again, with what was changed in it named in the audit.
    ///
    /// # Errors
    /// When it could not be written down; then nothing was done.
    pub(in super::super) async fn run_again(
        &self,
        by: &str,
        (letter, message): (DeadLetter, RawMessage),
        queue: Option<String>,
        changed: &[&str],
    ) -> Result<Reply, NotRecorded> {
        let arguments = json!({ "offsets": [letter.offset], "queue": queue, "changed": changed });
        let target = named(std::slice::from_ref(&letter));
        let how = Requeue { rate: None, retries: Retries::Reset, queue, by: by.to_owned() };
        let work = async { vec![self.0.archive.requeue_one(&letter, message, &how).await.into()] };
        self.act(by, ("requeue", target), arguments, work).await
    }

    /// Marks dead letters as not to be looked at any more.
    ///
    /// # Errors
    /// When it could not be written down; then nothing was done.
    pub(in super::super) async fn discard(
        &self,
        by: &str,
        letters: Vec<DeadLetter>,
    ) -> Result<Reply, NotRecorded> {
        let arguments = json!({ "offsets": offsets(&letters) });
        let work = async {
            let mut answers = Vec::new();
            self.0.archive.discard(&letters, by, |done| answers.push(done.into())).await;
            answers
        };
        self.act(by, ("discard", named(&letters)), arguments, work).await
    }
}

fn offsets(letters: &[DeadLetter]) -> Vec<u64> {
    letters.iter().map(|letter| letter.offset).collect()
}

/// What the letters are called in the audit: the task, if it is one.
fn named(letters: &[DeadLetter]) -> String {
    match letters {
        [DeadLetter { id: Some(id), .. }] => id.to_string(),
        [letter] => format!("dead letter {}", letter.offset),
        letters => format!("{} dead letters", letters.len()),
    }
}

impl From<Done> for Answer {
    fn from(done: Done) -> Self {
        let who = done.offset.to_string();
        match done.result {
            Ok(()) => Self { who, outcome: Outcome::Done, detail: None },
            Err(error @ RequeueError::Gone) => {
                Self::not(who, Outcome::UnknownTarget, error.to_string())
            }
            Err(
                error @ (RequeueError::NoQueue
                | RequeueError::NotPublished(PublishError::Unroutable { .. })),
            ) => Self::not(who, Outcome::Refused, error.to_string()),
            Err(RequeueError::NotPublished(PublishError::Fenced)) => {
                Self::not(who, Outcome::NoAnswer, IN_DOUBT)
            }
            Err(error @ RequeueError::NotPublished(PublishError::Unconfirmed(_))) => {
                Self::not(who, Outcome::NoAnswer, error.to_string())
            }
            Err(error) => Self::not(who, Outcome::Error, error.to_string()),
        }
    }
}
