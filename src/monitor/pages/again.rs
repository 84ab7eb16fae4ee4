//! Running a task again otherwise than it was sent, without a script too.

use super::super::access::{Operator, Person};
use super::super::act::Outcome;
use super::super::api::again::{archived, run_again};
use super::super::change::micros;
use super::super::edit::{self, Edits};
use super::super::http::Pages;
use super::super::settings::Role;
use super::frame::{Facts, Frame, Place};
use super::shown;
use super::{Answer, page};
use crate::archive::DeadLetter;
use crate::broker::RawMessage;
use askama::Template;
use axum::Form;
use axum::extract::{Path, State as Given};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Longer arguments are not edited here, in bytes.
const EDITABLE: usize = 64 << 10;

#[derive(Template)]
#[template(path = "again.html")]
struct Page {
    frame: Frame,
    name: String,
    id: String,
    back: String,
    problem: Option<String>,
    args: Option<String>,
    kwargs: String,
    /// Why arguments cannot be edited.
    fixed: String,
    queue: String,
    countdown: String,
    priority: String,
}

/// What somebody has filled in; empty where nothing is to be different.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filled {
    args: String,
    kwargs: String,
    queue: String,
    countdown: String,
    priority: String,
}

/// `GET /tasks/{id}/again`
pub(super) async fn show(
    Given(pages): Given<Pages>,
    person: Person,
    Path(id): Path<String>,
) -> Answer {
    person.may(Role::Operator)?;
    let (letter, message) = archived(&pages, &id).await?;
    let filled = Filled::of(&message);
    filled.page(&pages, &id, &letter, &message, None).await
}

/// `POST /tasks/{id}/again`
pub(super) async fn run(
    Given(pages): Given<Pages>,
    Operator(person): Operator,
    Path(id): Path<String>,
    Form(filled): Form<Filled>,
) -> Answer {
    let (letter, message) = archived(&pages, &id).await?;
    let edits = match filled.edits(&message) {
        Ok(edits) => edits,
        Err(problem) => return filled.page(&pages, &id, &letter, &message, Some(problem)).await,
    };
    let problem = match run_again(&pages, &person, letter.clone(), message.clone(), edits).await {
        Ok(reply) if reply.status == Outcome::Done => {
            let back = format!("/tasks/{}", shown::in_address(&id));
            return Ok(Redirect::to(&back).into_response());
        }
        Ok(reply) => reply.told(),
        Err(problem) => problem.detail().to_owned(),
    };
    filled.page(&pages, &id, &letter, &message, Some(problem)).await
}

impl Filled {
    /// The form as it is first shown.
    fn of(message: &RawMessage) -> Self {
        let (args, kwargs) = edit::arguments(message).unwrap_or_default();
        Self { args: pretty(&args), kwargs: pretty(&kwargs), ..Self::default() }
    }

    /// What is to be different, or what is wrong.
    fn edits(&self, message: &RawMessage) -> Result<Edits, String> {
        let sent = edit::arguments(message).ok().filter(|_| message.body.len() <= EDITABLE);
        let (args, kwargs) = match sent {
            Some((args, kwargs)) => (
                changed::<Vec<Value>>("the positional arguments", &self.args, &args)?,
                changed::<Map<String, Value>>("the named arguments", &self.kwargs, &kwargs)?,
            ),
            None => (None, None),
        };
        Ok(Edits {
            args,
            kwargs,
            queue: Some(self.queue.trim().to_owned()).filter(|queue| !queue.is_empty()),
            countdown: number("the seconds", &self.countdown)?,
            eta: None,
            priority: number("the priority", &self.priority)?,
        })
    }

    async fn page(
        &self,
        pages: &Pages,
        id: &str,
        letter: &DeadLetter,
        message: &RawMessage,
        problem: Option<String>,
    ) -> Answer {
        let now = micros(pages.clock.now());
        let facts = pages.index.read(move |index| Facts::read(index, now)).await?;
        let fixed = match edit::arguments(message) {
            Ok(_) if message.body.len() > EDITABLE => Some("they are too long".to_owned()),
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        };
        page(&Page {
            frame: Frame::new(pages, Place::Tasks, &facts, now),
            name: shown::line(letter.task.as_deref().unwrap_or("(name not told)")),
            id: shown::plain(id),
            back: format!("/tasks/{}", shown::in_address(id)),
            problem: problem.as_deref().map(shown::plain),
            args: fixed.is_none().then(|| self.args.clone()),
            kwargs: self.kwargs.clone(),
            fixed: shown::plain(&fixed.unwrap_or_default()),
            queue: shown::plain(&self.queue),
            countdown: shown::plain(&self.countdown),
            priority: shown::plain(&self.priority),
        })
    }
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// What stands in a field, if it is other than what was sent.
fn changed<T: DeserializeOwned + PartialEq>(
    what: &str,
    text: &str,
    sent: &T,
) -> Result<Option<T>, String> {
    let read: T = serde_json::from_str(text).map_err(|error| format!("{what}: {error}"))?;
    Ok((read != *sent).then_some(read))
}

fn number<T: std::str::FromStr>(what: &str, text: &str) -> Result<Option<T>, String> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("{what}: `{text}` is no such number")),
    }
}
