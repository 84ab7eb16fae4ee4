//! The pages: HTML that is whole without a script, from what the index says.
//!
//! One file per page, each with its template beside it. A handler asks the index once, in one
//! snapshot, for what the page shows and for what every page shows ([`frame::Facts`]). How values
//! look is in [`shown`], what is drawn in [`draw`].

mod about;
mod acts;
mod again;
mod assets;
mod audit;
mod bulk;
mod dead;
mod draw;
mod export;
mod failures;
mod frame;
pub(super) mod live;
pub(super) mod login;
mod names;
mod ops;
mod overview;
mod queues;
mod range;
mod schedule_edit;
mod schedules;
mod shown;
mod task;
mod tasks;
mod trouble;
mod workers;
mod workflows;

use super::http::Pages;
use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use trouble::Trouble;

/// Everything that a browser is shown.
pub(super) fn router() -> Router<Pages> {
    Router::new()
        .route("/", get(overview::show))
        .route("/tasks", get(tasks::show))
        .route("/tasks.csv", get(export::tasks_csv))
        .route("/tasks/{id}", get(task::show))
        .route("/tasks/{id}/again", get(again::show).post(again::run))
        .route("/failures", get(failures::show))
        .route("/dead", get(dead::show))
        .route("/dead/{offset}", get(dead::one))
        .route("/queues", get(queues::show))
        .route("/queues/{name}", get(queues::one))
        .route("/schedules", get(schedules::show))
        .route("/schedules/{name}", get(schedules::one))
        .route("/schedules/{name}/edit", get(schedule_edit::show).post(schedule_edit::change))
        .route("/workers", get(workers::show))
        .route("/workers/{name}", get(workers::one))
        .route("/names", get(names::show))
        .route("/names/{name}", get(names::one))
        .route("/workflows", get(workflows::show))
        .route("/live", get(live::show))
        .route("/audit", get(audit::show))
        .route("/ops", get(ops::show).post(bulk::begin))
        .route("/ops/new", get(bulk::show))
        .route("/ops/{id}", get(ops::one).post(ops::turn))
        .route("/about", get(about::show))
        .route("/assets/{name}", get(assets::serve))
        .fallback(trouble::missing)
}

/// What a handler answers with.
type Answer = Result<Response, Trouble>;

/// What an address asks for, if that can be read.
type Asking<T> = Result<Query<T>, QueryRejection>;

/// A rendered page.
fn page(template: &impl Template) -> Answer {
    let html = template.render().map_err(|error| Trouble::Broken(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
}
