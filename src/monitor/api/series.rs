//! Counts over time, as the API has them.

use super::super::change::{Micros, micros, micros_in, time_of};
use super::super::http::Pages;
use super::super::index::depths::{self, Level};
use super::super::index::series::{self, Stretch};
use super::Problem;
use crate::clock::to_iso;
use crate::units;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    range: Option<String>,
    /// `count`, which is the default, or `depth`.
    #[serde(default)]
    metric: Metric,
    /// Of `depth`: of this queue alone.
    queue: Option<String>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Metric {
    /// Tasks, by what they came to.
    #[default]
    Count,
    /// Messages that are ready in queues.
    Depth,
}

/// How far back, such as `15m`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    range: Option<String>,
}

/// Counts over time.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Series {
    /// `metric=count`
    Counts(Counts),
    /// `metric=depth`
    Depths(Depths),
}

/// How deep queues were.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Depths {
    /// How long each stretch is, in seconds.
    step: f64,
    /// When each begins. Those in which no queue was looked at are left out.
    times: Vec<String>,
    series: Vec<Levels>,
}

/// How deep one queue was: the most messages that were ready in each stretch, null where it was not
/// looked at.
#[derive(Debug, Serialize, JsonSchema)]
struct Levels {
    key: String,
    values: Vec<Option<u32>>,
}

/// Counts of tasks over time.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Counts {
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

/// `GET /series?range=15m&metric=depth&queue=mail`
pub(super) async fn since(
    State(pages): State<Pages>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Series>, Problem> {
    let Query(Asked { range, metric, queue }) = asked?;
    let (since, now) = Range { range }.span(micros(pages.clock.now()))?;
    if metric == Metric::Depth {
        let asked = move |index: &_| depths::since(index, queue.as_deref(), since, now);
        let (step, found) = pages.index.read(asked).await?;
        return Ok(Json(Series::Depths(Depths::new(step, found))));
    }
    if queue.is_some() {
        let why = "it goes with metric=depth; tasks of a queue are counted by /queues";
        return Err(Problem::field("queue", why));
    }
    let asked = pages.index.read(move |index| series::since(index, since, now));
    let (step, stretches) = asked.await?;
    let stretches = stretches.into_iter().map(Counted::from).collect();
    Ok(Json(Series::Counts(Counts { step: step as f64 / 1e6, stretches })))
}

impl Depths {
    fn new(step: Micros, found: BTreeMap<String, Vec<Level>>) -> Self {
        let times: BTreeSet<Micros> = found.values().flatten().map(|level| level.at).collect();
        let levels = |(key, levels): (String, Vec<Level>)| {
            let most: HashMap<_, _> = levels.iter().map(|level| (level.at, level.most)).collect();
            let values = times.iter().map(|at| most.get(at).copied()).collect();
            Levels { key, values }
        };
        let series = found.into_iter().map(levels).collect();
        let times = times.iter().map(|at| to_iso(time_of(*at))).collect();
        Self { step: step as f64 / 1e6, times, series }
    }
}

impl Range {
    /// From when to when, when it is `now`.
    pub(super) fn span(&self, now: Micros) -> Result<(Micros, Micros), Problem> {
        let range = units::parse_duration(self.range.as_deref().unwrap_or("15m"))
            .map_err(|why| Problem::field("range", why))?;
        let range = micros_in(range);
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
