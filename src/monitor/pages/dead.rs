//! Dead letters: what was given up, whole, and what became of it.
//!
//! Read from the archive in the broker, which looking does not change, and remembered for a moment:
//! an archive is read from its beginning each time.

use super::super::access::Person;
use super::super::change::{Micros, micros};
use super::super::http::Pages;
use super::acts::{self, Act};
use super::frame::{Facts, Frame, Place};
use super::shown::{self, Html, UNKNOWN};
use super::task::Fact;
use super::trouble::Trouble;
use super::{Answer, Asking, page};
use crate::archive::{ArchiveError, AttemptRecord, DeadLetter, Filter, State as Became};
use askama::Template;
use axum::extract::{Path, Query, State as Given};
use serde::Deserialize;

/// A page of the list has so many rows.
const ROWS: usize = 50;

/// What the address asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    before: Option<u64>,
}

#[derive(Template)]
#[template(path = "dead.html")]
struct List {
    frame: Frame,
    q: String,
    problem: Option<String>,
    status: String,
    acts: Vec<Act>,
    rows: Vec<Row>,
    here: String,
    is_first: bool,
    older: Option<String>,
    nothing: String,
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
    offset: u64,
    reason: &'static str,
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

/// `GET /dead?q=…&before=…`
pub(super) async fn show(
    Given(pages): Given<Pages>,
    person: Person,
    asked: Asking<Asked>,
) -> Answer {
    let Query(asked) = asked?;
    let time = pages.clock.now();
    let now = micros(time);
    let facts = pages.index.read(move |connection| Facts::read(connection, now)).await?;
    let filter = Filter::parse(&asked.q, time);
    let letters = pages.letters.all().await;
    let (found, problem) = match (&filter, &letters) {
        (Ok(filter), Ok(letters)) => {
            let mut found: Vec<&DeadLetter> =
                letters.iter().filter(|letter| filter.matches(letter)).collect();
            found.reverse();
            (found, None)
        }
        (Err(error), _) => (Vec::new(), Some(error.to_string())),
        _ => (Vec::new(), None),
    };
    let older = |letter: &&&DeadLetter| asked.before.is_none_or(|before| letter.offset < before);
    let here: Vec<&DeadLetter> = found.iter().filter(older).take(ROWS + 1).copied().collect();
    let last = here.get(ROWS - 1).filter(|_| here.len() > ROWS).map(|letter| letter.offset);
    page(&List {
        frame: Frame::new(&pages, Place::Dead, &facts, now),
        status: status(found.len(), letters.as_ref().ok().map(|all| all.len())),
        nothing: nothing(problem.is_some(), letters.as_ref().err()),
        problem: problem.as_deref().map(shown::plain),
        acts: acts::allowed(&person, possible(here.iter().take(ROWS).copied())),
        rows: here.iter().take(ROWS).map(|letter| Row::new(letter, now)).collect(),
        here: address(&asked.q, None),
        is_first: asked.before.is_none(),
        older: last.map(|last| address(&asked.q, Some(last))),
        q: shown::plain(&asked.q),
    })
}

/// `GET /dead/{offset}`
pub(super) async fn one(
    Given(pages): Given<Pages>,
    person: Person,
    Path(offset): Path<u64>,
) -> Answer {
    let now = micros(pages.clock.now());
    let facts = pages.index.read(move |connection| Facts::read(connection, now)).await?;
    let letters = pages.letters.all().await.map_err(|error| Trouble::Away(error.to_string()))?;
    let letter = letters.iter().find(|letter| letter.offset == offset);
    let letter = letter.ok_or(Trouble::Missing("dead letter"))?;
    page(&One {
        frame: Frame::new(&pages, Place::Dead, &facts, now),
        row: Row::new(letter, now),
        acts: acts::allowed(&person, possible([letter])),
        error: letter.error.as_deref().map(shown::plain),
        facts: facts_of(letter, now),
        args: letter.argsrepr.as_deref().map(shown::plain),
        attempts: letter.attempts.iter().rev().map(Attempt::new).collect(),
    })
}

/// What can be done with those of these letters that are open.
fn possible<'a>(letters: impl IntoIterator<Item = &'a DeadLetter>) -> Vec<Act> {
    let open = letters.into_iter().filter(|letter| letter.is_open());
    let offsets: Vec<_> = open.map(|letter| letter.offset).collect();
    match offsets.is_empty() {
        true => Vec::new(),
        false => vec![Act::requeue(&offsets), Act::discard(&offsets)],
    }
}

fn status(found: usize, all: Option<usize>) -> String {
    let all = shown::some_count(all.map(|all| all as i64));
    format!("{} of {all} kept", shown::counted(found as i64, "letter", "letters"))
}

fn nothing(is_wrong: bool, error: Option<&ArchiveError>) -> String {
    match error {
        _ if is_wrong => "This filter cannot be read.".to_owned(),
        Some(error) => shown::plain(&error.to_string()),
        None => "No dead letter matches.".to_owned(),
    }
}

fn address(q: &str, before: Option<u64>) -> String {
    let q = q.trim();
    let mut parts = Vec::new();
    if !q.is_empty() {
        parts.push(format!("q={}", shown::in_address(q)));
    }
    parts.extend(before.map(|before| format!("before={before}")));
    if parts.is_empty() { "/dead".to_owned() } else { format!("/dead?{}", parts.join("&")) }
}

fn facts_of(letter: &DeadLetter, now: Micros) -> Vec<Fact> {
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
        Fact::new("Became", became(&letter.state, now)),
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
    fn new(letter: &DeadLetter, now: Micros) -> Self {
        Self {
            href: format!("/dead/{}", letter.offset),
            offset: letter.offset,
            reason: letter.reason.as_str(),
            name: shown::line(letter.task.as_deref().unwrap_or("(no task named)")),
            what: shown::line(letter.argsrepr.as_deref().unwrap_or_default()),
            error: letter.error.as_deref().map(shown::line),
            queue: letter.queue.as_deref().map_or(UNKNOWN.to_owned(), shown::line),
            retries: letter.retries.to_string(),
            size: shown::size(letter.size),
            when: shown::some(letter.dead_at, |at| shown::ago(micros(at), now)),
            became: became(&letter.state, now),
        }
    }
}

impl Attempt {
    fn new(record: &AttemptRecord) -> Self {
        let took = Micros::try_from(record.took.as_micros()).unwrap_or(Micros::MAX);
        Self {
            number: record.number,
            error: shown::plain(&record.error),
            place: shown::plain(&record.worker),
            run: shown::took(took),
            when: shown::full(micros(record.at)),
        }
    }
}
