//! What workers are told.

use super::super::settings::Role;
use super::{Actor, Answer, NotRecorded, Outcome, PATIENCE, Reply};
use crate::control::{Answers, Arguments, AskError, Recipients, Reply as Replied};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// What a worker can be told, in the words of the API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(in super::super) enum Order {
    /// Finish what runs, give back the rest, stop.
    Stop,
    /// So many more slots.
    Grow { slots: u32 },
    /// So many fewer slots.
    Shrink { slots: u32 },
    /// So many slots.
    Autoscale { min: u32, max: u32 },
    /// New processes for its pool; what runs ends first. Workers of Celeriac have none to renew.
    RestartPool,
    /// Consume this queue too.
    AddConsumer { queue: String },
    /// Consume this queue no more.
    CancelConsumer { queue: String },
    /// How often a task may start, such as `10/m`; `0` lifts it.
    RateLimit { task: String, rate: String },
    /// How many seconds a task may run.
    TimeLimit { task: String, soft: Option<u32>, hard: Option<u32> },
}

impl Order {
    /// What one must be to say it.
    pub(in super::super) fn role(&self) -> Role {
        match self {
            Self::Stop => Role::Admin,
            _ => Role::Operator,
        }
    }

    /// The word for it.
    fn action(&self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Grow { .. } => "grow",
            Self::Shrink { .. } => "shrink",
            Self::Autoscale { .. } => "autoscale",
            Self::RestartPool => "restart pool",
            Self::AddConsumer { .. } => "add consumer",
            Self::CancelConsumer { .. } => "cancel consumer",
            Self::RateLimit { .. } => "rate limit",
            Self::TimeLimit { .. } => "time limit",
        }
    }

    /// Celery's name for it, and what goes with it.
    fn command(&self) -> (&'static str, Value) {
        match self {
            Self::Stop => ("shutdown", json!({})),
            Self::Grow { slots } => ("pool_grow", json!({ "n": slots })),
            Self::Shrink { slots } => ("pool_shrink", json!({ "n": slots })),
            Self::Autoscale { min, max } => ("autoscale", json!({ "min": min, "max": max })),
            Self::RestartPool => ("pool_restart", json!({ "reload": false })),
            Self::AddConsumer { queue } => ("add_consumer", json!({ "queue": queue })),
            Self::CancelConsumer { queue } => ("cancel_consumer", json!({ "queue": queue })),
            Self::RateLimit { task, rate } => {
                ("rate_limit", json!({ "task_name": task, "rate_limit": rate }))
            }
            Self::TimeLimit { task, soft, hard } => {
                ("time_limit", json!({ "task_name": task, "soft": soft, "hard": hard }))
            }
        }
    }
}

impl Actor {
    /// Tells one worker, or all where there is no name.
    ///
    /// # Errors
    /// When it could not be written down; then nothing was done.
    pub(in super::super) async fn order(
        &self,
        by: &str,
        worker: Option<String>,
        order: &Order,
    ) -> Result<Reply, NotRecorded> {
        let (method, arguments) = order.command();
        let target = worker.clone().unwrap_or_else(|| "all workers".to_owned());
        let to = worker.map_or(Recipients::All, |worker| Recipients::Named(vec![worker]));
        let given = arguments.as_object().cloned().unwrap_or_default();
        let work = async {
            match order {
                // It has no time to answer: that it is gone is the answer.
                Order::Stop => self.stop(given, to).await,
                _ => self.tell_workers(method, given, to).await,
            }
        };
        self.act(by, (order.action(), target), arguments, work).await
    }

    /// Sends a command, and gathers what workers say.
    pub(super) async fn tell_workers(
        &self,
        method: &str,
        arguments: Arguments,
        to: Recipients,
    ) -> Vec<Answer> {
        let asked = self.ask(async |caller| caller.ask(method, arguments, to, PATIENCE).await);
        match asked.await {
            Ok(answers) => read(answers),
            Err(error) => vec![Answer::not("broker", Outcome::Error, error.to_string())],
        }
    }

    async fn stop(&self, arguments: Arguments, to: Recipients) -> Vec<Answer> {
        let Recipients::Named(workers) = &to else {
            return self.tell_workers("shutdown", arguments, to).await;
        };
        let worker = workers.first().cloned().unwrap_or_default();
        let told = self.ask(async |caller| -> Result<_, AskError> {
            if !caller.is_there(&worker).await? {
                return Ok(Answer::not(&worker, Outcome::UnknownTarget, "no such worker is there"));
            }
            caller.tell("shutdown", arguments, to.clone(), PATIENCE).await?;
            Ok(Answer::done(&worker, "was told to stop, and finishes what it runs"))
        });
        vec![
            told.await
                .unwrap_or_else(|error| Answer::not("broker", Outcome::Error, error.to_string())),
        ]
    }
}

fn read(answers: Answers) -> Vec<Answer> {
    let replied = answers.replies.into_values().map(|reply| answer(&reply));
    let silent = answers.silent.into_iter().map(|node| {
        Answer::not(node, Outcome::NoAnswer, "it is there, and has not answered in time")
    });
    let absent = answers
        .absent
        .into_iter()
        .map(|node| Answer::not(node, Outcome::UnknownTarget, "no such worker is there"));
    replied.chain(silent).chain(absent).collect()
}

fn answer(reply: &Replied) -> Answer {
    if let Some(error) = reply.error() {
        return Answer::not(&reply.node, Outcome::Refused, error.to_string());
    }
    let said = reply.value.get("ok").unwrap_or(&reply.value);
    Answer::done(&reply.node, said.as_str().map_or_else(|| said.to_string(), str::to_owned))
}
