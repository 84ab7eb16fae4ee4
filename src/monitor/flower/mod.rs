//! Flower's API, for scripts that ask it today: the same paths, keys and types, from what this
//! monitor knows.
//!
//! What differs is said in `docs/from-celery.md`: lists have a limit, nothing is said to be done that
//! nobody has done, and who asks needs the role that the same takes elsewhere in the monitor.

mod call;
mod control;
mod given;
mod refusal;
mod shape;
mod tasks;
mod workers;

pub(super) use workers::Inspector;

use super::http::Pages;
use crate::publisher::Publisher;
use crate::results::ResultBackend;
use axum::Router;
use axum::routing::{get, post};
use std::sync::Arc;

/// What sends tasks, and hears of their results.
#[derive(Debug, Clone)]
pub struct Sender {
    /// Sends them.
    pub publisher: Publisher,
    /// Where results are.
    pub results: Arc<dyn ResultBackend>,
}

/// The routes, below `/api`.
pub(super) fn router() -> Router<Pages> {
    Router::new()
        .route("/tasks", get(tasks::list))
        .route("/task/types", get(tasks::types))
        .route("/task/info/{id}", get(tasks::info))
        .route("/task/result/{id}", get(call::result))
        .route("/task/apply/{name}", post(call::apply))
        .route("/task/async-apply/{name}", post(call::apply_async))
        .route("/task/send-task/{name}", post(call::send))
        .route("/task/abort/{id}", post(control::abort))
        .route("/task/revoke/{id}", post(control::revoke))
        .route("/task/timeout/{name}", post(control::time_limit))
        .route("/task/rate-limit/{name}", post(control::rate_limit))
        .route("/queues/length", get(workers::queues))
        .route("/workers", get(workers::list))
        .route("/worker/shutdown/{name}", post(control::shutdown))
        .route("/worker/pool/restart/{name}", post(control::restart))
        .route("/worker/pool/grow/{name}", post(control::grow))
        .route("/worker/pool/shrink/{name}", post(control::shrink))
        .route("/worker/pool/autoscale/{name}", post(control::autoscale))
        .route("/worker/queue/add-consumer/{name}", post(control::add_consumer))
        .route("/worker/queue/cancel-consumer/{name}", post(control::cancel_consumer))
}
