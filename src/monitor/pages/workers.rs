//! Workers, as they tell of themselves, and one of them with what it has.

use super::super::access::Person;
use super::super::change::{Micros, micros};
use super::super::http::Pages;
use super::super::index::workers::{Presence, WorkerRow};
use super::super::index::{self, IndexError, TaskRow};
use super::super::state::State;
use super::acts::{self, Act};
use super::frame::{Facts, Frame, Place};
use super::shown::{self, Html, UNKNOWN};
use super::task::Fact;
use super::tasks::{Row, address};
use super::trouble::Trouble;
use super::{Answer, page};
use askama::Template;
use axum::extract::{Path, State as Given};
use rusqlite::Connection;
use rusqlite::types::Value;

/// A worker's page shows so many of the tasks that it has, and that it had.
const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "workers.html")]
struct List {
    frame: Frame,
    status: String,
    workers: Vec<Worker>,
}

#[derive(Template)]
#[template(path = "worker.html")]
struct One {
    frame: Frame,
    worker: Worker,
    acts: Vec<Act>,
    facts: Vec<Fact>,
    /// What `held` is called.
    holds: &'static str,
    held: Vec<Row>,
    latest: Vec<Row>,
    all: String,
}

/// A worker as lists show it.
pub(super) struct Worker {
    pub(super) href: String,
    pub(super) name: String,
    pub(super) mark: Html,
    pub(super) active: String,
    pub(super) busy: String,
    pub(super) begun: String,
    pub(super) load: String,
    pub(super) program: String,
    pub(super) dropped: String,
    pub(super) online: Html,
    pub(super) seen: Html,
}

/// `GET /workers`
pub(super) async fn show(Given(pages): Given<Pages>) -> Answer {
    let now = micros(pages.clock.now());
    let found = pages.index.read(move |connection| {
        Ok((Facts::read(connection, now)?, index::workers::all(connection)?))
    });
    let (facts, workers) = found.await?;
    page(&List {
        frame: Frame::new(&pages, Place::Workers, &facts, now),
        status: status(&workers),
        workers: workers.iter().map(|worker| Worker::new(worker, now)).collect(),
    })
}

/// `GET /workers/{name}`
pub(super) async fn one(
    Given(pages): Given<Pages>,
    person: Person,
    Path(name): Path<String>,
) -> Answer {
    let now = micros(pages.clock.now());
    let asked = name.clone();
    let found = pages.index.read(move |connection| find(connection, &asked, now)).await?;
    let (facts, worker, held, latest) = found.ok_or(Trouble::Missing("worker"))?;
    let queues = pages.depths.all().into_iter().filter(|(_, seen)| seen.workers.contains(&name));
    let queues: Vec<_> = queues.map(|(queue, _)| queue).collect();
    page(&One {
        frame: Frame::new(&pages, Place::Workers, &facts, now),
        acts: match worker.presence {
            Presence::Up => acts::allowed(&person, Act::on_worker(&name)),
            _ => Vec::new(),
        },
        facts: facts_of(&worker, &queues, now),
        holds: if worker.presence == Presence::Lost { "What it held" } else { "Running" },
        held: held.iter().map(|task| Row::new(task, now)).collect(),
        latest: latest.iter().map(|task| Row::new(task, now)).collect(),
        all: address(&format!("worker:{}", crate::filter::quoted(&name)), None),
        worker: Worker::new(&worker, now),
    })
}

type Found = (Facts, WorkerRow, Vec<TaskRow>, Vec<TaskRow>);

fn find(connection: &Connection, name: &str, now: Micros) -> Result<Option<Found>, IndexError> {
    let all = index::workers::all(connection)?;
    let Some(worker) = all.into_iter().find(|worker| worker.name == name) else { return Ok(None) };
    let tasks = |condition: &str| {
        let parameters = vec![Value::Text(name.to_owned())];
        Ok::<_, IndexError>(
            index::tasks::list(connection, (condition, parameters), None, ROWS)?.tasks,
        )
    };
    let own = "worker = (SELECT id FROM word WHERE text = ?)";
    let state = if worker.presence == Presence::Lost { State::Lost } else { State::Started };
    let held = tasks(&format!("{own} AND state = {}", state.code()))?;
    let latest = tasks(own)?;
    Ok(Some((Facts::read(connection, now)?, worker, held, latest)))
}

fn status(workers: &[WorkerRow]) -> String {
    let are = |presence| workers.iter().filter(|it| it.presence == presence).count() as i64;
    let count =
        |presence: Presence| format!("{} {}", shown::count(are(presence)), presence.as_str());
    [Presence::Up, Presence::Lost, Presence::Offline].map(count).join(", ")
}

fn facts_of(worker: &WorkerRow, queues: &[String], now: Micros) -> Vec<Fact> {
    let text = |text: String| Html::text(&text);
    let queue = |queue: &String| {
        Html::link(&format!("/queues/{}", shown::in_address(queue)), queue).to_string()
    };
    let queues: Vec<_> = queues.iter().map(queue).collect();
    let queues = if queues.is_empty() { Html::unknown() } else { Html::safe(queues.join(", ")) };
    vec![
        Fact::new("Consumes", queues),
        Fact::new("Running", text(shown::some_count(worker.active))),
        Fact::new("Begun since start", text(shown::some_count(worker.processed))),
        Fact::new("Load of its machine", text(load(worker))),
        Fact::new("Program", text(program(worker))),
        Fact::new("Process", text(worker.pid.map_or(UNKNOWN.to_owned(), |pid| pid.to_string()))),
        Fact::new("Events it lost", text(shown::count(worker.dropped))),
        Fact::new("Started", shown::some(worker.online, |at| shown::ago(at, now))),
        Fact::new("Last heard of", shown::ago(worker.seen, now)),
    ]
}

fn load(worker: &WorkerRow) -> String {
    worker.load.map_or(UNKNOWN.to_owned(), |load| format!("{load:.2}"))
}

fn program(worker: &WorkerRow) -> String {
    let parts = [worker.ident.as_deref(), worker.version.as_deref()];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    shown::or_unknown((!parts.is_empty()).then(|| parts.join(" ")).as_deref())
}

impl Worker {
    pub(super) fn new(worker: &WorkerRow, now: Micros) -> Self {
        let word = worker.presence.as_str();
        Self {
            href: format!("/workers/{}", shown::in_address(&worker.name)),
            name: shown::line(&worker.name),
            mark: shown::mark(word, word),
            active: shown::some_count(worker.active),
            busy: worker.active.map_or(String::new(), |it| format!("{} running", shown::count(it))),
            begun: shown::some_count(worker.processed),
            load: load(worker),
            program: program(worker),
            dropped: shown::count(worker.dropped),
            online: shown::some(worker.online, |at| shown::ago(at, now)),
            seen: shown::ago(worker.seen, now),
        }
    }
}
