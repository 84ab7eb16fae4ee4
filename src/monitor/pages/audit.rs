//! The audit: who did what through a monitor, when, and what came of it.

use super::super::change::{Micros, micros};
use super::super::http::Pages;
use super::super::index::audit::{self, AuditRow};
use super::super::index::select::acts;
use super::frame::{Facts, Frame, Place};
use super::shown::{self, Html};
use super::{Answer, Asking, page};
use crate::filter;
use askama::Template;
use axum::extract::{Query, State as Given};
use serde::Deserialize;
use serde_json::Value;

/// A page has so many rows.
const ROWS: usize = 50;

/// What the address asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    frame: Frame,
    q: String,
    problem: Option<String>,
    status: String,
    rows: Vec<Row>,
    here: String,
    is_first: bool,
    older: Option<String>,
}

/// Something that somebody did.
struct Row {
    id: String,
    mark: Html,
    action: String,
    target: Html,
    with: String,
    by: String,
    said: String,
    when: Html,
}

/// `GET /audit?q=by:ana&before=17`
pub(super) async fn show(Given(pages): Given<Pages>, asked: Asking<Asked>) -> Answer {
    let Query(asked) = asked?;
    let now = micros(pages.clock.now());
    let parsed = filter::parse(&asked.q, &acts::FIELDS);
    let problem = parsed.as_ref().err().map(|error| shown::plain(&error.to_string()));
    let condition = parsed.ok().map(|expr| acts::condition(&expr, pages.clock.now()));
    let before = asked.before;
    let found = pages.index.read(move |connection| {
        let list = condition.map(|(condition, parameters)| {
            audit::list(connection, (&condition, parameters), before, ROWS)
        });
        Ok((Facts::read(connection, now)?, list.transpose()?.unwrap_or_default()))
    });
    let (facts, (rows, older)) = found.await?;
    page(&Page {
        frame: Frame::new(&pages, Place::Audit, &facts, now),
        status: status(rows.len(), before, older),
        problem,
        rows: rows.iter().map(|row| Row::new(row, now)).collect(),
        here: address(&asked.q, None),
        is_first: before.is_none(),
        older: older.map(|older| address(&asked.q, Some(older))),
        q: asked.q,
    })
}

fn status(rows: usize, before: Option<i64>, older: Option<i64>) -> String {
    let rows = rows as i64;
    match (before, older) {
        (None, None) => shown::counted(rows, "act", "acts"),
        (None, Some(_)) => format!("newest {}", shown::count(rows)),
        _ => format!("{} older", shown::count(rows)),
    }
}

fn address(q: &str, before: Option<i64>) -> String {
    let q = (!q.trim().is_empty()).then(|| format!("q={}", shown::in_address(q.trim())));
    let before = before.map(|before| format!("before={before}"));
    let parts: Vec<_> = q.into_iter().chain(before).collect();
    if parts.is_empty() { "/audit".to_owned() } else { format!("/audit?{}", parts.join("&")) }
}

impl Row {
    fn new(row: &AuditRow, now: Micros) -> Self {
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
        let outcome = row.outcome.as_deref().map(json);
        let status = outcome.as_ref().and_then(|it| it["status"].as_str());
        Self {
            id: shown::plain(&row.id),
            mark: mark(status),
            action: shown::line(&row.action),
            target: target(&row.action, &row.target),
            with: with(&json(&row.arguments)),
            by: shown::line(&row.by),
            said: outcome.as_ref().map_or(String::new(), said),
            when: shown::ago(row.at, now),
        }
    }
}

fn mark(status: Option<&str>) -> Html {
    match status {
        Some("done") => shown::mark("success", "done"),
        Some("partial") => shown::mark("retry", "partial"),
        Some("refused") => shown::mark("rejected", "refused"),
        Some("unknown_target") => shown::mark("lost", "unknown target"),
        Some("no_answer") => shown::mark("expired", "no answer"),
        Some(_) => shown::mark("failure", "error"),
        None => shown::mark("lost", "end not told"),
    }
}

/// What was acted upon, as a link where it has a page.
fn target(action: &str, target: &str) -> Html {
    let page = match action {
        "revoke" | "terminate" => "tasks",
        "purge" | "pause" | "resume" => "queues",
        "stop" | "grow" | "shrink" | "autoscale" | "add consumer" | "cancel consumer"
        | "rate limit" | "time limit"
            if target.contains('@') =>
        {
            "workers"
        }
        _ => return Html::text(&shown::line(target)),
    };
    Html::link(&format!("/{page}/{}", shown::in_address(target)), &shown::line(target))
}

/// The words of the call, without what says nothing.
fn with(arguments: &Value) -> String {
    match arguments {
        Value::Object(object) if object.is_empty() => String::new(),
        Value::Null => String::new(),
        arguments => shown::line(&arguments.to_string()),
    }
}

/// What those said who had to do it: those first who did not.
fn said(outcome: &Value) -> String {
    let results = outcome["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    let mut said: Vec<_> = results
        .iter()
        .map(|it| (it["outcome"] == "done", [text(it, "who"), text(it, "detail")].join(" ")))
        .collect();
    said.sort();
    let said: Vec<_> = said.into_iter().map(|(_, said)| said.trim().to_owned()).collect();
    shown::line(&said.join(" · "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_did_not_do_it_is_heard_first() {
        let outcome = json!({"results": [
            {"who": "alpha@web1", "outcome": "done", "detail": "grown"},
            {"who": "beta@web1", "outcome": "refused", "detail": "thread pool"},
        ]});
        assert_eq!(said(&outcome), "beta@web1 thread pool · alpha@web1 grown");
        assert_eq!(said(&json!(null)), "");
        assert_eq!(with(&json!({})), "");
        assert_eq!(address("by:ana since:2d", Some(7)), "/audit?q=by:ana%20since:2d&before=7");
    }
}
