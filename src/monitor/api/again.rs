//! Running again what was given up, as it was sent or otherwise.

use super::super::access::{Operator, Person};
use super::super::act::Reply;
use super::super::edit::{EditError, Edits};
use super::super::http::Pages;
use super::super::index::dead;
use super::Problem;
use crate::archive::DeadLetter;
use crate::broker::RawMessage;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use rusqlite::types::Value;
use std::collections::BTreeSet;

/// `POST /tasks/{id}/retry`: with a body that says what is to be different, or none.
pub(super) async fn retry(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(id): Path<String>,
    edits: Result<Option<Json<Edits>>, JsonRejection>,
) -> Result<Reply, Problem> {
    let edits = edits?.map(|Json(edits)| edits).unwrap_or_default();
    let (letter, message) = archived(&pages, &id).await?;
    run_again(&pages, &person, letter, message, edits).await
}

/// The newest letter of a task, with its message.
pub(in super::super) async fn archived(
    pages: &Pages,
    id: &str,
) -> Result<(DeadLetter, RawMessage), Problem> {
    let wanted = id.to_owned();
    let newest = pages
        .index
        .read(move |index| dead::list(index, ("id = ?", vec![Value::Text(wanted)]), None, 1));
    let Some(row) = newest.await?.0.pop() else {
        return Err(Problem::conflict(format!(
            "the message of task {id} is not in the archive: only what was given up is kept whole; \
             send it anew with `celeriac send`"
        )));
    };
    let offset = u64::try_from(row.offset).unwrap_or_default();
    let found = pages.archive.whole(BTreeSet::from([offset])).await;
    let found = found.map_err(|error| Problem::unavailable(error.to_string()))?.pop();
    found.ok_or_else(|| Problem::not_found(format!("there is no dead letter {offset} any more")))
}

/// Publishes it again.
pub(in super::super) async fn run_again(
    pages: &Pages,
    person: &Person,
    letter: DeadLetter,
    message: RawMessage,
    edits: Edits,
) -> Result<Reply, Problem> {
    let changed = edits.changed();
    let message = match changed.is_empty() {
        true => message,
        false => edits.apply(&message, pages.clock.now())?,
    };
    Ok(pages.actor.run_again(&person.name, (letter, message), edits.queue, &changed).await?)
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        Self::field(error.field(), error.to_string())
    }
}
