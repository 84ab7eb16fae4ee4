//! Failures that are the same, together, as the API has them.

use super::super::change::{micros, time_of};
use super::super::http::Pages;
use super::super::index::failures::{self, FailureOrder, FailureRow, Spread};
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
    first: String,
    last: String,
    /// Tasks that it happens in, the most frequent first; not all where there are many.
    names: Vec<String>,
    /// How often in each of the last 24 hours, the oldest first.
    hours: Vec<i64>,
}

/// `GET /failures?range=24h&by=count`
pub(super) async fn list(
    State(pages): State<Pages>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Failures>, Problem> {
    let Query(Wanted { range, by, limit }) = wanted?;
    let limit = Part { limit, cursor: None }.limit()?;
    let range = units::parse_duration(range.as_deref().unwrap_or("24h"))
        .map_err(|why| Problem::field("range", why))?;
    let order = match by.as_deref().unwrap_or("last") {
        "last" => FailureOrder::Last,
        "count" => FailureOrder::Count,
        _ => return Err(Problem::field("by", "one of last, count")),
    };
    let now = pages.clock.now();
    let (since, now) = (now.checked_sub(range).map_or(0, micros), micros(now));
    let asked = pages.index.read(move |index| failures::failures(index, since, order, limit, now));
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

impl From<(FailureRow, Spread)> for Failure {
    fn from((row, spread): (FailureRow, Spread)) -> Self {
        Self {
            sig: row.id,
            title: row.title,
            kind: row.kind,
            count: row.count,
            open: row.open,
            first: to_iso(time_of(row.first)),
            last: to_iso(time_of(row.last)),
            names: spread.names,
            hours: spread.hours,
        }
    }
}
