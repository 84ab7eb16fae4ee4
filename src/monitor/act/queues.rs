//! What is done with queues.

use super::PATIENCE;
use super::{Actor, Answer, NotRecorded, Outcome, Reply};
use crate::broker::DeclareError;
use crate::control::{self, Heeded, Pause, PauseError, Told};
use serde_json::json;

impl Actor {
    /// Deletes what waits in a queue.
    ///
    /// # Errors
    /// When it could not be written down; then nothing was done.
    pub(in super::super) async fn purge(
        &self,
        by: &str,
        queue: String,
    ) -> Result<Reply, NotRecorded> {
        let work = async {
            vec![match self.0.broker.purge_queue(&queue).await {
                Ok(purged) => Answer::done("broker", format!("{purged} messages are deleted")),
                Err(error @ DeclareError::Missing(_)) => {
                    Answer::not("broker", Outcome::UnknownTarget, error.to_string())
                }
                Err(error) => Answer::not("broker", Outcome::Error, error.to_string()),
            }]
        };
        self.act(by, ("purge", queue.clone()), json!({}), work).await
    }

    /// Lets nobody consume a queue until it is resumed.
    ///
    /// # Errors
    /// When it could not be written down; then nothing was done.
    pub(in super::super) async fn pause(
        &self,
        by: &str,
        queue: String,
        reason: &str,
    ) -> Result<Reply, NotRecorded> {
        let said = Pause::new(by, self.0.clock.now(), reason);
        let work = async {
            let asked =
                self.ask(async |caller| control::pause(caller, &queue, said, PATIENCE).await).await;
            told(asked, |told| match told.was_paused {
                true => format!("it was paused by {} already", told.pause.by),
                false => format!("keeps that {queue} is paused"),
            })
        };
        self.act(by, ("pause", queue.clone()), json!({ "reason": reason }), work).await
    }

    /// Lets a paused queue be consumed again.
    ///
    /// # Errors
    /// When it could not be written down; then nothing was done.
    pub(in super::super) async fn resume(
        &self,
        by: &str,
        queue: String,
    ) -> Result<Reply, NotRecorded> {
        let said = Pause::new(by, self.0.clock.now(), "");
        let work = async {
            let asked = self
                .ask(async |caller| control::resume(caller, &queue, said, PATIENCE).await)
                .await;
            told(asked, |told| format!("keeps that it is resumed; {} had paused it", told.pause.by))
        };
        self.act(by, ("resume", queue.clone()), json!({}), work).await
    }
}

/// What the broker and the workers say.
fn told(asked: Result<Told, PauseError>, kept: impl Fn(&Told) -> String) -> Vec<Answer> {
    let told = match asked {
        Ok(told) => told,
        Err(error) => {
            let outcome = match &error {
                PauseError::NotPaused(_) => Outcome::Refused,
                PauseError::Unread(_) => Outcome::NoAnswer,
                _ => Outcome::Error,
            };
            return vec![Answer::not("broker", outcome, error.to_string())];
        }
    };
    let mut answers = vec![Answer::done("broker", kept(&told))];
    answers.extend(told.workers.iter().map(|(worker, heeded)| match heeded {
        Heeded::Done(said) => Answer::done(worker, said),
        Heeded::UntilRestart(said) => {
            let said = format!("{said}; it reads no pauses, and forgets this when it restarts");
            Answer::done(worker, said)
        }
        Heeded::Refused(why) => Answer::not(worker, Outcome::Refused, why),
        Heeded::Silent => {
            Answer::not(worker, Outcome::NoAnswer, "it is there, and has not answered in time")
        }
    }));
    if told.unknown_consumers > 0 {
        let who = format!("{} consumers", told.unknown_consumers);
        let why = "they take no commands, and may go on";
        answers.push(Answer::not(who, Outcome::NoAnswer, why));
    }
    answers
}
