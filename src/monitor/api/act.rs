//! The calls that do something.

use super::super::access::{Admin, Operator};
use super::super::act::{NotRecorded, Order, Outcome, Reply};
use super::super::http::Pages;
use super::super::index::resolution::Kind;
use super::super::index::tasks;
use super::super::state::State as Ended;
use super::{Problem, again};
use crate::archive::DeadLetter;
use crate::control::Reach;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;

/// So many dead letters at once.
const LETTERS: usize = 1_000;

type Given<T> = Result<Json<T>, JsonRejection>;
type Answered = Result<Reply, Problem>;

/// The routes.
pub(super) fn router() -> Router<Pages> {
    Router::new()
        .route("/tasks/{id}/retry", post(again::retry))
        .route("/tasks/{id}/revoke", post(revoke))
        .route("/tasks/{id}/terminate", post(terminate))
        .route("/tasks/{id}/resolve", post(resolve))
        .route("/dead/requeue", post(requeue))
        .route("/dead/discard", post(discard))
        .route("/queues/{name}/pause", post(pause))
        .route("/queues/{name}/resume", post(resume))
        .route("/queues/{name}/purge", post(purge))
        .route("/workers/{name}/order", post(order))
        .route("/workers/order", post(order_all))
}

/// Which dead letters, and where to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Letters {
    /// Their places in the archive.
    offsets: BTreeSet<u64>,
    /// Instead of the queue that each came from.
    queue: Option<String>,
}

async fn revoke(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(id): Path<String>,
) -> Answered {
    Ok(pages.actor.revoke(&person.name, id.into(), Reach::NotBegun).await?)
}

async fn terminate(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(id): Path<String>,
) -> Answered {
    Ok(pages.actor.revoke(&person.name, id.into(), Reach::Running).await?)
}

async fn resolve(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(id): Path<String>,
) -> Answered {
    let wanted = id.clone();
    let found = pages.index.read(move |index| tasks::one(index, &wanted)).await?;
    match found {
        Some((task, _)) if task.state == Ended::Failure => {
            Ok(pages.actor.resolve(&person.name, Kind::Task, id).await?)
        }
        Some((task, _)) => {
            let state = task.state.as_str();
            Err(Problem::conflict(format!("task {id} is {state}; what has failed is resolved")))
        }
        None => Err(Problem::not_found(format!("nothing was told of a task {id}"))),
    }
}

async fn requeue(
    State(pages): State<Pages>,
    Operator(person): Operator,
    given: Given<Letters>,
) -> Answered {
    let Json(Letters { offsets, queue }) = given?;
    let letters = letters(&pages, &offsets).await?;
    Ok(pages.actor.requeue(&person.name, letters, queue).await?)
}

async fn discard(
    State(pages): State<Pages>,
    Admin(person): Admin,
    given: Given<Letters>,
) -> Answered {
    let Json(Letters { offsets, queue }) = given?;
    if queue.is_some() {
        return Err(Problem::field("queue", "what is discarded goes nowhere"));
    }
    let letters = letters(&pages, &offsets).await?;
    Ok(pages.actor.discard(&person.name, letters).await?)
}

/// The letters at these places, as the archive has them now.
async fn letters(pages: &Pages, offsets: &BTreeSet<u64>) -> Result<Vec<DeadLetter>, Problem> {
    if offsets.is_empty() || offsets.len() > LETTERS {
        let wrong = format!("name from 1 to {LETTERS} of them");
        return Err(Problem::field("offsets", wrong));
    }
    let found = pages.archive.letters(offsets.clone()).await;
    let letters = found.map_err(|error| Problem::unavailable(error.to_string()))?;
    match offsets.iter().find(|offset| !letters.iter().any(|it| it.offset == **offset)) {
        Some(missing) => Err(Problem::not_found(format!("there is no dead letter {missing}"))),
        None => Ok(letters),
    }
}

/// Why something is paused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    reason: String,
}

impl Why {
    /// What is not empty.
    pub(super) fn reason(self) -> Result<String, Problem> {
        match self.reason.trim() {
            "" => Err(Problem::field("reason", "say why, for others to read")),
            reason => Ok(reason.to_owned()),
        }
    }
}

async fn pause(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(name): Path<String>,
    given: Given<Why>,
) -> Answered {
    let Json(why) = given?;
    Ok(pages.actor.pause(&person.name, name, &why.reason()?).await?)
}

async fn resume(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(name): Path<String>,
) -> Answered {
    Ok(pages.actor.resume(&person.name, name).await?)
}

async fn purge(
    State(pages): State<Pages>,
    Admin(person): Admin,
    Path(name): Path<String>,
) -> Answered {
    Ok(pages.actor.purge(&person.name, name).await?)
}

async fn order(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(name): Path<String>,
    given: Given<Order>,
) -> Answered {
    let Json(order) = given?;
    person.may(order.role())?;
    Ok(pages.actor.order(&person.name, Some(name), &order).await?)
}

async fn order_all(
    State(pages): State<Pages>,
    Operator(person): Operator,
    given: Given<Order>,
) -> Answered {
    let Json(order) = given?;
    person.may(order.role())?;
    Ok(pages.actor.order(&person.name, None, &order).await?)
}

impl From<NotRecorded> for Problem {
    fn from(error: NotRecorded) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = match self.status {
            Outcome::Done | Outcome::Partial => StatusCode::OK,
            Outcome::Refused => StatusCode::CONFLICT,
            Outcome::UnknownTarget => StatusCode::NOT_FOUND,
            Outcome::NoAnswer => StatusCode::GATEWAY_TIMEOUT,
            Outcome::Error => StatusCode::BAD_GATEWAY,
        };
        (status, Json(self)).into_response()
    }
}
