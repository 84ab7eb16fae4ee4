//! Queues as JSON.

use super::super::depths::Seen;
use super::super::http::Pages;
use super::Problem;
use crate::control::{Pause, Pauses};
use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;

/// A queue, as it was seen last.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Queue {
    name: String,
    state: Standing,
    /// Null where there is no such queue, or it could not be looked at.
    ready: Option<u32>,
    consumers: Option<u32>,
    /// Workers that said they consume it.
    workers: BTreeSet<String>,
    paused: Option<Pause>,
}

/// Whether it is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Running,
    Paused,
    NoConsumer,
    Unknown,
}

impl Queue {
    fn new(name: String, seen: Seen, pauses: &Pauses) -> Self {
        let paused = pauses.of(&name).cloned();
        let state = match (&paused, seen.depth) {
            (Some(_), _) => Standing::Paused,
            (None, Some(depth)) if depth.consumers > 0 => Standing::Running,
            (None, Some(_)) => Standing::NoConsumer,
            (None, None) => Standing::Unknown,
        };
        let (ready, consumers) = (seen.depth.map(|it| it.ready), seen.depth.map(|it| it.consumers));
        Self { name, state, ready, consumers, workers: seen.workers, paused }
    }
}

/// `GET /queues`
pub(super) async fn list(State(pages): State<Pages>) -> Json<Vec<Queue>> {
    let pauses = pages.paused.now();
    let mut all = pages.depths.all();
    for (queue, _) in pauses.iter() {
        all.entry(queue.to_owned()).or_default();
    }
    Json(all.into_iter().map(|(name, seen)| Queue::new(name, seen, &pauses)).collect())
}

/// `GET /queues/{name}`
pub(super) async fn one(
    State(pages): State<Pages>,
    Path(name): Path<String>,
) -> Result<Json<Queue>, Problem> {
    let (seen, pauses) = (pages.depths.one(&name), pages.paused.now());
    if seen.is_none() && pauses.of(&name).is_none() {
        return Err(Problem::not_found(format!("no queue {name} is known")));
    }
    Ok(Json(Queue::new(name, seen.unwrap_or_default(), &pauses)))
}
