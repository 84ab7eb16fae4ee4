//! Tasks: lists, one, and the names that there are.

use super::super::http::Pages;
use super::super::index::select::{self, Selection};
use super::super::index::{IndexError, TaskRow, tasks};
use super::given::Given;
use super::refusal::Refusal;
use super::shape::{Task, celerys, ours};
use crate::clock::to_iso;
use crate::filter;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use std::time::SystemTime;

/// So many are listed at once, unless fewer are asked for.
const LIMIT: usize = 1_000;

/// So far into a list one can skip, and so many are sorted.
const FAR: usize = 10_000;

/// By what a list can be sorted.
const KEYS: [&str; 4] = ["name", "received", "started", "state"];

/// Which part of a list, in which order.
#[derive(Debug)]
struct Part {
    limit: usize,
    offset: usize,
    /// The key, and whether the greatest come first.
    sort: Option<(String, Order)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Up,
    Down,
}

/// `GET /api/tasks`
pub(super) async fn list(State(pages): State<Pages>, given: Given) -> Result<Response, Refusal> {
    let part = Part::read(&given)?;
    let written = match filter(&given) {
        Ok(Some(written)) => written,
        Ok(None) => return Ok(Json(json!({})).into_response()),
        Err(refusal) => return Err(refusal),
    };
    if let Some(search) = given.text("search")
        && let Err(error) = filter::parse(search, &select::FIELDS)
    {
        let error = Json(json!({ "error": error.to_string() }));
        return Ok((StatusCode::BAD_REQUEST, error).into_response());
    }
    let parsed = filter::parse(&written, &select::FIELDS);
    let expr = parsed.map_err(|error| Refusal::invalid(error.to_string()))?;
    let selection = Selection::of(&expr, pages.clock.now(), pages.settings.history.scan_limit);
    let found = pages.index.read(move |index| {
        let reach = if part.sort.is_some() { FAR } else { part.offset + part.limit };
        let rows = tasks::select(index, &selection, None, reach)?.tasks;
        part.of(rows).into_iter().map(|row| entry(index, row)).collect::<Result<Map<_, _>, _>>()
    });
    Ok(Json(found.await?).into_response())
}

/// `GET /api/task/info/{id}`
pub(super) async fn info(
    State(pages): State<Pages>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let wanted = id.clone();
    let found = pages.index.read(move |index| match tasks::one(index, &wanted)? {
        Some((row, _)) => entry(index, row).map(|(_, task)| Some(task)),
        None => Ok(None),
    });
    found.await?.map(Json).ok_or_else(|| Refusal::unknown("task", &id))
}

/// `GET /api/task/types`
pub(super) async fn types(State(pages): State<Pages>) -> Result<Json<Value>, Refusal> {
    let names = pages.index.read(|index| tasks::words(index, "name")).await?;
    Ok(Json(json!({ "task-types": names })))
}

fn entry(index: &Connection, row: TaskRow) -> Result<(String, Value), IndexError> {
    let attempts = tasks::attempts(index, row.n)?;
    let children = tasks::children(index, &row.id)?;
    let id = row.id.clone();
    let task = Task::new(row, &attempts, children);
    Ok((id, serde_json::to_value(task).unwrap_or_default()))
}

/// What is asked for, in our own language; `None` for what no task is.
fn filter(given: &Given) -> Result<Option<String>, Refusal> {
    let mut parts = Vec::new();
    if let Some(search) = given.text("search") {
        parts.push(format!("({search})"));
    }
    for (parameter, field) in [("taskname", "name"), ("workername", "worker")] {
        if let Some(text) = given.choice(parameter) {
            parts.push(format!("{field}:{}", filter::quoted(text)));
        }
    }
    if let Some(word) = given.choice("state") {
        let states: Vec<_> = ours(word).into_iter().map(|it| it.as_str().to_lowercase()).collect();
        if states.is_empty() {
            return Ok(None);
        }
        parts.push(format!("state:{}", states.join(",")));
    }
    let (from, to) = (time(given, "received_start")?, time(given, "received_end")?);
    parts.extend(from.map(|from| format!("received:{}..", to_iso(from))));
    parts.extend(to.map(|to| format!("received:..{}", to_iso(to))));
    Ok(Some(parts.join(" ")))
}

/// `2026-11-26 06:50`, in the time zone of this machine, as in Flower.
fn time(given: &Given, name: &str) -> Result<Option<SystemTime>, Refusal> {
    let Some(text) = given.text(name) else { return Ok(None) };
    let civil = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M", text);
    let zoned = civil.and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::system()));
    let wrong = "Invalid received_start or received_end, expected format 'YYYY-MM-DD HH:MM'";
    zoned.map(|zoned| Some(zoned.timestamp().into())).map_err(|_| Refusal::invalid(wrong))
}

impl Part {
    fn read(given: &Given) -> Result<Self, Refusal> {
        let limit = given.number("limit")?.unwrap_or(LIMIT);
        let offset = given.number::<i64>("offset")?.unwrap_or(0).max(0);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        if limit > LIMIT {
            let text = format!("limit is at most {LIMIT}; go on with offset");
            return Err(Refusal::invalid(text));
        }
        if offset.saturating_add(limit) > FAR {
            let text =
                format!("only the newest {FAR} are listed here; narrow it, or use /api/v1/tasks");
            return Err(Refusal::invalid(text));
        }
        let sort = given.text("sort_by").map(sorting).transpose()?;
        Ok(Self { limit, offset, sort })
    }

    /// This part of `rows`, which are the newest first.
    fn of(&self, mut rows: Vec<TaskRow>) -> Vec<TaskRow> {
        if let Some((key, order)) = &self.sort {
            rows.sort_by(|a, b| {
                let by = match key.as_str() {
                    "name" => a.name.cmp(&b.name),
                    "state" => celerys(a.state).cmp(celerys(b.state)),
                    "started" => a.started.cmp(&b.started),
                    _ => a.received.cmp(&b.received),
                };
                if *order == Order::Down { by.reverse() } else { by }
            });
        }
        rows.into_iter().skip(self.offset).take(self.limit).collect()
    }
}

fn sorting(text: &str) -> Result<(String, Order), Refusal> {
    let (key, order) = match text.strip_prefix('-') {
        Some(key) => (key, Order::Down),
        None => (text, Order::Up),
    };
    match KEYS.contains(&key) {
        true => Ok((key.to_owned(), order)),
        false => {
            let keys = KEYS.join(", ");
            Err(Refusal::invalid(format!("Invalid sort_by '{text}', expected one of {keys}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::state::State;
    use super::*;

    fn part(sort: &str) -> Part {
        Part { limit: 2, offset: 1, sort: Some(sorting(sort).unwrap()) }
    }

    #[test]
    fn a_list_is_sorted_before_a_part_of_it_is_taken() {
        let row = |name: &str, received| TaskRow {
            name: Some(name.to_owned()),
            received: Some(received),
            ..TaskRow::of(State::Success)
        };
        let rows = || vec![row("b", 3), row("a", 2), row("c", 1)];
        let names = |part: Part| {
            let names = part.of(rows()).into_iter().filter_map(|row| row.name);
            names.collect::<String>()
        };
        assert_eq!(names(part("name")), "bc");
        assert_eq!(names(part("-name")), "ba");
        assert_eq!(names(part("received")), "ab");
        assert_eq!(names(Part { limit: 9, offset: 0, sort: None }), "bac");
        assert!(sorting("uuid").is_err());
    }

    #[test]
    fn what_is_asked_for_is_a_filter_of_ours() {
        let asked = |pairs: &[(&str, &str)]| filter(&Given::of(pairs)).unwrap();
        let (now, newest) = (SystemTime::now(), 1);
        for (pairs, expected) in [
            (&[("taskname", "a b")][..], "name:\"a b\""),
            (
                &[("state", "RECEIVED"), ("workername", "w@h")],
                "worker:w@h state:received,scheduled",
            ),
            (&[("search", "x OR y"), ("taskname", "All")], "(x OR y)"),
        ] {
            let written = asked(pairs).unwrap();
            assert_eq!(written, expected);
            Selection::of(&filter::parse(&written, &select::FIELDS).unwrap(), now, newest);
        }
        assert_eq!(asked(&[("state", "NONSENSE")]), None);
        let times =
            asked(&[("received_start", "2026-11-26 06:50"), ("received_end", "2026-11-27 00:00")]);
        assert!(filter::parse(&times.unwrap(), &select::FIELDS).is_ok());
        assert!(filter(&Given::of(&[("received_end", "tomorrow")])).is_err());
    }
}
