//! One task: its life, its attempts, what it was called with, and what it belongs to.

use super::super::access::Person;
use super::super::change::{Micros, micros};
use super::super::http::Pages;
use super::super::index::failures::FailureRow;
use super::super::index::workflows::Group;
use super::super::index::{self, AttemptRow, IndexError, TaskRow};
use super::super::settings::Role;
use super::super::state::State;
use super::acts::{self, Act};
use super::frame::{Facts, Frame, Place};
use super::shown::{self, Html};
use super::tasks::address;
use super::trouble::Trouble;
use super::workflows::{DRAWN, Drawn, Groups, progress};
use super::{Answer, draw, page};
use askama::Template;
use axum::extract::{Path, State as Given};
use rusqlite::Connection;
use std::collections::BTreeSet;

/// Longer values are folded, in bytes.
const FOLDED: usize = 1_000;

/// So many groups are counted of a workflow, and so many members of a group are drawn.
const GROUPS: usize = 50;
const MEMBERS: usize = 50;

#[derive(Template)]
#[template(path = "task.html")]
struct Page {
    frame: Frame,
    name: String,
    id: String,
    mark: Html,
    verdict: Html,
    acts: Vec<Act>,
    /// Where it is run again otherwise, for who may.
    again: Option<String>,
    timeline: Html,
    error: Option<String>,
    times: Vec<Fact>,
    attempts: Vec<Attempt>,
    values: Vec<Fact>,
    facts: Vec<Fact>,
    workflow: Option<Drawn>,
    /// The group that it is a member of, where nothing sent them that is known.
    group: Option<Drawn>,
}

/// A term and what is known of it.
pub(super) struct Fact {
    pub(super) term: &'static str,
    pub(super) value: Html,
}

struct Attempt {
    no: i64,
    mark: Html,
    run: String,
    place: String,
    when: Html,
    error: Option<String>,
    traceback: Option<String>,
    size: String,
    is_open: bool,
}

/// What the index says.
struct Found {
    facts: Facts,
    task: TaskRow,
    attempts: Vec<AttemptRow>,
    /// It and what has the same root, the oldest first.
    workflow: Vec<TaskRow>,
    /// How far the groups are that are in it, and its own with its members.
    groups: Groups,
    group: Option<(Group, Vec<TaskRow>)>,
    failure: Option<FailureRow>,
    /// Whether its message is in the archive, to be run again.
    is_archived: bool,
}

/// `GET /tasks/{id}`
pub(super) async fn show(
    Given(pages): Given<Pages>,
    person: Person,
    Path(id): Path<String>,
) -> Answer {
    let now = micros(pages.clock.now());
    let found = pages.index.read(move |connection| find(connection, &id, now)).await?;
    let found = found.ok_or(Trouble::Missing("task"))?;
    let task = &found.task;
    let is_bad = task.state != State::Success;
    // The newest attempt stands below, with the same error.
    let is_told = found.attempts.last().is_some_and(|last| last.attempt.error == task.error);
    page(&Page {
        frame: Frame::new(&pages, Place::Tasks, &found.facts, now),
        name: shown::line(task.name.as_deref().unwrap_or("(name not told)")),
        id: shown::plain(&task.id),
        mark: shown::state(task.state),
        acts: acts::allowed(&person, possible(task, found.is_archived)),
        again: again(&person, task, found.is_archived),
        verdict: verdict(task, &found.attempts, now),
        timeline: timeline(task, &found.attempts, now),
        error: task.error.as_deref().filter(|_| is_bad && !is_told).map(shown::plain),
        times: times(task, now),
        attempts: found.attempts.iter().rev().enumerate().map(Attempt::new).collect(),
        values: values(task),
        facts: facts(task, &found, now),
        workflow: Drawn::new(
            &found.workflow,
            &found.groups,
            task.root.as_deref().unwrap_or(&task.id),
            &task.id,
        ),
        // Below a parent it stands in the workflow.
        group: found
            .group
            .as_ref()
            .filter(|_| task.parent.is_none())
            .map(|(group, members)| Drawn::group(group, members, &task.id)),
    })
}

fn again(person: &Person, task: &TaskRow, is_archived: bool) -> Option<String> {
    let has_ended = !task.state.is_open() && task.state != State::Success;
    let may = is_archived && has_ended && person.role >= Role::Operator;
    may.then(|| format!("/tasks/{}/again", shown::in_address(&task.id)))
}

/// What can be done with a task.
fn possible(task: &TaskRow, is_archived: bool) -> Vec<Act> {
    match task.state {
        State::Started => vec![Act::terminate(&task.id)],
        state if state.is_open() => vec![Act::on_task("Revoke", &task.id, "revoke")],
        State::Success => Vec::new(),
        state => {
            let again = is_archived.then(|| Act::on_task("Run again", &task.id, "retry"));
            let is_open = state == State::Failure && task.resolved.is_none();
            let resolve = is_open.then(|| Act::on_task("Resolve", &task.id, "resolve"));
            again.into_iter().chain(resolve).collect()
        }
    }
}

fn find(connection: &Connection, id: &str, now: Micros) -> Result<Option<Found>, IndexError> {
    let Some((task, attempts)) = index::tasks::one(connection, id)? else { return Ok(None) };
    let root = task.root.as_deref().unwrap_or(&task.id);
    let workflow = index::workflows::tasks(connection, root, DRAWN)?;
    let ids: BTreeSet<_> = workflow.iter().filter_map(|task| task.group.clone()).collect();
    let groups = ids.into_iter().take(GROUPS).map(|id| {
        let group = index::workflows::group(connection, id)?;
        Ok((group.id, group.counts))
    });
    let groups = groups.collect::<Result<Groups, IndexError>>()?;
    let group = match task.group.clone() {
        Some(id) => {
            let members = index::workflows::members(connection, &id, MEMBERS)?;
            Some((index::workflows::group(connection, id)?, members))
        }
        None => None,
    };
    let failure =
        task.failure.map(|id| index::failures::failure(connection, id)).transpose()?.flatten();
    let is_archived = index::dead::has(connection, id)?;
    let facts = Facts::read(connection, now)?;
    Ok(Some(Found { facts, task, attempts, workflow, groups, group, failure, is_archived }))
}

/// What there is to say beside the state.
fn verdict(task: &TaskRow, attempts: &[AttemptRow], now: Micros) -> Html {
    let since = |at: Option<Micros>| at.map(|at| shown::took((now - at).max(0)));
    let text = match task.state {
        State::Started => since(task.started).map(|it| format!("for {it}")),
        State::Scheduled => return shown::some(task.eta, |eta| shown::ago(eta, now)),
        state if state.is_open() => since(Some(task.changed)).map(|it| format!("for {it}")),
        _ if attempts.len() > 1 => Some(format!("after {} attempts", attempts.len())),
        _ => None,
    };
    text.map_or_else(Html::default, |text| Html::text(&text))
}

fn timeline(task: &TaskRow, attempts: &[AttemptRow], now: Micros) -> Html {
    let until = match task.ended {
        Some(ended) => ended,
        None if matches!(task.state, State::Started) => now,
        None => task.changed,
    };
    draw::timeline(task.sent, task.received, attempts, until)
}

fn times(task: &TaskRow, now: Micros) -> Vec<Fact> {
    let full = |at: Option<Micros>| shown::some(at, shown::full);
    let mut times = vec![
        Fact::new("Sent", full(task.sent)),
        Fact::new("Received", full(task.received)),
        Fact::new("Started", full(task.started)),
        Fact::new("Ended", full(task.ended)),
        Fact::new("Wait", Html::text(&shown::some_took(task.wait))),
        Fact::new("Run", Html::text(&shown::some_took(task.run))),
    ];
    times.extend(task.eta.map(|at| Fact::new("Not before", shown::full(at))));
    times.extend(task.expires.map(|at| Fact::new("Expires", shown::full(at))));
    times.push(Fact::new("Last told", shown::ago(task.changed, now)));
    times
}

fn values(task: &TaskRow) -> Vec<Fact> {
    vec![
        Fact::new("Positional", value(task.args.as_deref())),
        Fact::new("Named", value(task.kwargs.as_deref())),
        Fact::new("Result", value(task.result.as_deref())),
    ]
}

/// A value as Python shows it, folded when it is long.
fn value(text: Option<&str>) -> Html {
    let Some(text) = text else { return Html::safe("<p class=\"soft\">–</p>".to_owned()) };
    let shown = format!("<pre class=\"value\" tabindex=\"0\">{}</pre>", shown::escaped(text));
    Html::safe(if text.len() <= FOLDED {
        shown
    } else {
        format!("<details><summary>{}</summary>{shown}</details>", shown::size(text.len()))
    })
}

fn facts(task: &TaskRow, found: &Found, now: Micros) -> Vec<Fact> {
    let mut facts = vec![
        Fact::new("Queue", shown::some(task.queue.as_deref(), |it| to("queues", it))),
        Fact::new("Worker", shown::some(task.worker.as_deref(), |it| to("workers", it))),
        Fact::new("Retries", Html::text(&shown::count(task.retries))),
        Fact::new("Lost with a worker", Html::text(&times_over(task.redelivered))),
    ];
    if let Some((group, _)) = &found.group {
        let filter = format!("group:{}", crate::filter::quoted(&group.id));
        let link = Html::link(&address(&filter, None), &progress(group.counts));
        facts.push(Fact::new("Group", link));
    }
    if let Some(failure) = &found.failure {
        let all = shown::counted(failure.count, "failure", "failures");
        let same = Html::link(&address(&format!("sig:{}", failure.id), None), &all);
        facts.push(Fact::new("Same error", same));
    }
    if let Some(name) = &task.name {
        let filter = format!("name:{}", crate::filter::quoted(name));
        facts.push(Fact::new("Same name", Html::link(&address(&filter, None), "all of them")));
    }
    facts.extend(task.resolved.map(|at| Fact::new("Resolved", shown::ago(at, now))));
    facts
}

fn to(pages: &str, name: &str) -> Html {
    Html::link(&format!("/{pages}/{}", shown::in_address(name)), name)
}

fn times_over(number: i64) -> String {
    match number {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        number => format!("{} times", shown::count(number)),
    }
}

impl Fact {
    pub(super) fn new(term: &'static str, value: Html) -> Self {
        Self { term, value }
    }
}

impl Attempt {
    fn new((at, row): (usize, &AttemptRow)) -> Self {
        let it = &row.attempt;
        let ran = it.started.zip(it.ended).map(|(started, ended)| (ended - started).max(0));
        let worker = row.worker.as_deref().map(shown::plain).unwrap_or_default();
        let pid = it.pid.map_or(String::new(), |pid| format!(", pid {pid}"));
        Self {
            no: it.no,
            mark: it.outcome.map_or_else(|| shown::state(State::Started), shown::state),
            run: shown::some_took(ran),
            place: format!("{worker}{pid}"),
            when: shown::some(it.started.or(it.ended), shown::clock),
            error: it.error.as_deref().map(shown::plain),
            size: shown::size(it.traceback.as_ref().map_or(0, String::len)),
            traceback: it.traceback.as_deref().map(shown::plain),
            is_open: at == 0,
        }
    }
}
