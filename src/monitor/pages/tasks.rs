//! The list of tasks: newest first, narrowed by a filter.

use super::super::access::Person;
use super::super::change::{Micros, micros, micros_in};
use super::super::http::Pages;
use super::super::index::select::{FIELDS, Reach, Selection};
use super::super::index::tasks::TaskPage;
use super::super::index::{self, IndexError, TaskRow};
use super::super::operations::Source;
use super::super::state::State;
use super::bulk::Many;
use super::frame::{Facts, Frame, Place};
use super::shown::{self, Html, UNKNOWN};
use super::{Answer, Asking, page};
use crate::filter::{self, Expr};
use askama::Template;
use axum::extract::{Query, State as Given};
use rusqlite::Connection;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

/// A page of the list has so many rows.
const ROWS: usize = 50;

/// So many are counted when it is told what another filter would find.
const COUNTED: usize = 1_000;

/// So many parts of a filter are left out one after the other.
const LEFT_OUT: usize = 6;

/// What the address asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "tasks.html")]
struct Page {
    frame: Frame,
    states: Vec<Chip>,
    views: Vec<View>,
    q: String,
    problem: Option<String>,
    status: String,
    took: String,
    many: Option<Many>,
    rows: Vec<Row>,
    /// The newest of this filter.
    here: String,
    /// All of it as a file.
    export: String,
    is_first: bool,
    older: Option<String>,
    nothing: &'static str,
    hints: Vec<Hint>,
}

/// How many are in a state.
struct Chip {
    href: String,
    mark: Html,
    count: String,
    is_none: bool,
    is_current: bool,
}

/// A filter that has a name.
struct View {
    href: String,
    name: String,
    is_current: bool,
}

/// A row of the list.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) href: String,
    pub(super) mark: Html,
    pub(super) name: String,
    pub(super) what: String,
    pub(super) error: Option<String>,
    pub(super) queue: String,
    pub(super) tries: String,
    pub(super) wait: String,
    pub(super) run: String,
    pub(super) when: Html,
    pub(super) worker: String,
}

/// What would find more.
struct Hint {
    href: String,
    text: String,
}

/// What the index says.
struct Found {
    facts: Facts,
    states: BTreeMap<State, i64>,
    list: TaskPage,
    reach: Reach,
    hints: Vec<Hint>,
}

/// `GET /tasks?q=…&before=…`
pub(super) async fn show(
    Given(pages): Given<Pages>,
    person: Person,
    asked: Asking<Asked>,
) -> Answer {
    let Query(asked) = asked?;
    let (began, now) = (Instant::now(), pages.clock.now());
    let (expr, problem) = match filter::parse(&asked.q, &FIELDS) {
        Ok(expr) => (Some(expr), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let question = Question { now, limit: pages.settings.history.scan_limit, before: asked.before };
    let found = pages.index.read(move |connection| question.ask(connection, expr.as_ref())).await?;
    let took = micros_in(began.elapsed());
    let now = micros(now);
    page(&Page {
        frame: Frame::new(&pages, Place::Tasks, &found.facts, now),
        states: chips(&found.states, &asked.q),
        views: pages.settings.views.iter().map(|view| View::new(view, &asked.q)).collect(),
        status: status(&found, asked.before),
        took: shown::took(took),
        problem: problem.as_deref().map(shown::plain),
        many: many(&person, &asked.q, &found),
        rows: found.list.tasks.iter().map(|task| Row::new(task, now)).collect(),
        here: address(&asked.q, None),
        export: address(&asked.q, None).replacen("/tasks", "/tasks.csv", 1),
        is_first: asked.before.is_none(),
        older: found.list.older.map(|older| address(&asked.q, Some(older))),
        nothing: nothing(&found, problem.is_some()),
        hints: found.hints,
        q: shown::plain(&asked.q),
    })
}

impl View {
    fn new((name, filter): (&String, &String), q: &str) -> Self {
        let is_current = q.trim() == filter.trim();
        let href = address(if is_current { "" } else { filter }, None);
        Self { href, name: shown::line(name), is_current }
    }
}

/// What the index is asked.
struct Question {
    now: SystemTime,
    limit: u32,
    before: Option<i64>,
}

impl Question {
    fn ask(&self, connection: &Connection, expr: Option<&Expr>) -> Result<Found, IndexError> {
        let (list, reach) = match expr {
            Some(expr) => self.list(connection, expr, ROWS)?,
            None => (TaskPage { tasks: Vec::new(), older: None }, Reach::All),
        };
        let hints = match expr {
            Some(expr) if list.tasks.is_empty() => self.hints(connection, expr)?,
            _ => Vec::new(),
        };
        let (facts, states) =
            (Facts::read(connection, micros(self.now))?, index::tasks::states(connection)?);
        Ok(Found { facts, states, list, reach, hints })
    }

    fn list(
        &self,
        connection: &Connection,
        expr: &Expr,
        rows: usize,
    ) -> Result<(TaskPage, Reach), IndexError> {
        let selected = Selection::of(expr, self.now, self.limit);
        let condition = (selected.condition.as_str(), selected.parameters);
        Ok((index::tasks::list(connection, condition, self.before, rows)?, selected.reach))
    }

    /// What the filter would find without one of its parts.
    fn hints(&self, connection: &Connection, expr: &Expr) -> Result<Vec<Hint>, IndexError> {
        let mut hints = Vec::new();
        for (left_out, wider) in wider(expr) {
            let (found, _) = self.list(connection, &wider, COUNTED)?;
            let more = if found.older.is_some() { "more than " } else { "" };
            let number = found.tasks.len() as i64;
            if number > 0 {
                let tasks = shown::counted(number, "task", "tasks");
                let text = format!("{more}{tasks} without {}", shown::plain(&left_out));
                hints.push(Hint { href: address(&wider.to_string(), None), text });
            }
        }
        Ok(hints)
    }
}

/// The filter without each of its parts in turn, and what is left out.
fn wider(expr: &Expr) -> Vec<(String, Expr)> {
    let parts = match expr {
        Expr::And(parts) => parts.as_slice(),
        Expr::Or(_) => return Vec::new(),
        one => std::slice::from_ref(one),
    };
    let without = |at: usize| {
        let rest = parts.iter().enumerate().filter(|(other, _)| *other != at);
        Expr::And(rest.map(|(_, part)| part.clone()).collect())
    };
    let leave_out = |(at, part): (usize, &Expr)| (part.to_string(), without(at));
    parts.iter().enumerate().take(LEFT_OUT).map(leave_out).collect()
}

fn chips(states: &BTreeMap<State, i64>, q: &str) -> Vec<Chip> {
    let chip = |state: State| {
        let filter = format!("state:{}", state.as_str().to_lowercase());
        let is_current = q.trim() == filter;
        let number = states.get(&state).copied().unwrap_or_default();
        Chip {
            href: address(if is_current { "" } else { &filter }, None),
            mark: shown::state(state),
            count: shown::count(number),
            is_none: number == 0,
            is_current,
        }
    };
    State::ALL.into_iter().map(chip).collect()
}

fn status(found: &Found, before: Option<i64>) -> String {
    let (rows, all) = (found.list.tasks.len() as i64, found.states.values().sum());
    let is_whole = before.is_none() && found.list.older.is_none();
    let rows = match (is_whole, before) {
        (true, _) => shown::counted(rows, "task", "tasks"),
        (_, None) => format!("newest {}", shown::count(rows)),
        _ => format!("{} older", shown::count(rows)),
    };
    let reach = match found.reach {
        Reach::All => String::new(),
        Reach::Newest(newest) => format!(" · searched the newest {}", shown::count(newest.into())),
    };
    format!("{rows} of {}{reach}", shown::count(all))
}

/// What can be done with all that match, where somebody has said which.
fn many(person: &Person, q: &str, found: &Found) -> Option<Many> {
    let rows = shown::count(found.list.tasks.len() as i64);
    let count = if found.list.older.is_some() { "that match" } else { &rows };
    Many::of(person, Source::Tasks, q, count).filter(|_| !q.trim().is_empty())
}

fn nothing(found: &Found, is_wrong: bool) -> &'static str {
    match found.states.values().sum::<i64>() {
        _ if is_wrong => "This filter cannot be read.",
        0 => "Nothing has told of a task yet.",
        _ => "No task matches.",
    }
}

/// The address of the list.
pub(super) fn address(q: &str, before: Option<i64>) -> String {
    let q = q.trim();
    let mut parts = Vec::new();
    if !q.is_empty() {
        parts.push(format!("q={}", shown::in_address(q)));
    }
    parts.extend(before.map(|before| format!("before={before}")));
    if parts.is_empty() { "/tasks".to_owned() } else { format!("/tasks?{}", parts.join("&")) }
}

impl Row {
    pub(super) fn new(task: &TaskRow, now: Micros) -> Self {
        let error = task.error.as_deref().filter(|_| task.state != State::Success);
        Self {
            id: shown::plain(&task.id),
            href: format!("/tasks/{}", shown::in_address(&task.id)),
            mark: shown::state(task.state),
            name: shown::line(task.name.as_deref().unwrap_or("(name not told)")),
            what: what(task),
            error: error.map(shown::line),
            queue: shown::or_unknown(task.queue.as_deref()),
            tries: tries(task).map_or(UNKNOWN.to_owned(), shown::count),
            wait: shown::some_took(task.wait),
            run: shown::some_took(task.run),
            when: shown::ago(first_seen(task), now),
            worker: shown::or_unknown(task.worker.as_deref()),
        }
    }
}

/// The arguments, without what says nothing.
fn what(task: &TaskRow) -> String {
    let says = |text: &&str| !matches!(*text, "()" | "[]" | "{}" | "");
    let parts = [task.args.as_deref(), task.kwargs.as_deref()];
    let parts: Vec<_> = parts.into_iter().flatten().filter(says).collect();
    shown::line(&parts.join(" "))
}

/// Which attempt it is at; `None` before the first.
fn tries(task: &TaskRow) -> Option<i64> {
    let began = task.started.is_some() || task.retries > 0;
    began.then_some(task.retries + task.redelivered + 1)
}

fn first_seen(task: &TaskRow) -> Micros {
    task.sent.or(task.received).or(task.started).unwrap_or(task.changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_the_filter() {
        assert_eq!(address(" ", None), "/tasks");
        assert_eq!(
            address("state:failure since:2h", Some(7)),
            "/tasks?q=state:failure%20since:2h&before=7"
        );
        assert_eq!(address("error:\"a&b\"", None), "/tasks?q=error:%22a%26b%22");
    }

    #[test]
    fn an_empty_result_is_widened_by_one_part() {
        let expr = filter::parse("state:failure queue:email", &FIELDS).unwrap();
        let wider: Vec<_> =
            wider(&expr).into_iter().map(|(out, rest)| (out, rest.to_string())).collect();
        let pair = |out: &str, rest: &str| (out.to_owned(), rest.to_owned());
        assert_eq!(
            wider,
            [pair("state:failure", "queue:email"), pair("queue:email", "state:failure")]
        );
    }
}
