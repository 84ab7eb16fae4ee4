//! Tasks by name, as the API has them.

use super::super::change::{Micros, micros};
use super::super::histogram::Histogram;
use super::super::http::Pages;
use super::super::index::series::{self, By, Stretch};
use super::super::state::State as TaskState;
use super::Problem;
use super::series::Range;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use schemars::JsonSchema;
use serde::Serialize;

/// Names of tasks.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Names {
    items: Vec<Name>,
}

/// What tasks of one name did in a stretch of time.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Name {
    name: String,
    /// Attempts that started.
    started: i64,
    /// Tasks that ended for good.
    ended: i64,
    succeeded: i64,
    failed: i64,
    retried: i64,
    wait: Took,
    run: Took,
}

/// How long something took, in seconds. Null where it is not known of any.
#[derive(Debug, Serialize, JsonSchema)]
struct Took {
    p50_s: Option<f64>,
    p95_s: Option<f64>,
    p99_s: Option<f64>,
    buckets: Vec<Bucket>,
}

/// How many took longer than the bucket before, and no longer than this.
#[derive(Debug, Serialize, JsonSchema)]
struct Bucket {
    to_s: f64,
    count: u32,
}

/// `GET /names?range=1h`
pub(super) async fn list(
    State(pages): State<Pages>,
    range: Result<Query<Range>, QueryRejection>,
) -> Result<Json<Names>, Problem> {
    let (since, now) = range?.span(micros(pages.clock.now()))?;
    let counts = pages.index.read(move |index| series::by(index, By::Name, since, now)).await?;
    let named = |(name, counts): (Option<String>, Stretch)| Some(Name::new(name?, &counts));
    let mut items: Vec<_> = counts.into_iter().filter_map(named).collect();
    items.sort_by(|a, b| b.ended.cmp(&a.ended).then_with(|| a.name.cmp(&b.name)));
    Ok(Json(Names { items }))
}

/// `GET /names/{name}?range=1h`
pub(super) async fn one(
    State(pages): State<Pages>,
    Path(name): Path<String>,
    range: Result<Query<Range>, QueryRejection>,
) -> Result<Json<Name>, Problem> {
    let (since, now) = range?.span(micros(pages.clock.now()))?;
    let wanted = name.clone();
    let asked = pages.index.read(move |index| series::of_name(index, &wanted, since, now));
    let (_, stretches) = asked.await?;
    if stretches.is_empty() {
        return Err(Problem::not_found(format!(
            "no task {name} has started or ended in this time; see /api/v1/names"
        )));
    }
    Ok(Json(Name::new(name, &Stretch::sum(&stretches))))
}

impl Name {
    fn new(name: String, counts: &Stretch) -> Self {
        Self {
            name,
            started: counts.count(TaskState::Started),
            ended: counts.ended(),
            succeeded: counts.count(TaskState::Success),
            failed: counts.failed(),
            retried: counts.count(TaskState::Retry),
            wait: Took::new(&counts.wait),
            run: Took::new(&counts.run),
        }
    }
}

impl Took {
    fn new(took: &Histogram) -> Self {
        let at = |share| took.quantile(share).map(seconds);
        let bucket = |(to, count)| Bucket { to_s: seconds(to), count };
        let buckets = took.buckets().map(bucket).collect();
        Self { p50_s: at(0.5), p95_s: at(0.95), p99_s: at(0.99), buckets }
    }
}

fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}
