//! Counts over time, as the API has them.

use super::super::change::{Micros, micros, time_of};
use super::super::http::Pages;
use super::super::index::series::{self, Stretch};
use super::Problem;
use crate::clock::to_iso;
use crate::units;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far back, such as `15m`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    range: Option<String>,
}

/// Counts over time.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Series {
    /// How long each stretch is, in seconds.
    step: f64,
    stretches: Vec<Counted>,
}

/// One stretch. Those in which nothing happened are left out.
#[derive(Debug, Serialize, JsonSchema)]
struct Counted {
    at: String,
    /// Starts, and ends by what they came to.
    counts: BTreeMap<&'static str, i64>,
    wait_p95_s: Option<f64>,
    run_p95_s: Option<f64>,
}

/// `GET /series?range=15m`
pub(super) async fn since(
    State(pages): State<Pages>,
    range: Result<Query<Range>, QueryRejection>,
) -> Result<Json<Series>, Problem> {
    let (since, now) = range?.span(micros(pages.clock.now()))?;
    let asked = pages.index.read(move |index| series::since(index, since, now));
    let (step, stretches) = asked.await?;
    let stretches = stretches.into_iter().map(Counted::from).collect();
    Ok(Json(Series { step: step as f64 / 1e6, stretches }))
}

impl Range {
    /// From when to when, when it is `now`.
    pub(super) fn span(&self, now: Micros) -> Result<(Micros, Micros), Problem> {
        let range = units::parse_duration(self.range.as_deref().unwrap_or("15m"))
            .map_err(|why| Problem::field("range", why))?;
        let range = Micros::try_from(range.as_micros()).unwrap_or(Micros::MAX);
        Ok((now.saturating_sub(range).max(0), now))
    }
}

impl From<Stretch> for Counted {
    fn from(stretch: Stretch) -> Self {
        let p95 = |histogram: &super::super::histogram::Histogram| {
            histogram.quantile(0.95).map(|micros| micros as f64 / 1e6)
        };
        Self {
            at: to_iso(time_of(stretch.at)),
            wait_p95_s: p95(&stretch.wait),
            run_p95_s: p95(&stretch.run),
            counts: stretch.counts.into_iter().map(|(it, count)| (it.as_str(), count)).collect(),
        }
    }
}
