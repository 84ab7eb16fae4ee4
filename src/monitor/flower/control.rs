//! What workers are told, and what becomes of tasks. Nothing is said to be done that nobody has done.

use super::super::access::{Admin, Operator, Person};
use super::super::act::{Order, Outcome, Reply};
use super::super::http::Pages;
use super::given::Given;
use super::refusal::Refusal;
use crate::control::Reach;
use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

type Answered = Result<Json<Value>, Refusal>;

/// An order to one worker, and what is said of it.
struct Command {
    worker: String,
    order: Order,
    /// When it was done; what the worker says, where there is nothing.
    done: Option<String>,
    /// Before the reason, when not.
    failed: String,
}

impl Command {
    async fn give(self, pages: &Pages, person: &Person) -> Answered {
        let Self { worker, order, done, failed } = self;
        let reply = pages.actor.order(&person.name, Some(worker.clone()), &order).await?;
        match reply.status {
            Outcome::Done | Outcome::Partial => Ok(message(done.unwrap_or_else(|| reply.told()))),
            Outcome::UnknownTarget => Err(Refusal::unknown("worker", &worker)),
            _ => Err(Refusal::refused(format!("{failed}: {}", reply.told()))),
        }
    }
}

fn message(text: impl Into<String>) -> Json<Value> {
    Json(json!({ "message": text.into() }))
}

/// `POST /api/worker/shutdown/{name}`
pub(super) async fn shutdown(
    State(pages): State<Pages>,
    Admin(person): Admin,
    Path(worker): Path<String>,
) -> Answered {
    let failed = format!("Failed to shut down '{worker}'");
    let done = Some("Shutting down!".to_owned());
    Command { worker, order: Order::Stop, done, failed }.give(&pages, &person).await
}

/// `POST /api/worker/pool/restart/{name}`
pub(super) async fn restart(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(worker): Path<String>,
) -> Answered {
    let failed = format!("Failed to restart the '{worker}' pool");
    let done = Some(format!("Restarting '{worker}' worker's pool"));
    Command { worker, order: Order::RestartPool, done, failed }.give(&pages, &person).await
}

/// `POST /api/worker/pool/grow/{name}?n=1`
pub(super) async fn grow(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(worker): Path<String>,
    given: Given,
) -> Answered {
    let slots = given.number("n")?.unwrap_or(1);
    let failed = format!("Failed to grow '{worker}' worker's pool");
    let done = Some(format!("Growing '{worker}' worker's pool by {slots}"));
    Command { worker, order: Order::Grow { slots }, done, failed }.give(&pages, &person).await
}

/// `POST /api/worker/pool/shrink/{name}?n=1`
pub(super) async fn shrink(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(worker): Path<String>,
    given: Given,
) -> Answered {
    let slots = given.number("n")?.unwrap_or(1);
    let failed = format!("Failed to shrink '{worker}' worker's pool");
    let done = Some(format!("Shrinking '{worker}' worker's pool by {slots}"));
    Command { worker, order: Order::Shrink { slots }, done, failed }.give(&pages, &person).await
}

/// `POST /api/worker/pool/autoscale/{name}?min=1&max=9`
pub(super) async fn autoscale(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(worker): Path<String>,
    given: Given,
) -> Answered {
    let (min, max) = (given.required_number("min")?, given.required_number("max")?);
    let failed = format!("Failed to autoscale '{worker}' worker");
    let done = Some(format!("Autoscaling '{worker}' worker (min={min}, max={max})"));
    Command { worker, order: Order::Autoscale { min, max }, done, failed }
        .give(&pages, &person)
        .await
}

/// `POST /api/worker/queue/add-consumer/{name}?queue=mail`
pub(super) async fn add_consumer(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(worker): Path<String>,
    given: Given,
) -> Answered {
    let queue = given.required("queue")?.to_owned();
    let failed = format!("Failed to add '{queue}' consumer to '{worker}' worker");
    let order = Order::AddConsumer { queue };
    Command { worker, order, done: None, failed }.give(&pages, &person).await
}

/// `POST /api/worker/queue/cancel-consumer/{name}?queue=mail`
pub(super) async fn cancel_consumer(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(worker): Path<String>,
    given: Given,
) -> Answered {
    let queue = given.required("queue")?.to_owned();
    let failed = format!("Failed to cancel '{queue}' consumer from '{worker}' worker");
    let order = Order::CancelConsumer { queue };
    Command { worker, order, done: None, failed }.give(&pages, &person).await
}

/// `POST /api/task/timeout/{name}`: `workername`, and `soft` and `hard` in seconds.
pub(super) async fn time_limit(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(task): Path<String>,
    given: Given,
) -> Answered {
    let worker = given.required("workername")?.to_owned();
    // Flower takes fractions; a limit is no shorter than was asked for.
    let whole = |seconds: Option<f64>| seconds.map(|it| it.ceil().max(0.0) as u32);
    let (soft, hard) = (whole(given.number("soft")?), whole(given.number("hard")?));
    let order = Order::TimeLimit { task, soft, hard };
    let failed = "Failed to set timeouts".to_owned();
    Command { worker, order, done: None, failed }.give(&pages, &person).await
}

/// `POST /api/task/rate-limit/{name}`: `workername` and `ratelimit`, such as `10/m`.
pub(super) async fn rate_limit(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(task): Path<String>,
    given: Given,
) -> Answered {
    let worker = given.required("workername")?.to_owned();
    let rate = given.required("ratelimit")?.to_owned();
    let order = Order::RateLimit { task, rate };
    let failed = "Failed to set rate limit".to_owned();
    Command { worker, order, done: None, failed }.give(&pages, &person).await
}

/// `POST /api/task/revoke/{id}`: with `terminate=true` it does not go on either.
pub(super) async fn revoke(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(id): Path<String>,
    given: Given,
) -> Answered {
    let reach = if given.is_wished("terminate") { Reach::Running } else { Reach::NotBegun };
    let reply = pages.actor.revoke(&person.name, id.clone().into(), reach).await?;
    told(&reply, format!("Revoked '{id}'"))
}

/// `POST /api/task/abort/{id}`: it is asked to end, as by `terminate`.
pub(super) async fn abort(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(id): Path<String>,
) -> Answered {
    let reply = pages.actor.revoke(&person.name, id.clone().into(), Reach::Running).await?;
    told(&reply, format!("Aborted '{id}'"))
}

fn told(reply: &Reply, done: String) -> Answered {
    match reply.status {
        Outcome::Done | Outcome::Partial => Ok(message(done)),
        _ => Err(Refusal::unavailable(reply.told())),
    }
}
