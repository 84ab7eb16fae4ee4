//! What could stand where somebody writes a filter.

use super::super::http::Pages;
use super::super::index::select::{self, acts};
use super::super::index::{self, IndexError};
use super::Problem;
use crate::archive::Filter as Letters;
use crate::events;
use crate::filter::{self, Expected, Fields};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// So many are told.
const MOST: usize = 20;

/// What is written: a filter and where in it, or the beginning of a value.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    /// Whose values are wanted: `name`, `queue` or `worker`; of `dead`, `task` or `queue`.
    field: Option<String>,
    /// How the value begins.
    #[serde(default)]
    prefix: String,
    /// Instead of `field`: a whole filter.
    q: Option<String>,
    /// Where in `q`, in characters; at its end unless told.
    cursor: Option<usize>,
    /// What the filter is over: `tasks` unless told, `dead`, `audit`, `events`.
    of: Option<String>,
}

/// What could stand there.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Suggestions {
    /// What they take the place of: from here in `q`, in characters,
    at: usize,
    /// so many of them.
    length: usize,
    items: Vec<String>,
}

/// `GET /suggest?field=queue&prefix=em`, `GET /suggest?q=state:fa`
pub(super) async fn suggest(
    State(pages): State<Pages>,
    written: Result<Query<Written>, QueryRejection>,
) -> Result<Json<Suggestions>, Problem> {
    let Query(Written { field, prefix, q, cursor, of }) = written?;
    let of = of.as_deref().unwrap_or("tasks");
    let fields =
        fields(of).ok_or_else(|| Problem::field("of", "one of tasks, dead, audit, events"))?;
    let known = if of == "dead" { known_of_letters } else { known_of_tasks };
    let Some(q) = q else {
        let source = known(field.as_deref().unwrap_or_default()).ok_or_else(|| {
            Problem::field("field", "one of name, queue, worker; of dead, task or queue")
        })?;
        let items = pages.index.read(move |index| values(index, source, &prefix)).await?;
        return Ok(Json(Suggestions { at: 0, length: 0, items }));
    };
    let completion = filter::complete(&q, cursor.unwrap_or(usize::MAX), fields);
    let items = match completion.expected {
        Expected::One(texts) => texts.into_iter().take(MOST).collect(),
        Expected::Value { field, beginning, .. } => match known(field) {
            Some(source) => {
                let values = pages.index.read(move |index| values(index, source, &beginning));
                values.await?.iter().map(|value| filter::quoted(value)).collect()
            }
            None => Vec::new(),
        },
    };
    Ok(Json(Suggestions { at: completion.span.at, length: completion.span.length, items }))
}

fn fields(of: &str) -> Option<&'static Fields> {
    match of {
        "tasks" => Some(&select::FIELDS),
        "dead" => Some(Letters::fields()),
        "audit" => Some(&acts::FIELDS),
        "events" => Some(&events::filter::FIELDS),
        _ => None,
    }
}

/// Where the index has the values of a field in one place: who reads them, of which field.
type Source = (fn(&Connection, &'static str) -> Result<Vec<String>, IndexError>, &'static str);

fn known_of_tasks(field: &str) -> Option<Source> {
    let known = ["name", "queue", "worker"].into_iter().find(|known| *known == field)?;
    Some((index::tasks::words, known))
}

fn known_of_letters(field: &str) -> Option<Source> {
    let known = ["task", "queue"].into_iter().find(|known| *known == field)?;
    Some((index::dead::words, known))
}

/// Values that begin so, then those that have it within them.
fn values(
    index: &Connection,
    (words, field): Source,
    part: &str,
) -> Result<Vec<String>, IndexError> {
    let part = part.to_lowercase();
    let has = |text: &String| text.to_lowercase().find(&part);
    let mut found: Vec<_> =
        words(index, field)?.into_iter().filter_map(|text| Some((has(&text)? > 0, text))).collect();
    found.sort();
    found.truncate(MOST);
    Ok(found.into_iter().map(|(_, text)| text).collect())
}
