//! Operations: something done with each of many letters or tasks, at a rate, in the background.
//!
//! What an operation is about is fixed when it begins: a list in the index, which also says how far
//! it is and what is in hand. One runs at a time, so that no two have the same letter in hand. See
//! `docs/decisions/0024-operations.md` for what each death leaves behind.

mod phase;
mod plan;
mod run;
mod survey;

pub(super) use phase::{Phase, Wish};
pub(super) use plan::{Action, NoPlan, Plan, Source, USUAL_RATE};
pub(super) use survey::{Chosen, MOST, Sample, Survey, survey};

use super::act::{Actor, NotRecorded, Outcome};
use super::index::{Index, IndexError, operations};
use crate::archive::Archive;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::control::audit::Begun;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Notify;

/// Where operations are begun, and run. Cloning is cheap; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Operations(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    index: Index,
    broker: Broker,
    archive: Archive,
    actor: Actor,
    clock: Arc<dyn Clock>,
    /// Told when there is something to do.
    wake: Notify,
}

/// What came of one of many.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Came {
    Done,
    /// Nothing was to be done, and why.
    Skipped(&'static str),
    Failed {
        target: String,
        outcome: Outcome,
        detail: String,
    },
}

/// Why an operation does not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotBegun {
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Operations {
    pub(super) fn new(
        index: Index,
        broker: Broker,
        archive: Archive,
        actor: Actor,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let wake = Notify::new();
        Self(Arc::new(Inner { index, broker, archive, actor, clock, wake }))
    }

    /// Begins an operation about `keys`: writes it down in the audit, then in the index. Returns its
    /// id.
    ///
    /// # Errors
    /// When it could not be written down; then nothing is done. Where the index alone has failed,
    /// the audit has an operation without an end.
    pub(super) async fn begin(
        &self,
        by: &str,
        plan: Plan,
        keys: Vec<i64>,
    ) -> Result<String, NotBegun> {
        let mut arguments = serde_json::to_value(&plan).unwrap_or_default();
        arguments["matched"] = json!(keys.len());
        let action = format!("{}{}", operations::BULK, plan.action.as_str());
        let now = self.0.clock.now();
        let begun = Begun::new(by, (&action, &plan.target()), arguments, now);
        self.0.actor.begin(&begun).await?;
        let id = begun.id.clone();
        self.0.index.write(move |writer| writer.plan(&begun, &plan, &keys)).await?;
        self.0.wake.notify_one();
        Ok(id)
    }

    /// Pauses, resumes or cancels an operation: the phase that it is in now, or that it was in where
    /// that cannot be. `None` when there is no such operation.
    ///
    /// # Errors
    /// When the index fails.
    pub(super) async fn wish(
        &self,
        id: &str,
        wish: Wish,
    ) -> Result<Option<Result<Phase, Phase>>, IndexError> {
        let id = id.to_owned();
        let turned = self.0.index.write(move |writer| writer.wish(&id, wish)).await?;
        self.0.wake.notify_one();
        Ok(turned)
    }
}

impl Plan {
    /// What it is done to, in the audit's words.
    fn target(&self) -> String {
        let what = match self.action.source() {
            Source::Dead => "dead letters",
            Source::Tasks => "tasks",
        };
        match self.q.as_str() {
            "" => format!("all {what}"),
            q => format!("{what} {q}"),
        }
    }
}
