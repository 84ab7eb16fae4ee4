//! Operations, as the API has them: something done with each of many.

use super::super::access::{Operator, Person};
use super::super::act::Reply;
use super::super::change::time_of;
use super::super::http::Pages;
use super::super::index::operations::{self, FailureLine, OperationRow};
use super::super::operations::{
    Action, Chosen, MOST, NoPlan, NotBegun, Phase, Plan, Sample, Source, Survey, USUAL_RATE, Wish,
    survey,
};
use super::{Items, Part, Problem};
use crate::clock::to_iso;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// So many failures are told one by one.
const REPORTED: usize = 1_000;

/// So many queues are looked for beforehand.
const QUEUES: usize = 50;

/// Why a message would go nowhere.
const NO_SUCH_QUEUE: &str = "there is no such queue any more";

/// The routes.
pub(super) fn router() -> Router<Pages> {
    Router::new()
        .route("/operations", get(list).post(begin))
        .route("/operations/{id}", get(one))
        .route("/operations/{id}/pause", post(pause))
        .route("/operations/{id}/resume", post(resume))
        .route("/operations/{id}/cancel", post(cancel))
}

/// What is to be done with which.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOperation {
    action: Action,
    source: Option<Source>,
    #[serde(default)]
    q: String,
    #[serde(default = "usual")]
    rate: f64,
    to: Option<String>,
    /// Only say what would happen.
    #[serde(default)]
    dry_run: bool,
}

fn usual() -> f64 {
    USUAL_RATE
}

/// What would happen.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DryRun {
    action: Action,
    source: Source,
    q: String,
    matched: usize,
    eligible: usize,
    skipped: Vec<Skip>,
    sample: Vec<Sample>,
}

/// Why some are passed over, and how many.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Skip {
    reason: String,
    count: i64,
}

/// An operation.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Operation {
    id: String,
    action: Action,
    source: Source,
    q: String,
    to: Option<String>,
    state: &'static str,
    matched: i64,
    done: i64,
    failed: i64,
    skipped: i64,
    rate: f64,
    /// How many seconds it will take yet at its rate; null unless it runs.
    eta_s: Option<f64>,
    by: String,
    begun: String,
    /// Null while it goes on.
    ended: Option<String>,
}

/// An operation, with its report.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Report {
    #[serde(flatten)]
    operation: Operation,
    reasons: Vec<Skip>,
    errors: Vec<Failed>,
}

/// One with which it did not go well.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Failed {
    target: String,
    outcome: String,
    detail: String,
}

/// Which part of the list is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `POST /operations`
async fn begin(
    State(pages): State<Pages>,
    Operator(person): Operator,
    asked: Result<Json<NewOperation>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(NewOperation { action, source, q, rate, to, dry_run }) = asked?;
    let plan = Plan::try_new(action, source, &q, rate, to)?;
    if dry_run {
        return Ok(Json(DryRun::new(&plan, preview(&pages, &person, &plan).await?)).into_response());
    }
    let id = start(&pages, &person, plan).await?;
    let report = report(&pages, id).await?;
    let place = format!("/api/v1/operations/{}", report.operation.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, place)], Json(report)).into_response())
}

/// What an operation would be about, with what the broker says of its queues.
pub(in super::super) async fn preview(
    pages: &Pages,
    person: &Person,
    plan: &Plan,
) -> Result<Survey, Problem> {
    let mut survey = surveyed(pages, person, plan).await?;
    for (queue, count) in survey.queues.iter().take(QUEUES) {
        // A broker that is away says nothing of a queue.
        if let Ok(None) = pages.broker.depth(queue).await {
            survey.eligible -= count;
            *survey.skipped.entry(NO_SUCH_QUEUE).or_default() += count;
        }
    }
    Ok(survey)
}

/// Begins an operation: its id.
pub(in super::super) async fn start(
    pages: &Pages,
    person: &Person,
    plan: Plan,
) -> Result<String, Problem> {
    let survey = surveyed(pages, person, &plan).await?;
    if survey.eligible == 0 {
        let found = survey.keys.len();
        return Err(Problem::conflict(format!(
            "there is nothing to {}: {found} match, and with none of them it can be done",
            plan.action.as_str()
        )));
    }
    Ok(pages.operations.begin(&person.name, plan, survey.keys).await?)
}

async fn surveyed(pages: &Pages, person: &Person, plan: &Plan) -> Result<Survey, Problem> {
    person.may(plan.action.role())?;
    let now = pages.clock.now();
    let chosen = Chosen::read(plan, now);
    let chosen = chosen.map_err(|error| Problem::field("q", error.to_string()))?;
    let plan = plan.clone();
    let found = pages.index.read(move |index| survey(index, &plan, &chosen, now)).await?;
    match found.is_more {
        false => Ok(found),
        true => Err(Problem::field(
            "q",
            format!(
                "more than {MOST} match, which is the most that one operation is about; narrow it"
            ),
        )),
    }
}

/// `GET /operations`
async fn list(
    State(pages): State<Pages>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Items<Operation>>, Problem> {
    let Query(Wanted { limit, cursor }) = wanted?;
    let part = Part { limit, cursor };
    let (limit, before) = (part.limit()?, part.before()?);
    let asked = pages.index.read(move |index| operations::list(index, before, limit));
    let (rows, older) = asked.await?;
    let items = rows.into_iter().map(Operation::from).collect();
    Ok(Json(Items { items, next: older.map(|older| older.to_string()) }))
}

/// `GET /operations/{id}`
async fn one(State(pages): State<Pages>, Path(id): Path<String>) -> Result<Json<Report>, Problem> {
    report(&pages, id).await.map(Json)
}

/// `POST /operations/{id}/pause`
async fn pause(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(id): Path<String>,
) -> Result<Reply, Problem> {
    Ok(pages.actor.turn(&person.name, &pages.operations, id, Wish::Pause).await?)
}

/// `POST /operations/{id}/resume`
async fn resume(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(id): Path<String>,
) -> Result<Reply, Problem> {
    Ok(pages.actor.turn(&person.name, &pages.operations, id, Wish::Resume).await?)
}

/// `POST /operations/{id}/cancel`
async fn cancel(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(id): Path<String>,
) -> Result<Reply, Problem> {
    Ok(pages.actor.turn(&person.name, &pages.operations, id, Wish::Cancel).await?)
}

async fn report(pages: &Pages, id: String) -> Result<Report, Problem> {
    let wanted = id.clone();
    let found = pages.index.read(move |index| {
        let Some(row) = operations::one(index, &wanted)? else { return Ok(None) };
        let skips = operations::skips(index, row.n)?;
        let failures = operations::failures(index, row.n, REPORTED)?;
        Ok(Some((row, skips, failures)))
    });
    let Some((row, skips, failures)) = found.await? else {
        return Err(Problem::not_found(format!("there is no operation {id}")));
    };
    Ok(Report {
        operation: row.into(),
        reasons: skips.into_iter().map(|(reason, count)| Skip { reason, count }).collect(),
        errors: failures.into_iter().map(Failed::from).collect(),
    })
}

impl DryRun {
    fn new(plan: &Plan, survey: Survey) -> Self {
        let skip = |(reason, count): (&str, usize)| Skip {
            reason: reason.to_owned(),
            count: count as i64,
        };
        Self {
            action: plan.action,
            source: plan.action.source(),
            q: plan.q.clone(),
            matched: survey.keys.len(),
            eligible: survey.eligible,
            skipped: survey.skipped.into_iter().map(skip).collect(),
            sample: survey.sample,
        }
    }
}

impl From<OperationRow> for Operation {
    fn from(row: OperationRow) -> Self {
        let plan = row.plan;
        let left = (row.matched - row.place) as f64 / plan.rate;
        Self {
            id: row.id,
            action: plan.action,
            source: plan.action.source(),
            q: plan.q,
            to: plan.to,
            state: row.phase.as_str(),
            matched: row.matched,
            done: row.done,
            failed: row.failed,
            skipped: row.skipped,
            rate: plan.rate,
            eta_s: (row.phase == Phase::Running).then_some(left),
            by: row.by,
            begun: to_iso(time_of(row.begun)),
            ended: row.ended.map(|ended| to_iso(time_of(ended))),
        }
    }
}

impl From<FailureLine> for Failed {
    fn from(line: FailureLine) -> Self {
        Self { target: line.target, outcome: line.outcome, detail: line.detail }
    }
}

impl From<NoPlan> for Problem {
    fn from(error: NoPlan) -> Self {
        Self::field(error.field, error.why)
    }
}

impl From<NotBegun> for Problem {
    fn from(error: NotBegun) -> Self {
        match error {
            NotBegun::NotRecorded(error) => error.into(),
            NotBegun::Index(error) => error.into(),
        }
    }
}
