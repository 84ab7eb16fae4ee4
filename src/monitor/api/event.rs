//! The last events, as the API has them.

use super::super::http::Pages;
use super::super::pages::live;
use super::{Part, Problem};
use crate::clock::to_iso;
use crate::events::filter::Filter;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// Which events are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Such as `event:task-failed name:mail.*`.
    #[serde(default)]
    q: String,
    limit: Option<usize>,
}

/// The last events.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Events {
    /// The newest first, without heartbeats.
    items: Vec<Event>,
    /// How many came too fast to be kept, since the monitor started.
    left_out: u64,
}

/// An event.
#[derive(Debug, Serialize, JsonSchema)]
struct Event {
    /// Such as `task-failed`.
    event: String,
    worker: String,
    told: String,
    task_id: Option<String>,
    name: Option<String>,
    queue: Option<String>,
    error: Option<String>,
}

/// `GET /events?q=event:task-failed`
pub(super) async fn list(
    State(pages): State<Pages>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Events>, Problem> {
    let Query(Wanted { q, limit }) = wanted?;
    let limit = Part { limit, cursor: None }.limit()?;
    let filter = Filter::parse(&q).map_err(|error| Problem::field("q", error.to_string()))?;
    let (events, left_out) = pages.feed.latest();
    let meant = pages.index.read(move |index| live::meant(index, events, &filter, limit)).await?;
    Ok(Json(Events { items: meant.into_iter().map(Event::from).collect(), left_out }))
}

impl From<live::Meant> for Event {
    fn from((told, about): live::Meant) -> Self {
        let text = |field| Some(told.fields.get(field)?.as_str()?.to_owned());
        let since = Duration::try_from_secs_f64(told.timestamp).unwrap_or_default();
        let at = SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH);
        Self {
            event: told.kind.clone(),
            worker: told.hostname.clone(),
            told: to_iso(at),
            task_id: text("uuid"),
            name: about.name,
            queue: about.queue,
            error: text("exception"),
        }
    }
}
