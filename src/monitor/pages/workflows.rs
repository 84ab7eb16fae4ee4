//! Workflows: the tasks that came of one, how far they are, and how they hang together.

use super::super::change::{Micros, micros};
use super::super::http::Pages;
use super::super::index::TaskRow;
use super::super::index::workflows::{self, Counts, Group, Workflow};
use super::super::state::State;
use super::super::tree::{Branch, branches};
use super::frame::{Facts, Frame, Place};
use super::shown::{self, Html};
use super::tasks::address;
use super::{Answer, Asking, page};
use askama::Template;
use axum::extract::{Query, State as Given};
use serde::Deserialize;
use std::collections::HashMap;
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

/// How far the groups are that are drawn, by their ids.
pub(super) type Groups = HashMap<String, Counts>;

impl Drawn {
    /// The members of a group, on the page of `own`.
    pub(super) fn group(group: &Group, members: &[TaskRow], own: &str) -> Self {
        let mut tree = String::from("<ul>");
        for task in members {
            tree.push_str("<li>");
            write_task(task, own, &mut tree);
            tree.push_str("</li>");
        }
        tree.push_str("</ul>");
        Self {
            status: progress(group.counts),
            all: address(&format!("group:{}", crate::filter::quoted(&group.id)), None),
            tree: Html::safe(tree),
        }
    }

    /// The tasks of the root `root`, on the page of `own`; `None` where there is but one.
    pub(super) fn new(tasks: &[TaskRow], groups: &Groups, root: &str, own: &str) -> Option<Self> {
        if tasks.len() < 2 {
            return None;
        }
        let ended = tasks.iter().filter(|task| !task.state.is_open()).count() as i64;
        let all = shown::counted(tasks.len() as i64, "task", "tasks");
        let more = if tasks.len() >= DRAWN { "the first " } else { "" };
        let mut tree = String::new();
        for branch in branches(tasks) {
            write_branch(&branch, (groups, own), 0, &mut tree);
        }
        Some(Self {
            status: format!("{} of {more}{all} ended", shown::count(ended)),
            all: address(&format!("root:{}", crate::filter::quoted(root)), None),
            tree: Html::safe(tree),
        })
    }
}

/// How far a group is, in words.
pub(super) fn progress(counts: Counts) -> String {
    let all = shown::counted(counts.tasks, "task", "tasks");
    let bad = if counts.bad > 0 {
        format!(", {} badly", shown::count(counts.bad))
    } else {
        String::new()
    };
    format!("{} of {all} ended{bad}", shown::count(counts.ended))
}

/// What is known of groups, and whose page it is.
type Around<'a> = (&'a Groups, &'a str);

fn write_branch(branch: &Branch<'_>, around: Around<'_>, depth: usize, out: &mut String) {
    out.push_str("<ol>");
    for (at, task) in branch.tasks.iter().enumerate() {
        out.push_str("<li>");
        write_task(task, around.1, out);
        if at + 1 == branch.tasks.len() && !branch.forks.is_empty() {
            write_forks(branch, around, depth, out);
        }
        out.push_str("</li>");
    }
    out.push_str("</ol>");
}

fn write_forks(branch: &Branch<'_>, around: Around<'_>, depth: usize, out: &mut String) {
    let drawn = if depth < DEEPEST { BRANCHES } else { 0 };
    out.push_str("<ul>");
    for (group, forks) in together(branch.forks.iter().take(drawn)) {
        if let Some(group) = group {
            write_group(group, around.0, out);
        }
        for fork in forks {
            out.push_str("<li>");
            write_branch(fork, around, depth + 1, out);
            out.push_str("</li>");
        }
        if group.is_some() {
            out.push_str("</ul></li>");
        }
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

/// The members of a group stand together, where the first of them is.
fn together<'a, 'b>(
    forks: impl Iterator<Item = &'b Branch<'a>>,
) -> Vec<(Option<&'a str>, Vec<&'b Branch<'a>>)>
where
    'a: 'b,
{
    let mut sets: Vec<(Option<&str>, Vec<&Branch<'_>>)> = Vec::new();
    for fork in forks {
        // A chain that is a member says so in its last task.
        let group = fork.tasks.iter().find_map(|task| task.group.as_deref());
        match sets.iter_mut().find(|(known, _)| group.is_some() && *known == group) {
            Some((_, forks)) => forks.push(fork),
            None => sets.push((group, vec![fork])),
        }
    }
    sets
}

/// Begins a group.
fn write_group(group: &str, groups: &Groups, out: &mut String) {
    let filter = format!("group:{}", crate::filter::quoted(group));
    let far = groups.get(group).map_or(String::new(), |counts| progress(*counts));
    let _ = write!(
        out,
        "<li><span class=\"node\">{} <span class=\"soft\">{far}</span></span><ul>",
        Html::link(&address(&filter, None), "group")
    );
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

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, parent: Option<&str>, group: Option<&str>) -> TaskRow {
        let (parent, group) = (parent.map(str::to_owned), group.map(str::to_owned));
        TaskRow {
            id: id.to_owned(),
            name: Some(id.to_owned()),
            parent,
            group,
            ..TaskRow::of(State::Sent)
        }
    }

    #[test]
    fn the_members_of_a_group_stand_together_under_it() {
        let tasks = [
            task("first", None, None),
            task("one", Some("first"), Some("<g>")),
            task("beside", Some("first"), None),
            task("two", Some("first"), None),
            task("two-then", Some("two"), Some("<g>")),
        ];
        let counts = Counts { tasks: 2, ended: 1, bad: 1, changed: 0 };
        let groups = Groups::from([("<g>".to_owned(), counts)]);
        let drawn = Drawn::new(&tasks, &groups, "first", "one").unwrap().tree.to_string();
        assert_eq!(drawn.matches("1 of 2 tasks ended, 1 badly").count(), 1, "{drawn}");
        assert!(!drawn.contains("<g>"), "{drawn}");
        let at = |name: &str| drawn.find(&format!(">{name}<")).unwrap();
        assert!(at("group") < at("one") && at("one") < at("two-then"), "{drawn}");
        assert!(at("two-then") < at("beside"), "a chain is a member as a whole: {drawn}");
        let opened = drawn.matches("<ul>").count();
        assert_eq!(opened, drawn.matches("</ul>").count(), "{drawn}");
    }
}
