//! Schedules as JSON, and what can be wanted of them.

use super::super::access::Operator;
use super::super::act::{Reply, Wish};
use super::super::http::Pages;
use super::super::schedules::Silent;
use super::Problem;
use crate::clock::parse_iso;
use crate::control::Standby;
use crate::control::leader::{Detail, ScheduleReport};
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::SystemTime;

type Given<T> = Result<Json<T>, JsonRejection>;
type Answered = Result<Reply, Problem>;

/// The routes.
pub(super) fn router() -> Router<Pages> {
    Router::new()
        .route("/schedules", get(list))
        .route("/schedules/{name}", get(one))
        .route("/schedules/{name}/run", post(run))
        .route("/schedules/{name}/pause", post(pause))
        .route("/schedules/{name}/resume", post(resume))
        .route("/schedules/{name}/edit", post(edit))
        .route("/schedules/{name}/reset", post(reset))
        .route("/schedules/{name}/backfill", post(backfill))
}

/// The schedules of the scheduler that leads.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Schedules {
    leader: String,
    /// Since when it leads.
    since: String,
    /// So many schedulers stand in line to lead.
    standing_by: u32,
    /// Those of them that say who they are.
    standbys: Vec<Standby>,
    items: Vec<Schedule>,
}

/// One of them.
#[derive(Debug, Serialize, JsonSchema)]
struct Schedule {
    name: String,
    #[serde(flatten)]
    report: ScheduleReport,
}

/// One of them, with all that is known.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Whole {
    name: String,
    #[serde(flatten)]
    detail: Detail,
}

async fn list(State(pages): State<Pages>) -> Result<Json<Schedules>, Problem> {
    let known = pages.schedules.all().await?;
    let report = &known.report;
    let item = |(name, report): (&String, &ScheduleReport)| Schedule {
        name: name.clone(),
        report: report.clone(),
    };
    Ok(Json(Schedules {
        leader: report.leader.clone(),
        since: report.since.clone(),
        standing_by: known.standbys.count(),
        standbys: known.standbys.named.clone(),
        items: report.schedules.iter().map(item).collect(),
    }))
}

async fn one(State(pages): State<Pages>, Path(name): Path<String>) -> Result<Json<Whole>, Problem> {
    match pages.schedules.one(&name).await? {
        Some(detail) => Ok(Json(Whole { name, detail })),
        None => Err(Problem::not_found(format!("the scheduler that leads has no schedule {name}"))),
    }
}

/// Tells the scheduler that leads.
pub(in super::super) async fn tell(pages: &Pages, by: &str, name: String, wish: Wish) -> Answered {
    let reply = pages.actor.schedule(by, name, wish).await?;
    pages.schedules.forget().await;
    Ok(reply)
}

async fn run(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(name): Path<String>,
) -> Answered {
    tell(&pages, &person.name, name, Wish::Run).await
}

async fn resume(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(name): Path<String>,
) -> Answered {
    tell(&pages, &person.name, name, Wish::Resume).await
}

async fn reset(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(name): Path<String>,
) -> Answered {
    tell(&pages, &person.name, name, Wish::Reset).await
}

async fn pause(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(name): Path<String>,
    given: Given<super::act::Why>,
) -> Answered {
    let Json(why) = given?;
    tell(&pages, &person.name, name, Wish::Pause(why.reason()?)).await
}

/// Other values than those of the file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Different {
    /// Keys as in `[schedules.NAME]`, such as `{"cron": "0 4 * * *"}`; they replace those of an edit
    /// before.
    settings: Map<String, Value>,
}

async fn edit(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(name): Path<String>,
    given: Given<Different>,
) -> Answered {
    let Json(Different { settings }) = given?;
    tell(&pages, &person.name, name, Wish::Edit(Value::Object(settings))).await
}

/// Which runs are sent again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Span {
    /// Those that were due after this, as RFC 3339.
    from: String,
    /// And up to this; up to now unless given.
    to: Option<String>,
}

async fn backfill(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(name): Path<String>,
    given: Given<Span>,
) -> Answered {
    let Json(Span { from, to }) = given?;
    let from = time("from", &from)?;
    let to = to.map_or(Ok(pages.clock.now()), |to| time("to", &to))?;
    if to < from {
        return Err(Problem::field("to", "it is before `from`"));
    }
    tell(&pages, &person.name, name, Wish::Backfill(from, to)).await
}

fn time(field: &'static str, text: &str) -> Result<SystemTime, Problem> {
    parse_iso(text).ok_or_else(|| Problem::field(field, "write it like 2026-11-25T18:00:00Z"))
}

impl From<Silent> for Problem {
    fn from(silent: Silent) -> Self {
        Self::unavailable(silent.to_string())
    }
}
