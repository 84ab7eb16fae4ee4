//! `/api/v1`: what the pages show, as JSON.
//!
//! Times are RFC 3339 with microseconds, durations seconds. Lists are walked by cursors, which are
//! opaque. What goes wrong is told as `application/problem+json` (RFC 9457).

mod act;
pub(super) mod again;
mod bundle;
mod dead;
mod event;
mod failure;
mod name;
mod openapi;
pub(super) mod operation;
mod problem;
mod queue;
pub(super) mod schedule;
mod series;
mod suggest;
mod task;
mod worker;
mod workflow;

pub(super) use problem::Problem;

use super::access::Person;
use super::http::Pages;
use super::index::select::{self, Reach, Selection};
use super::index::{tasks, workers};
use crate::broker::Depth;
use crate::filter;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use task::{Task, TaskWithAttempts};
use worker::Worker;

/// A list is no longer than this.
const LONGEST: usize = 1_000;

/// And this long unless told.
const USUAL: usize = 50;

/// So many queues are asked for at once.
const MOST_QUEUES: usize = 50;

/// Which part of a list is wanted.
#[derive(Debug)]
struct Part {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Part of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
struct Items<T> {
    items: Vec<T>,
    /// The cursor of what comes next; null at the end.
    next: Option<String>,
}

/// Which tasks are wanted, and which part of their list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// As `docs/filter.md` has it.
    #[serde(default)]
    q: String,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Tasks, and how far was looked for them.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TaskList")]
struct Found {
    #[serde(flatten)]
    list: Items<Task>,
    /// Only so many of the newest were looked at; null when all were.
    searched: Option<u32>,
}

impl Asked {
    fn selection(&self, pages: &Pages) -> Result<Selection, Problem> {
        let expr = filter::parse(&self.q, &select::FIELDS)
            .map_err(|error| Problem::field("q", error.to_string()))?;
        Ok(Selection::of(&expr, pages.clock.now(), pages.settings.history.scan_limit))
    }
}

impl Part {
    fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(USUAL) {
            limit @ 1..=LONGEST => Ok(limit),
            limit => Err(Problem::field("limit", format!("{limit} is not from 1 to {LONGEST}"))),
        }
    }

    fn before(&self) -> Result<Option<i64>, Problem> {
        let wrong = |_| Problem::field("cursor", "it is none that `next` gave");
        self.cursor.as_deref().map(|cursor| cursor.parse().map_err(wrong)).transpose()
    }
}

/// The routes.
pub(super) fn router() -> Router<Pages> {
    Router::new()
        .route("/tasks", get(list))
        .route("/tasks/{id}", get(one))
        .route("/tasks/{id}/tree", get(workflow::tree))
        .route("/workflows", get(workflow::list))
        .route("/events", get(event::list))
        .route("/suggest", get(suggest::suggest))
        .route("/states", get(states))
        .route("/series", get(series::since))
        .route("/names", get(name::list))
        .route("/names/{name}", get(name::one))
        .route("/queues", get(queue::list))
        .route("/queues/{name}", get(queue::one))
        .route("/workers", get(workers))
        .route("/failures", get(failure::list))
        .route("/failures/{sig}", get(failure::one))
        .route("/failures/{sig}/resolve", post(failure::resolve))
        .route("/failures/{sig}/unresolve", post(failure::unresolve))
        .route("/dead", get(dead::list))
        .route("/dead/states", get(dead::states))
        .route("/dead/{offset}", get(dead::one))
        .route("/audit", get(dead::acts))
        .route("/demand", get(demand))
        .route("/about", get(about))
        .route("/bundle", get(bundle::show))
        .route("/me", get(me))
        .route("/openapi.json", get(openapi::show))
        .merge(act::router())
        .merge(schedule::router())
        .merge(operation::router())
        .fallback(async || Problem::not_found("there is no such call; see /api/v1/openapi.json"))
}

async fn list(
    State(pages): State<Pages>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Found>, Problem> {
    let Query(asked) = asked?;
    let selection = asked.selection(&pages)?;
    let part = Part { limit: asked.limit, cursor: asked.cursor };
    let (limit, before) = (part.limit()?, part.before()?);
    let searched = match selection.reach {
        Reach::All => None,
        Reach::Newest(newest) => Some(newest),
    };
    let list = move |index: &rusqlite::Connection| tasks::select(index, &selection, before, limit);
    let page = pages.index.read(list).await?;
    let items = page.tasks.into_iter().map(Task::from).collect();
    let list = Items { items, next: page.older.map(|older| older.to_string()) };
    Ok(Json(Found { list, searched }))
}

async fn one(
    State(pages): State<Pages>,
    Path(id): Path<String>,
) -> Result<Json<TaskWithAttempts>, Problem> {
    let wanted = id.clone();
    let found = pages.index.read(move |index| tasks::one(index, &wanted)).await?;
    match found {
        Some((task, attempts)) => Ok(Json(TaskWithAttempts::new(task, attempts))),
        None => Err(Problem::not_found(format!("nothing was told of a task {id}"))),
    }
}

async fn workers(State(pages): State<Pages>) -> Result<Json<Vec<Worker>>, Problem> {
    let workers = pages.index.read(workers::all).await?;
    Ok(Json(workers.into_iter().map(Worker::from).collect()))
}

/// Which queues, separated by commas.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Queues {
    queues: String,
}

/// How much work there is, for whoever decides how many workers to run.
#[derive(Debug, Serialize, JsonSchema)]
struct Demand {
    /// Messages that wait in all of them.
    ready: u32,
    consumers: u32,
    per_queue: BTreeMap<String, QueueDemand>,
}

/// The work of one queue.
#[derive(Debug, Serialize, JsonSchema)]
struct QueueDemand {
    ready: u32,
    consumers: u32,
}

/// Asked of the broker itself, now: nobody is scaled by what was.
async fn demand(
    State(pages): State<Pages>,
    queues: Result<Query<Queues>, QueryRejection>,
) -> Result<Json<Demand>, Problem> {
    let Query(Queues { queues }) = queues?;
    let mut demand = Demand { ready: 0, consumers: 0, per_queue: BTreeMap::new() };
    for queue in queues.split(',').take(MOST_QUEUES) {
        let depth = pages.broker.depth(queue).await;
        let depth = depth.map_err(|error| Problem::unavailable(error.to_string()))?;
        let missing = || Problem::not_found(format!("there is no queue {queue}"));
        let Depth { ready, consumers } = depth.ok_or_else(missing)?;
        demand.ready += ready;
        demand.consumers += consumers;
        demand.per_queue.insert(queue.to_owned(), QueueDemand { ready, consumers });
    }
    Ok(Json(demand))
}

/// Who asks.
#[derive(Debug, Serialize, JsonSchema)]
struct Me {
    user: String,
    role: &'static str,
}

async fn me(person: Person) -> Json<Me> {
    Json(Me { role: person.role.as_str(), user: person.name })
}

/// How the monitor itself is doing.
#[derive(Debug, Serialize, JsonSchema)]
struct About {
    version: &'static str,
    title: String,
    broker_up: bool,
    reading: bool,
    lag_s: Option<f64>,
    events: u64,
    events_missed: u64,
    events_unreadable: u64,
    index_bytes: u64,
}

async fn about(State(pages): State<Pages>) -> Json<About> {
    let status = &pages.status;
    Json(About {
        version: env!("CARGO_PKG_VERSION"),
        title: pages.settings.title.clone(),
        broker_up: pages.broker.is_connected(),
        reading: status.is_reading(),
        lag_s: status.lag().map(|lag| lag.as_secs_f64()),
        events: status.events(),
        events_missed: status.missed(),
        events_unreadable: status.unreadable(),
        index_bytes: pages.index.bytes(),
    })
}

async fn states(State(pages): State<Pages>) -> Result<Json<BTreeMap<&'static str, i64>>, Problem> {
    let states = pages.index.read(tasks::states).await?;
    Ok(Json(states.into_iter().map(|(state, count)| (state.as_str(), count)).collect()))
}
