//! What happens now: the last events, the newest first.

use super::super::change::{Micros, micros};
use super::super::http::Pages;
use super::super::index::{self, IndexError};
use super::frame::{Facts, Frame, Place};
use super::shown::{self, Html};
use super::{Answer, Asking, page};
use crate::events::Told;
use crate::events::filter::{About, Filter};
use askama::Template;
use axum::extract::{Query, State as Given};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// So many events are shown.
const ROWS: usize = 100;

/// What the address asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "live.html")]
struct Page {
    frame: Frame,
    q: String,
    problem: Option<String>,
    status: String,
    rows: Vec<Row>,
}

/// An event.
struct Row {
    mark: Html,
    /// The task, or nothing.
    task: Option<(String, String)>,
    note: String,
    is_bad: bool,
    worker: Html,
    when: Html,
}

/// An event that is meant, and what is known of its task.
pub(in super::super) type Meant = (Arc<Told>, About);

/// `GET /live?q=event:task-failed`
pub(super) async fn show(Given(pages): Given<Pages>, asked: Asking<Asked>) -> Answer {
    let Query(asked) = asked?;
    let now = micros(pages.clock.now());
    let (events, left_out) = pages.feed.latest();
    let filter = Filter::parse(&asked.q);
    let problem = filter.as_ref().err().map(|error| shown::plain(&error.to_string()));
    let found = pages.index.read(move |connection| {
        let meant = filter.ok().map(|filter| meant(connection, events, &filter, ROWS));
        Ok((Facts::read(connection, now)?, meant.transpose()?.unwrap_or_default()))
    });
    let (facts, events) = found.await?;
    page(&Page {
        frame: Frame::new(&pages, Place::Live, &facts, now),
        q: asked.q,
        problem,
        status: status(events.len(), left_out),
        rows: events.iter().map(Row::new).collect(),
    })
}

/// Those of `events` that `filter` means, at most `limit`.
///
/// # Errors
/// When the index, which knows the names of tasks, cannot be read.
pub(in super::super) fn meant(
    connection: &Connection,
    events: Vec<Arc<Told>>,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Meant>, IndexError> {
    let mut meant = Vec::new();
    for told in events {
        let about = about(connection, &told)?;
        if filter.means(&told, &about) {
            meant.push((told, about));
        }
        if meant.len() == limit {
            break;
        }
    }
    Ok(meant)
}

/// Only the first events of a task say what it is called.
fn about(connection: &Connection, told: &Told) -> Result<About, IndexError> {
    let said = |field| told.fields.get(field).and_then(Value::as_str).map(str::to_owned);
    let (name, queue) = (said("name"), said("queue"));
    let Some(id) = said("uuid").filter(|_| name.is_none() || queue.is_none()) else {
        return Ok(About { name, queue });
    };
    let (known, from) = index::tasks::names(connection, &id)?;
    Ok(About { name: name.or(known), queue: queue.or(from) })
}

fn status(rows: usize, left_out: u64) -> String {
    let rows = shown::counted(rows as i64, "event", "events");
    match left_out {
        0 => format!("the last {rows}, without heartbeats"),
        left_out => {
            let left_out = shown::count(i64::try_from(left_out).unwrap_or(i64::MAX));
            format!("the last {rows}, without heartbeats; {left_out} came too fast to be shown")
        }
    }
}

impl Row {
    fn new((told, about): &Meant) -> Self {
        let text = |field: &str| told.fields.get(field).and_then(Value::as_str);
        let task = text("uuid").map(|id| {
            let name = about.name.as_deref().unwrap_or("(name not told)");
            (format!("/tasks/{}", shown::in_address(id)), shown::line(name))
        });
        let ran = told.fields.get("runtime").and_then(Value::as_f64);
        let ran = ran.map(|ran| shown::took((ran.clamp(0.0, 1e9) * 1e6) as Micros));
        let error = text("exception");
        Self {
            mark: mark(&told.kind),
            task,
            is_bad: error.is_some(),
            note: error.map(shown::line).or(ran).unwrap_or_default(),
            worker: Html::link(
                &format!("/workers/{}", shown::in_address(&told.hostname)),
                &shown::line(&told.hostname),
            ),
            when: shown::clock((told.timestamp.clamp(0.0, 2e11) * 1e6) as Micros),
        }
    }
}

fn mark(kind: &str) -> Html {
    let (sign, word) = match kind {
        "task-sent" => ("sent", "sent"),
        "task-received" => ("received", "received"),
        "task-started" => ("started", "started"),
        "task-succeeded" => ("success", "succeeded"),
        "task-failed" => ("failure", "failed"),
        "task-retried" => ("retry", "retried"),
        "task-revoked" => ("revoked", "revoked"),
        "task-rejected" => ("rejected", "rejected"),
        "worker-online" => ("up", "online"),
        "worker-offline" => ("offline", "offline"),
        other => return Html::text(&shown::line(other)),
    };
    shown::mark(sign, word)
}
