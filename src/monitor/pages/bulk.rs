//! Beginning an operation, without a script too: what would happen, then a button.

use super::super::access::{Operator, Person};
use super::super::api::Problem;
use super::super::api::operation::{preview, start};
use super::super::change::micros;
use super::super::http::Pages;
use super::super::operations::{Action, Plan, Sample, Source, Survey, USUAL_RATE};
use super::super::settings::Role;
use super::frame::{Facts, Frame, Place};
use super::ops::what;
use super::shown;
use super::trouble::Trouble;
use super::{Answer, Asking, page};
use askama::Template;
use axum::Form;
use axum::extract::{Query, State as Given};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

/// More than this many are not begun by a click alone.
const MANY: usize = 100;

/// What is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    action: Action,
    #[serde(default)]
    q: String,
    rate: Option<f64>,
    #[serde(default)]
    to: String,
    /// How many somebody says that it is about.
    #[serde(default)]
    typed: String,
}

#[derive(Template)]
#[template(path = "bulk.html")]
struct Page {
    frame: Frame,
    heading: String,
    problem: Option<String>,
    actions: Vec<Choice>,
    action: &'static str,
    q: String,
    rate: String,
    to: String,
    publishes: bool,
    preview: Option<Preview>,
}

/// What would happen.
struct Preview {
    consequence: String,
    matched: String,
    eligible: usize,
    skipped: Vec<(&'static str, String)>,
    sample: Vec<Line>,
    can_begin: bool,
    must_type: bool,
    button: String,
}

/// One of those that it would happen to.
struct Line {
    href: String,
    name: String,
    what: String,
}

/// Something that can be done.
pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) text: &'static str,
    pub(super) is_chosen: bool,
}

/// What can be done with all that a list shows.
pub(super) struct Many {
    pub(super) q: String,
    pub(super) count: String,
    pub(super) actions: Vec<Choice>,
}

impl Many {
    /// Nothing, where there is nothing or this person may not.
    pub(super) fn of(person: &Person, source: Source, q: &str, count: &str) -> Option<Self> {
        let actions = choices(person, source, None);
        let some = !actions.is_empty() && count != "0";
        some.then(|| Self { q: shown::plain(q.trim()), count: count.to_owned(), actions })
    }
}

fn choices(person: &Person, source: Source, chosen: Option<Action>) -> Vec<Choice> {
    let fits = |action: &Action| action.source() == source && person.role >= action.role();
    let choice = |action: Action| Choice {
        value: action.as_str(),
        text: match action {
            Action::Requeue => "Requeue",
            Action::Discard => "Discard",
            Action::Retry => "Run again",
            Action::Revoke => "Revoke",
        },
        is_chosen: chosen == Some(action),
    };
    Action::ALL.into_iter().filter(fits).map(choice).collect()
}

/// `GET /ops/new?action=…&q=…`: changes nothing.
pub(super) async fn show(
    Given(pages): Given<Pages>,
    person: Person,
    asked: Asking<Asked>,
) -> Answer {
    let Query(asked) = asked?;
    person.may(Role::Operator)?;
    let looked = match asked.plan() {
        Ok(plan) => preview(&pages, &person, &plan).await,
        Err(problem) => Err(problem),
    };
    let (survey, problem) = match looked {
        Ok(survey) => (Some(survey), None),
        Err(problem) if problem.is_forbidden() => return Err(problem.into()),
        Err(problem) => (None, Some(problem.detail().to_owned())),
    };
    asked.page(&pages, &person, survey, problem).await
}

/// `POST /ops`: begins what the page has shown, unless it is about another number now.
pub(super) async fn begin(
    Given(pages): Given<Pages>,
    Operator(person): Operator,
    Form(asked): Form<Asked>,
) -> Answer {
    let plan = asked.plan()?;
    let survey = preview(&pages, &person, &plan).await?;
    if survey.eligible > MANY && asked.typed.trim() != survey.eligible.to_string() {
        let problem = format!(
            "It is about {} now, and {} was typed.",
            survey.eligible,
            if asked.typed.trim().is_empty() { "nothing" } else { asked.typed.trim() }
        );
        return asked.page(&pages, &person, Some(survey), Some(problem)).await;
    }
    match start(&pages, &person, plan).await {
        Ok(id) => Ok(Redirect::to(&format!("/ops/{id}")).into_response()),
        Err(problem) => {
            let problem = problem.detail().to_owned();
            asked.page(&pages, &person, Some(survey), Some(problem)).await
        }
    }
}

impl Asked {
    fn plan(&self) -> Result<Plan, Problem> {
        let rate = self.rate.unwrap_or(USUAL_RATE);
        Ok(Plan::try_new(self.action, None, &self.q, rate, Some(self.to.clone()))?)
    }

    async fn page(
        &self,
        pages: &Pages,
        person: &Person,
        survey: Option<Survey>,
        problem: Option<String>,
    ) -> Answer {
        let now = micros(pages.clock.now());
        let facts = pages.index.read(move |index| Facts::read(index, now)).await?;
        let many = survey.as_ref().map_or(0, |survey| survey.eligible as i64);
        page(&Page {
            frame: Frame::new(pages, Place::Operations, &facts, now),
            heading: what(self.action, many),
            problem: problem.as_deref().map(shown::plain),
            actions: choices(person, self.action.source(), Some(self.action)),
            action: self.action.as_str(),
            q: shown::plain(&self.q),
            rate: self.rate.unwrap_or(USUAL_RATE).to_string(),
            to: shown::plain(&self.to),
            publishes: self.action.publishes(),
            preview: survey.map(|survey| Preview::new(self, survey)),
        })
    }
}

impl Preview {
    fn new(asked: &Asked, survey: Survey) -> Self {
        let seconds = survey.eligible as f64 / asked.rate.unwrap_or(USUAL_RATE).max(0.1);
        let took = shown::took((seconds * 1e6) as i64);
        let how = match asked.action {
            Action::Requeue | Action::Retry if asked.to.trim().is_empty() => {
                "goes back to the queue that it came from, as it was sent, with all its retries"
            }
            Action::Requeue | Action::Retry => "goes to this queue, as it was sent",
            Action::Discard => "stays in the archive and is not open any more",
            Action::Revoke => "does not begin; what runs already is not stopped",
        };
        let many = survey.eligible as i64;
        let skipped = survey.skipped.into_iter();
        Self {
            consequence: format!(
                "{}: each {how}. That takes about {took}, and can be paused and cancelled; what \
                 was done stays done.",
                what(asked.action, many)
            ),
            matched: shown::count(survey.keys.len() as i64),
            eligible: survey.eligible,
            skipped: skipped.map(|(why, count)| (why, shown::count(count as i64))).collect(),
            sample: survey.sample.iter().map(Line::new).collect(),
            can_begin: survey.eligible > 0,
            must_type: survey.eligible > MANY,
            button: what(asked.action, many).to_lowercase(),
        }
    }
}

impl Line {
    fn new(sample: &Sample) -> Self {
        let id = sample.id.as_deref().unwrap_or_default();
        Self {
            href: match sample.offset {
                Some(offset) => format!("/dead/{offset}"),
                None => format!("/tasks/{}", shown::in_address(id)),
            },
            name: shown::line(sample.task.as_deref().unwrap_or("(name not told)")),
            what: shown::line(sample.error.as_deref().unwrap_or(id)),
        }
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        match problem.is_forbidden() {
            true => Self::Forbidden(problem.detail().to_owned()),
            false => Self::Unclear(problem.detail().to_owned()),
        }
    }
}
