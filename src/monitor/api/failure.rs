//! Failures that are the same, together, as the API has them.

use super::super::access::Operator;
use super::super::act::Reply;
use super::super::change::{micros, time_of};
use super::super::http::Pages;
use super::super::index::failures::{self, FailureList, FailureOrder, FailureRow, Listed, Spread};
use super::super::index::resolution::Kind;
use super::{Part, Problem};
use crate::clock::to_iso;
use crate::units;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which failures, and in which order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// How far back, such as `24h`.
    range: Option<String>,
    /// `last` unless told.
    by: Option<String>,
    /// `unresolved` for those that nobody has dealt with since they happened last; else all.
    listed: Option<String>,
    limit: Option<usize>,
}

/// Failures.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Failures {
    items: Vec<Failure>,
}

/// Failures that are the same.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Failure {
    /// Their number: `sig:17` in a filter.
    sig: i64,
    /// Type and message without what differs.
    title: String,
    /// The exception's type.
    kind: String,
    /// How often it has happened.
    count: i64,
    /// Tasks that have failed so and were not dealt with.
    open: i64,
    /// `open`, `resolved`, or `regressed`: somebody had dealt with it, and it happened again.
    state: &'static str,
    /// When somebody has said that it is dealt with, and who.
    resolved: Option<Resolved>,
    first: String,
    last: String,
    /// Tasks that it happens in, the most frequent first; not all where there are many.
    names: Vec<String>,
    /// How often in each of the last 24 hours, the oldest first.
    hours: Vec<i64>,
}

/// That somebody has dealt with something.
#[derive(Debug, Serialize, JsonSchema)]
struct Resolved {
    at: String,
    by: String,
}

/// `GET /failures?range=24h&by=count`
pub(super) async fn list(
    State(pages): State<Pages>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Failures>, Problem> {
    let Query(Wanted { range, by, listed, limit }) = wanted?;
    let limit = Part { limit, cursor: None }.limit()?;
    let range = units::parse_duration(range.as_deref().unwrap_or("24h"))
        .map_err(|why| Problem::field("range", why))?;
    let order = match by.as_deref().unwrap_or("last") {
        "last" => FailureOrder::Last,
        "count" => FailureOrder::Count,
        _ => return Err(Problem::field("by", "one of last, count")),
    };
    let listed = match listed.as_deref().unwrap_or("all") {
        "all" => Listed::All,
        "unresolved" => Listed::Unresolved,
        _ => return Err(Problem::field("listed", "one of all, unresolved")),
    };
    let now = pages.clock.now();
    let (since, now) = (now.checked_sub(range).map_or(0, micros), micros(now));
    let wanted = FailureList { since, order, listed, limit };
    let asked = pages.index.read(move |index| failures::failures(index, wanted, now));
    let items = asked.await?.into_iter().map(Failure::from).collect();
    Ok(Json(Failures { items }))
}

/// `GET /failures/{sig}`
pub(super) async fn one(
    State(pages): State<Pages>,
    Path(sig): Path<i64>,
) -> Result<Json<Failure>, Problem> {
    let now = micros(pages.clock.now());
    let asked = pages.index.read(move |index| failures::one(index, sig, now));
    match asked.await? {
        Some(failure) => Ok(Json(failure.into())),
        None => Err(Problem::not_found(format!("there are no failures {sig}"))),
    }
}

/// `POST /failures/{sig}/resolve`
pub(super) async fn resolve(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(sig): Path<i64>,
) -> Result<Reply, Problem> {
    let title = title(&pages, sig).await?;
    Ok(pages.actor.resolve(&person.name, Kind::Failure, title).await?)
}

/// `POST /failures/{sig}/unresolve`
pub(super) async fn unresolve(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(sig): Path<i64>,
) -> Result<Reply, Problem> {
    let title = title(&pages, sig).await?;
    Ok(pages.actor.unresolve(&person.name, Kind::Failure, title).await?)
}

async fn title(pages: &Pages, sig: i64) -> Result<String, Problem> {
    let found = pages.index.read(move |index| failures::failure(index, sig)).await?;
    let missing = || Problem::not_found(format!("there are no failures {sig}"));
    found.map(|row| row.title).ok_or_else(missing)
}

impl From<(FailureRow, Spread)> for Failure {
    fn from((row, spread): (FailureRow, Spread)) -> Self {
        let state = row.standing().as_str();
        Self {
            sig: row.id,
            title: row.title,
            kind: row.kind,
            count: row.count,
            open: row.open,
            state,
            resolved: row.resolved.map(|(at, by)| Resolved { at: to_iso(time_of(at)), by }),
            first: to_iso(time_of(row.first)),
            last: to_iso(time_of(row.last)),
            names: spread.names,
            hours: spread.hours,
        }
    }
}
