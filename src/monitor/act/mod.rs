//! What people do through the monitor: each act is written down, done, answered for, and what came
//! of it written down too.
//!
//! No act says that something was done before a worker, or the broker's confirm, has said so.

mod bulk;
mod dead;
mod queues;
mod resolve;
mod schedules;
mod send;
mod tasks;
mod workers;

pub(super) use schedules::Wish;
pub(super) use send::NewTask;
pub(super) use workers::Order;

use super::change::{Micros, micros};
use crate::archive::Archive;
use crate::broker::{Broker, PublishError};
use crate::clock::Clock;
use crate::control::audit::{Begun, Ended, Record};
use crate::control::{AskError, Caller};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

/// How long workers may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Does what people ask for. Cloning is cheap.
#[derive(Debug, Clone)]
pub(super) struct Actor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    broker: Broker,
    archive: Archive,
    clock: Arc<dyn Clock>,
    /// Opened when first needed. One question is under way at a time.
    caller: Mutex<Option<Caller>>,
}

/// What came of an act.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Reply {
    action: &'static str,
    target: String,
    /// The outcome of all together; `partial` when they differ and something was done.
    pub(super) status: Outcome,
    /// What each of those says who had to do something.
    pub(super) results: Vec<Answer>,
    took_ms: u64,
    by: String,
    /// The record of it.
    audit: String,
}

/// What one of those says who had to do something.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Answer {
    /// A worker, the broker, or what was acted upon.
    who: String,
    outcome: Outcome,
    /// What it says, such as why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Whether it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Done,
    /// Some of it was.
    Partial,
    /// Who had to do it says no.
    Refused,
    /// There is no such thing.
    UnknownTarget,
    /// Nobody said anything in time. It may be done all the same.
    NoAnswer,
    /// Something went wrong.
    Error,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("nothing was done, because it could not be written down: {0}")]
pub(super) struct NotRecorded(#[from] PublishError);

impl Reply {
    /// What the first of those says who had to do something.
    pub(super) fn told(&self) -> String {
        let first = self.results.first();
        let detail = first.and_then(|answer| answer.detail.clone());
        detail.unwrap_or_else(|| self.status.as_str().replace('_', " "))
    }
}

impl Answer {
    fn done(who: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { who: who.into(), outcome: Outcome::Done, detail: Some(detail.into()) }
    }

    fn not(who: impl Into<String>, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { who: who.into(), outcome, detail: Some(detail.into()) }
    }
}

impl Outcome {
    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::UnknownTarget => "unknown_target",
            Self::NoAnswer => "no_answer",
            Self::Error => "error",
        }
    }

    /// What several outcomes are together.
    fn of(answers: &[Answer]) -> Self {
        let first = answers.first().map_or(Self::NoAnswer, |answer| answer.outcome);
        let are_same = answers.iter().all(|answer| answer.outcome == first);
        let any_done = answers.iter().any(|answer| answer.outcome == Self::Done);
        match (are_same, any_done) {
            (true, _) => first,
            (false, true) => Self::Partial,
            (false, false) => Self::Refused,
        }
    }
}

impl Actor {
    /// One who acts at this broker.
    pub(super) fn new(broker: Broker, archive: Archive, clock: Arc<dyn Clock>) -> Self {
        let caller = Mutex::new(None);
        Self(Arc::new(Inner { broker, archive, clock, caller }))
    }

    /// Writes down what is about to be done, does it, and writes down what came of it.
    async fn act(
        &self,
        by: &str,
        (action, target): (&'static str, String),
        arguments: Value,
        work: impl Future<Output = Vec<Answer>>,
    ) -> Result<Reply, NotRecorded> {
        let clock = &self.0.clock;
        let began = Instant::now();
        let begun = Begun::new(by, (action, &target), arguments, clock.now());
        self.begin(&begun).await?;
        let results = work.await;
        let status = Outcome::of(&results);
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (by, audit) = (by.to_owned(), begun.id.clone());
        let reply = Reply { action, target, status, results, took_ms, by, audit };
        info!(action, target = reply.target, by = reply.by, outcome = ?status, "acted");
        let outcome = serde_json::to_value(&reply).unwrap_or_default();
        self.end(&begun.id, micros(clock.now()), outcome).await;
        Ok(reply)
    }

    /// Writes down what is about to be done.
    ///
    /// # Errors
    /// When the broker does not take it; then nothing is to be done.
    pub(super) async fn begin(&self, begun: &Begun) -> Result<(), NotRecorded> {
        Ok(Record::Begun(begun.clone()).keep(&self.0.broker).await?)
    }

    /// Writes down what came of it; whether the broker took it.
    pub(super) async fn end(&self, id: &str, at: Micros, outcome: Value) -> bool {
        let ended = Record::Ended(Ended { id: id.to_owned(), at, outcome });
        let kept = ended.keep(&self.0.broker).await;
        if let Err(error) = &kept {
            warn!(%error, audit = id, "what came of it is not written down");
        }
        kept.is_ok()
    }

    /// Lets `question` ask workers.
    async fn ask<T, E: From<AskError>>(
        &self,
        question: impl AsyncFnOnce(&mut Caller) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut caller = self.0.caller.lock().await;
        let mut asking = match caller.take() {
            Some(caller) => caller,
            None => Caller::open(&self.0.broker).await?,
        };
        // Whoever is dropped in the middle of a question leaves no half answered caller behind.
        let answer = question(&mut asking).await;
        if answer.is_ok() {
            *caller = Some(asking);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_partly_done_if_anything_is() {
        let of = |outcomes: &[Outcome]| {
            let answers = outcomes.iter().map(|outcome| Answer::not("w", *outcome, ""));
            Outcome::of(&answers.collect::<Vec<_>>())
        };
        let cases: [(&[Outcome], Outcome); 5] = [
            (&[], Outcome::NoAnswer),
            (&[Outcome::Done, Outcome::Done], Outcome::Done),
            (&[Outcome::Done, Outcome::NoAnswer], Outcome::Partial),
            (&[Outcome::Refused, Outcome::NoAnswer], Outcome::Refused),
            (&[Outcome::UnknownTarget], Outcome::UnknownTarget),
        ];
        for (outcomes, all) in cases {
            assert_eq!(of(outcomes), all, "{outcomes:?}");
        }
    }
}
