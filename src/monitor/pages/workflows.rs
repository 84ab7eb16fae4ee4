//! Workflows: the tasks that came of one, how far they are, and how they hang together.

use super::super::change::{Micros, micros};
use super::super::http::Pages;
use super::super::index::TaskRow;
use super::super::index::workflows::{self, Workflow};
use super::super::state::State;
use super::super::tree::{Branch, branches};
use super::frame::{Facts, Frame, Place};
use super::shown::{self, Html};
use super::tasks::address;
use super::{Answer, Asking, page};
use askama::Template;
use axum::extract::{Query, State as Given};
use serde::Deserialize;
use std::fmt::Write;

/// A page has so many rows.
const ROWS: usize = 50;

/// Of a workflow so many tasks are drawn.
pub(super) const DRAWN: usize = 200;

/// Of what goes on side by side so many branches are drawn,
const BRANCHES: usize = 30;

/// and no deeper than this.
const DEEPEST: usize = 12;

/// What the address asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "workflows.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    is_first: bool,
    older: Option<String>,
}

/// A workflow in the list.
struct Row {
    href: String,
    name: String,
    mark: Html,
    ended: i64,
    tasks: i64,
    progress: String,
    bad: String,
    is_bad: bool,
    all: String,
    changed: Html,
}

/// `GET /workflows?before=17`
pub(super) async fn show(Given(pages): Given<Pages>, asked: Asking<Asked>) -> Answer {
    let Query(Asked { before }) = asked?;
    let now = micros(pages.clock.now());
    let found = pages.index.read(move |connection| {
        Ok((Facts::read(connection, now)?, workflows::list(connection, before, ROWS)?))
    });
    let (facts, found) = found.await?;
    page(&Page {
        frame: Frame::new(&pages, Place::Workflows, &facts, now),
        rows: found.workflows.iter().map(|it| Row::new(it, now)).collect(),
        is_first: before.is_none(),
        older: found.older.map(|older| format!("/workflows?before={older}")),
    })
}

impl Row {
    fn new(workflow: &Workflow, now: Micros) -> Self {
        let name = workflow.first.as_ref().and_then(|first| first.name.as_deref());
        Self {
            href: format!("/tasks/{}", shown::in_address(&workflow.root)),
            name: shown::line(name.unwrap_or("(name not told)")),
            mark: match workflow {
                it if it.ended < it.tasks => shown::mark("started", "goes on"),
                it if it.bad > 0 => shown::state(State::Failure),
                _ => shown::state(State::Success),
            },
            ended: workflow.ended,
            tasks: workflow.tasks,
            progress: format!(
                "{} of {}",
                shown::count(workflow.ended),
                shown::count(workflow.tasks)
            ),
            bad: shown::count(workflow.bad),
            is_bad: workflow.bad > 0,
            all: address(&format!("root:{}", crate::filter::quoted(&workflow.root)), None),
            changed: shown::ago(workflow.changed, now),
        }
    }
}

/// What one sees of a workflow on the page of one of its tasks.
pub(super) struct Drawn {
    pub(super) status: String,
    pub(super) all: String,
    pub(super) tree: Html,
}

impl Drawn {
    /// The tasks of the root `root`, on the page of `own`; `None` where there is but one.
    pub(super) fn new(tasks: &[TaskRow], root: &str, own: &str) -> Option<Self> {
        if tasks.len() < 2 {
            return None;
        }
        let ended = tasks.iter().filter(|task| !task.state.is_open()).count() as i64;
        let all = shown::counted(tasks.len() as i64, "task", "tasks");
        let more = if tasks.len() >= DRAWN { "the first " } else { "" };
        let mut tree = String::new();
        for branch in branches(tasks) {
            write_branch(&branch, own, 0, &mut tree);
        }
        Some(Self {
            status: format!("{} of {more}{all} ended", shown::count(ended)),
            all: address(&format!("root:{}", crate::filter::quoted(root)), None),
            tree: Html::safe(tree),
        })
    }
}

fn write_branch(branch: &Branch<'_>, own: &str, depth: usize, out: &mut String) {
    out.push_str("<ol>");
    for (at, task) in branch.tasks.iter().enumerate() {
        out.push_str("<li>");
        write_task(task, own, out);
        if at + 1 == branch.tasks.len() && !branch.forks.is_empty() {
            write_forks(branch, own, depth, out);
        }
        out.push_str("</li>");
    }
    out.push_str("</ol>");
}

fn write_forks(branch: &Branch<'_>, own: &str, depth: usize, out: &mut String) {
    let drawn = if depth < DEEPEST { BRANCHES } else { 0 };
    out.push_str("<ul>");
    for fork in branch.forks.iter().take(drawn) {
        out.push_str("<li>");
        write_branch(fork, own, depth + 1, out);
        out.push_str("</li>");
    }
    if let Some(last) = branch.tasks.last()
        && branch.forks.len() > drawn
    {
        let filter = format!("parent:{}", crate::filter::quoted(&last.id));
        let more =
            shown::counted((branch.forks.len() - drawn) as i64, "branch more", "branches more");
        let _ =
            write!(out, "<li class=\"soft\">{}</li>", Html::link(&address(&filter, None), &more));
    }
    out.push_str("</ul>");
}

fn write_task(task: &TaskRow, own: &str, out: &mut String) {
    let name = shown::line(task.name.as_deref().unwrap_or("(name not told)"));
    let is_own = task.id == own;
    let link = if is_own {
        format!("<b aria-current=\"true\">{}</b>", shown::escaped(&name))
    } else {
        Html::link(&format!("/tasks/{}", shown::in_address(&task.id)), &name).to_string()
    };
    let ran = task.run.map(shown::took).unwrap_or_default();
    let _ = write!(
        out,
        "<span class=\"node\">{} {link} <span class=\"soft\">{ran}</span></span>",
        shown::state(task.state)
    );
}
