//! Schedules, as the scheduler that leads tells of them, and one of them with its last runs.

use super::super::access::Person;
use super::super::change::{Micros, micros};
use super::super::http::Pages;
use super::super::index::{self, IndexError, TaskRow};
use super::super::schedules::Known;
use super::super::settings::Role;
use super::acts::{self, Act};
use super::frame::{Facts, Frame, Place};
use super::shown::{self, Html};
use super::task::Fact;
use super::trouble::Trouble;
use super::{Answer, page};
use crate::clock::parse_iso;
use crate::control::leader::{Detail, PastRun, RunCounts, ScheduleReport};
use crate::control::{Pause, Standbys};
use askama::Template;
use axum::extract::{Path, State as Given};
use rusqlite::Connection;
use std::collections::HashMap;

/// The last runs of so many schedules are looked for among the tasks.
const LOOKED_UP: usize = 200;

/// A run that is due for longer than this is late.
const LATE: Micros = 10_000_000;

#[derive(Template)]
#[template(path = "schedules.html")]
struct List {
    frame: Frame,
    /// Who leads.
    status: String,
    /// Why nothing is known.
    silent: Option<String>,
    schedules: Vec<Schedule>,
}

#[derive(Template)]
#[template(path = "schedule.html")]
struct One {
    frame: Frame,
    name: String,
    /// Why nothing is known.
    silent: Option<String>,
    mark: Html,
    pause: Option<String>,
    edit: Option<String>,
    /// Who wrote that, and what its file says.
    edited: String,
    /// Where it is changed, for those who may.
    change: Option<String>,
    acts: Vec<Act>,
    facts: Vec<Fact>,
    past: Vec<Run>,
}

/// A schedule as lists show it.
struct Schedule {
    href: String,
    name: String,
    words: String,
    task: String,
    next: Html,
    last: Html,
    sent: String,
    trouble: String,
    mark: Html,
    pause: Option<String>,
}

/// A run that was due.
struct Run {
    due: Html,
    task: Html,
    state: Html,
    took: String,
}

/// `GET /schedules`
pub(super) async fn show(Given(pages): Given<Pages>) -> Answer {
    let now = micros(pages.clock.now());
    let known = pages.schedules.all().await;
    let ids = known.iter().flat_map(|known| known.report.schedules.values());
    let ids = ids.filter_map(|report| report.last_id.clone()).take(LOOKED_UP).collect();
    let found = pages.index.read(move |index| Ok((Facts::read(index, now)?, tasks(index, ids)?)));
    let (facts, tasks) = found.await?;
    let (status, silent, schedules) = match &known {
        Ok(known) => {
            let row = |(name, report): (&String, &ScheduleReport)| {
                Schedule::new(name, report, &tasks, now)
            };
            (status(known, now), None, known.report.schedules.iter().map(row).collect())
        }
        Err(silent) => (String::new(), Some(silent.to_string()), Vec::new()),
    };
    let frame = Frame::new(&pages, Place::Schedules, &facts, now);
    page(&List { frame, status, silent, schedules })
}

/// `GET /schedules/{name}`
pub(super) async fn one(
    Given(pages): Given<Pages>,
    person: Person,
    Path(name): Path<String>,
) -> Answer {
    let now = micros(pages.clock.now());
    let known = pages.schedules.one(&name).await;
    let past = known.iter().flatten().flat_map(|detail| &detail.past);
    let ids = past.map(|run| run.id.clone()).collect();
    let found = pages.index.read(move |index| Ok((Facts::read(index, now)?, tasks(index, ids)?)));
    let (facts, tasks) = found.await?;
    let frame = Frame::new(&pages, Place::Schedules, &facts, now);
    let shown = match known {
        Ok(None) => return Err(Trouble::Missing("schedule")),
        Ok(Some(detail)) => {
            let report = &detail.report;
            One {
                frame,
                mark: mark(report, now),
                pause: report.paused.as_ref().map(|pause| shown::pause(pause, now)),
                edited: edited(report, now),
                change: (person.role >= Role::Operator)
                    .then(|| format!("/schedules/{}/edit", shown::in_address(&name))),
                edit: report.edit.as_ref().map(|edit| shown::plain(&lines(edit))),
                acts: acts::allowed(&person, Act::on_schedule(&name, report)),
                facts: facts_of(&detail, &tasks, now),
                past: detail.past.iter().map(|run| Run::new(run, &tasks, now)).collect(),
                name: shown::line(&name),
                silent: None,
            }
        }
        Err(silent) => One {
            frame,
            name: shown::line(&name),
            silent: Some(silent.to_string()),
            mark: Html::default(),
            pause: None,
            edit: None,
            edited: String::new(),
            change: None,
            acts: Vec::new(),
            facts: Vec::new(),
            past: Vec::new(),
        },
    };
    page(&shown)
}

type Tasks = HashMap<String, TaskRow>;

/// Those of these tasks that were told of.
fn tasks(index: &Connection, ids: Vec<String>) -> Result<Tasks, IndexError> {
    let mut found = Tasks::new();
    for id in ids {
        if let Some((task, _)) = index::tasks::one(index, &id)? {
            found.insert(id, task);
        }
    }
    Ok(found)
}

/// Who leads, since when, and who stands by.
fn status(known: &Known, now: Micros) -> String {
    let report = &known.report;
    let since = time(Some(&report.since))
        .map_or(String::new(), |since| format!(", for {}", shown::took(now - since)));
    let leader = shown::plain(&report.leader);
    format!("{leader} leads{since}; {}", in_line(&known.standbys, now))
}

/// Who stands by, where, and for how long.
fn in_line(standbys: &Standbys, now: Micros) -> String {
    let named = standbys.named.iter().map(|it| {
        let since = time(Some(&it.since))
            .map_or(String::new(), |since| format!(" for {}", shown::took(now - since)));
        let on = match it.name.contains(&it.host) {
            true => String::new(),
            false => format!(" on {}", shown::plain(&it.host)),
        };
        format!("{} stands by{on}{since}", shown::plain(&it.name))
    });
    let silent = match standbys.silent {
        0 => None,
        silent => Some(format!("{silent} more without an answer")),
    };
    let all: Vec<_> = named.chain(silent).collect();
    if all.is_empty() { "nobody stands by".to_owned() } else { all.join("; ") }
}

fn time(iso: Option<&String>) -> Option<Micros> {
    iso.and_then(|iso| parse_iso(iso)).map(micros)
}

fn mark(report: &ScheduleReport, now: Micros) -> Html {
    let is_late = time(report.next.as_ref()).is_some_and(|next| next + LATE < now);
    match (&report.paused, report.is_off) {
        (_, true) => shown::mark("unknown", "off"),
        (Some(_), _) => shown::mark("late", "paused"),
        (None, _) if is_late => shown::mark("late", "late"),
        (None, _) if report.edit.is_some() => shown::mark("up", "on, edited"),
        (None, _) => shown::mark("up", "on"),
    }
}

/// Who has changed a schedule, and when it is due by its file.
fn edited(report: &ScheduleReport, now: Micros) -> String {
    let by = report.edited.as_ref().and_then(|edited| {
        let (by, at) = (edited.by.clone(), parse_iso(&edited.at)?);
        Some(format!(", {}", shown::pause(&Pause { by, at, reason: String::new() }, now)))
    });
    let file = report.in_file.as_ref();
    let file = file.map(|words| format!("; by its file it is due {}", shown::line(words)));
    by.unwrap_or_default() + &file.unwrap_or_default()
}

/// An edit as lines of a file.
fn lines(edit: &serde_json::Value) -> String {
    let lines = toml::to_string(edit).unwrap_or_else(|_| edit.to_string());
    lines.trim().replace('\n', ", ")
}

fn when(iso: Option<&String>, now: Micros) -> Html {
    shown::some(time(iso), |at| shown::ago(at, now))
}

/// What became of runs that were not sent.
fn trouble(runs: RunCounts) -> String {
    let parts = [(runs.failed, "failed"), (runs.missed, "missed"), (runs.skipped, "skipped")];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    let parts: Vec<_> = parts.map(|(number, word)| format!("{number} {word}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// The last run: when it was due, and what came of its task.
fn last(report: &ScheduleReport, tasks: &Tasks, now: Micros) -> Html {
    let Some(id) = &report.last_id else { return when(report.last.as_ref(), now) };
    let state =
        tasks.get(id).map_or(String::new(), |task| format!(" {}", shown::state(task.state)));
    let link = format!("/tasks/{}", shown::in_address(id));
    let due = when(report.last.as_ref(), now);
    Html::safe(format!("{due}{state} {}", Html::link(&link, "task")))
}

fn facts_of(detail: &Detail, tasks: &Tasks, now: Micros) -> Vec<Fact> {
    let text = |text: &str| Html::text(&shown::line(text));
    let maybe = |it: &Option<String>| it.as_deref().map_or_else(Html::unknown, text);
    let report = &detail.report;
    let running = report.running.as_ref().map_or_else(Html::unknown, |id| {
        Html::link(&format!("/tasks/{}", shown::in_address(id)), id)
    });
    let task = Html::link(
        &super::tasks::address(&format!("name:{}", crate::filter::quoted(&report.task)), None),
        &shown::line(&report.task),
    );
    vec![
        Fact::new("When", text(&report.words)),
        Fact::new("Next", when(report.next.as_ref(), now)),
        Fact::new("Last", last(report, tasks, now)),
        Fact::new("Task", task),
        Fact::new("Arguments", text(&serde_json::json!(detail.args).to_string())),
        Fact::new("Keyword arguments", text(&serde_json::json!(detail.kwargs).to_string())),
        Fact::new("Sent since its start", text(&shown::count(number(report.runs.sent)))),
        Fact::new("Not sent", text(&trouble(report.runs))),
        Fact::new("Running", running),
        Fact::new("Overlap", text(&detail.overlap)),
        Fact::new("Missed runs", text(&detail.missed)),
        Fact::new("Expires after", maybe(&detail.expires)),
        Fact::new("Jitter", maybe(&detail.jitter)),
    ]
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Schedule {
    fn new(name: &str, report: &ScheduleReport, tasks: &Tasks, now: Micros) -> Self {
        Self {
            href: format!("/schedules/{}", shown::in_address(name)),
            name: shown::line(name),
            words: shown::line(&report.words),
            task: shown::line(&report.task),
            next: when(report.next.as_ref(), now),
            last: last(report, tasks, now),
            sent: shown::count(number(report.runs.sent)),
            trouble: trouble(report.runs),
            mark: mark(report, now),
            pause: report.paused.as_ref().map(|pause| shown::pause(pause, now)),
        }
    }
}

impl Run {
    fn new(run: &PastRun, tasks: &Tasks, now: Micros) -> Self {
        let task = tasks.get(&run.id);
        let link = format!("/tasks/{}", shown::in_address(&run.id));
        Self {
            due: when(Some(&run.due), now),
            task: if task.is_some() { Html::link(&link, &run.id) } else { Html::text(&run.id) },
            state: task.map_or_else(|| Html::text("not told of"), |task| shown::state(task.state)),
            took: shown::some_took(task.and_then(|task| task.run)),
        }
    }
}
