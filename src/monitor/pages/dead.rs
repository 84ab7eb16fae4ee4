//! Dead letters: what was given up, whole, and what became of it.
//!
//! The list is the index's; the message of a letter is read from the archive, which looking does not
//! change.

use super::super::access::Person;
use super::super::change::{Micros, micros, micros_in};
use super::super::http::Pages;
use super::super::index::IndexError;
use super::super::index::dead::{self, DeadRow, Totals};
use super::super::index::select::letters::condition;
use super::super::operations::Source;
use super::acts::{self, Act};
use super::bulk::Many;
use super::frame::{Facts, Frame, Place};
use super::shown::{self, Html, UNKNOWN};
use super::task::Fact;
use super::trouble::Trouble;
use super::{Answer, Asking, page};
use crate::archive::{AttemptRecord, DeadLetter, Filter, State as Became};
use askama::Template;
use axum::extract::{Path, Query, State as Given};
use rusqlite::Connection;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::SystemTime;

/// A page of the list has so many rows.
const ROWS: usize = 50;

/// What matches is counted up to this.
const COUNTED: usize = 100_000;

/// What the address asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "dead.html")]
struct List {
    frame: Frame,
    q: String,
    problem: Option<String>,
    status: String,
    acts: Vec<Act>,
    many: Option<Many>,
    rows: Vec<Row>,
    here: String,
    is_first: bool,
    older: Option<String>,
    nothing: &'static str,
}

#[derive(Template)]
#[template(path = "letter.html")]
struct One {
    frame: Frame,
    row: Row,
    acts: Vec<Act>,
    error: Option<String>,
    facts: Vec<Fact>,
    args: Option<String>,
    attempts: Vec<Attempt>,
}

struct Row {
    href: String,
    offset: i64,
    reason: String,
    name: String,
    what: String,
    error: Option<String>,
    queue: String,
    retries: String,
    size: String,
    when: Html,
    became: Html,
}

struct Attempt {
    number: u32,
    run: String,
    error: String,
    place: String,
    when: Html,
}

/// What the index says.
struct Found {
    facts: Facts,
    rows: Vec<DeadRow>,
    older: Option<i64>,
    matched: usize,
    totals: Totals,
}

/// `GET /dead?q=…&before=…`
pub(super) async fn show(
    Given(pages): Given<Pages>,
    person: Person,
    asked: Asking<Asked>,
) -> Answer {
    let Query(asked) = asked?;
    let time = pages.clock.now();
    let (filter, problem) = match Filter::parse(&asked.q, time) {
        Ok(filter) => (Some(filter), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let before = asked.before;
    let look = move |index: &Connection| find(index, filter.as_ref(), before, time);
    let found = pages.index.read(look).await?;
    let now = micros(time);
    page(&List {
        frame: Frame::new(&pages, Place::Dead, &found.facts, now),
        status: status(&found, asked.before),
        nothing: nothing(&found, problem.is_some()),
        problem: problem.as_deref().map(shown::plain),
        acts: acts::allowed(&person, possible(&found.rows)),
        many: Many::of(&person, Source::Dead, &asked.q, &shown::count(found.matched as i64)),
        rows: found.rows.iter().map(|row| Row::new(row, now)).collect(),
        here: address(&asked.q, None),
        is_first: asked.before.is_none(),
        older: found.older.map(|older| address(&asked.q, Some(older))),
        q: shown::plain(&asked.q),
    })
}

fn find(
    index: &Connection,
    filter: Option<&Filter>,
    before: Option<i64>,
    now: SystemTime,
) -> Result<Found, IndexError> {
    let (facts, totals) = (Facts::read(index, micros(now))?, dead::totals(index)?);
    let Some(filter) = filter else {
        return Ok(Found { facts, rows: Vec::new(), older: None, matched: 0, totals });
    };
    let (condition, parameters) = condition(filter, now);
    let matched = dead::count(index, (&condition, parameters.clone()), COUNTED)?;
    let (rows, older) = dead::list(index, (&condition, parameters), before, ROWS)?;
    Ok(Found { facts, rows, older, matched, totals })
}

/// `GET /dead/{offset}`
pub(super) async fn one(
    Given(pages): Given<Pages>,
    person: Person,
    Path(offset): Path<u64>,
) -> Answer {
    let now = micros(pages.clock.now());
    let asked = pages.index.read(move |index| {
        Ok((Facts::read(index, now)?, dead::one(index, offset.try_into().unwrap_or(i64::MAX))?))
    });
    let (facts, row) = asked.await?;
    let row = row.ok_or(Trouble::Missing("dead letter"))?;
    let found = pages.archive.letters(BTreeSet::from([offset])).await;
    let found = found.map_err(|error| Trouble::Away(error.to_string()))?;
    let letter = found.first().ok_or(Trouble::Missing("dead letter"))?;
    page(&One {
        frame: Frame::new(&pages, Place::Dead, &facts, now),
        acts: acts::allowed(&person, possible([&row])),
        error: letter.error.as_deref().map(shown::plain),
        facts: facts_of(letter, &row.became(), now),
        args: letter.argsrepr.as_deref().map(shown::plain),
        attempts: letter.attempts.iter().rev().map(Attempt::new).collect(),
        row: Row::new(&row, now),
    })
}

/// What can be done with those of these letters that are open.
fn possible<'a>(rows: impl IntoIterator<Item = &'a DeadRow>) -> Vec<Act> {
    let open = rows.into_iter().filter(|row| row.became() == Became::Open);
    let offsets: Vec<_> = open.filter_map(|row| u64::try_from(row.offset).ok()).collect();
    match offsets.is_empty() {
        true => Vec::new(),
        false => vec![Act::requeue(&offsets), Act::discard(&offsets)],
    }
}

fn status(found: &Found, before: Option<i64>) -> String {
    let rows = found.rows.len() as i64;
    let is_whole = before.is_none() && found.older.is_none();
    let rows = match before {
        None if is_whole => String::new(),
        None => format!("newest {} of ", shown::count(rows)),
        Some(_) => format!("{} older of ", shown::count(rows)),
    };
    let more = if found.matched == COUNTED { "at least " } else { "" };
    let matched = shown::counted(found.matched as i64, "letter", "letters");
    let (open, kept) = (shown::count(found.totals.open), shown::count(found.totals.kept));
    format!("{rows}{more}{matched} · {open} open of {kept} kept")
}

fn nothing(found: &Found, is_wrong: bool) -> &'static str {
    match found.totals.kept {
        _ if is_wrong => "This filter cannot be read.",
        0 => "Nothing was given up.",
        _ => "No dead letter matches.",
    }
}

fn address(q: &str, before: Option<i64>) -> String {
    let q = q.trim();
    let mut parts = Vec::new();
    if !q.is_empty() {
        parts.push(format!("q={}", shown::in_address(q)));
    }
    parts.extend(before.map(|before| format!("before={before}")));
    if parts.is_empty() { "/dead".to_owned() } else { format!("/dead?{}", parts.join("&")) }
}

fn facts_of(letter: &DeadLetter, state: &Became, now: Micros) -> Vec<Fact> {
    let text = |text: Option<&str>| Html::text(&shown::or_unknown(text));
    let id = letter.id.as_ref().map(|id| id.as_str());
    let to_task = |id: &str| Html::link(&format!("/tasks/{}", shown::in_address(id)), id);
    let to_queue =
        |queue: &str| Html::link(&format!("/queues/{}", shown::in_address(queue)), queue);
    vec![
        Fact::new("Task", shown::some(id, to_task)),
        Fact::new("Reason", Html::text(letter.reason.as_str())),
        Fact::new("Given up", shown::some(letter.dead_at.map(micros), shown::full)),
        Fact::new("By", text(letter.worker.as_deref().or(Some("the broker")))),
        Fact::new("Queue", shown::some(letter.queue.as_deref(), to_queue)),
        Fact::new("Exchange", text(letter.exchange.as_deref())),
        Fact::new("Routing key", text(Some(letter.routing_key.as_str()))),
        Fact::new("Retries", Html::text(&letter.retries.to_string())),
        Fact::new("Size", Html::text(&shown::size(letter.size))),
        Fact::new("Offset", Html::text(&letter.offset.to_string())),
        Fact::new("Became", became(state, now)),
    ]
}

fn became(state: &Became, now: Micros) -> Html {
    let word = state.as_str();
    match state.deed() {
        None => Html::text(word),
        Some(deed) => {
            let by = shown::escaped(&deed.by);
            Html::safe(format!("{word} {} by {by}", shown::ago(micros(deed.at), now)))
        }
    }
}

impl Row {
    fn new(row: &DeadRow, now: Micros) -> Self {
        Self {
            href: format!("/dead/{}", row.offset),
            offset: row.offset,
            reason: shown::line(&row.reason),
            name: shown::line(row.task.as_deref().unwrap_or("(no task named)")),
            what: shown::line(row.args.as_deref().unwrap_or_default()),
            error: row.error.as_deref().map(shown::line),
            queue: row.queue.as_deref().map_or(UNKNOWN.to_owned(), shown::line),
            retries: row.retries.to_string(),
            size: shown::size(usize::try_from(row.size).unwrap_or_default()),
            when: shown::some(row.at, |at| shown::ago(at, now)),
            became: became(&row.became(), now),
        }
    }
}

impl Attempt {
    fn new(record: &AttemptRecord) -> Self {
        let took = micros_in(record.took);
        Self {
            number: record.number,
            error: shown::plain(&record.error),
            place: shown::plain(&record.worker),
            run: shown::took(took),
            when: shown::full(micros(record.at)),
        }
    }
}
