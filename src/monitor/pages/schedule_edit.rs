//! Other values for a schedule than those of its file, without a script too.

use super::super::access::{Operator, Person};
use super::super::act::{Outcome, Wish};
use super::super::api::schedule::tell;
use super::super::change::micros;
use super::super::http::Pages;
use super::super::settings::Role;
use super::frame::{Facts, Frame, Place};
use super::shown;
use super::trouble::Trouble;
use super::{Answer, page};
use crate::control::leader::Detail;
use askama::Template;
use axum::Form;
use axum::extract::{Path, State as Given};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;
use serde_json::Value;

#[derive(Template)]
#[template(path = "schedule-edit.html")]
struct Page {
    frame: Frame,
    name: String,
    back: String,
    /// When it is due by its file.
    words: String,
    problem: Option<String>,
    lines: String,
}

/// What somebody has filled in.
#[derive(Debug, Deserialize)]
pub(super) struct Filled {
    /// What is different from the file, as lines of its table.
    lines: String,
}

/// `GET /schedules/{name}/edit`
pub(super) async fn show(
    Given(pages): Given<Pages>,
    person: Person,
    Path(name): Path<String>,
) -> Answer {
    person.may(Role::Operator)?;
    let detail = known(&pages, &name).await?;
    let lines = detail.report.edit.as_ref().map(|edit| toml::to_string(edit).unwrap_or_default());
    form(&pages, &name, &detail, lines.unwrap_or_default(), None).await
}

/// `POST /schedules/{name}/edit`
pub(super) async fn change(
    Given(pages): Given<Pages>,
    Operator(person): Operator,
    Path(name): Path<String>,
    Form(Filled { lines }): Form<Filled>,
) -> Answer {
    let problem = match toml::from_str::<Value>(&lines) {
        Ok(settings) => {
            match tell(&pages, &person.name, name.clone(), Wish::Edit(settings)).await {
                Ok(reply) if reply.status == Outcome::Done => {
                    let back = format!("/schedules/{}", shown::in_address(&name));
                    return Ok(Redirect::to(&back).into_response());
                }
                Ok(reply) => reply.told(),
                Err(problem) => problem.detail().to_owned(),
            }
        }
        Err(error) => error.to_string(),
    };
    let detail = known(&pages, &name).await?;
    form(&pages, &name, &detail, lines, Some(problem)).await
}

async fn known(pages: &Pages, name: &str) -> Result<Detail, Trouble> {
    match pages.schedules.one(name).await {
        Ok(Some(detail)) => Ok(detail),
        Ok(None) => Err(Trouble::Missing("schedule")),
        Err(silent) => Err(Trouble::Broken(silent.to_string())),
    }
}

async fn form(
    pages: &Pages,
    name: &str,
    detail: &Detail,
    lines: String,
    problem: Option<String>,
) -> Answer {
    let now = micros(pages.clock.now());
    let facts = pages.index.read(move |index| Facts::read(index, now)).await?;
    let report = &detail.report;
    page(&Page {
        frame: Frame::new(pages, Place::Schedules, &facts, now),
        name: shown::line(name),
        back: format!("/schedules/{}", shown::in_address(name)),
        words: shown::line(report.in_file.as_ref().unwrap_or(&report.words)),
        problem,
        lines,
    })
}
