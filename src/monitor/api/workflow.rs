//! Workflows, as the API has them.

use super::super::change::time_of;
use super::super::http::Pages;
use super::super::index::workflows::{self, Workflow};
use super::super::index::{self, TaskRow};
use super::{Items, Part, Problem};
use crate::clock::to_iso;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};

/// Of a workflow so many tasks are told at once, and so many groups.
const MOST: usize = 1_000;
const GROUPS: usize = 100;

/// Tasks that came of one another.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Workflow")]
pub(super) struct Progress {
    root_id: String,
    /// Of the root; null where it is not known.
    name: Option<String>,
    /// Tasks that are known, at most 10,000; the root among them.
    tasks: i64,
    ended: i64,
    failed: i64,
    changed: String,
}

/// Which part of the workflows is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// How the tasks of a workflow hang together.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Tree {
    root_id: String,
    /// The oldest first.
    nodes: Vec<Node>,
    /// Which came of which, as far as both are among the nodes.
    edges: Vec<Edge>,
    /// The groups that the nodes are members of.
    groups: Vec<Group>,
    /// Whether there are more tasks than these.
    truncated: bool,
}

/// A task.
#[derive(Debug, Serialize, JsonSchema)]
struct Node {
    id: String,
    name: Option<String>,
    state: &'static str,
    group_id: Option<String>,
}

/// Tasks that belong together, as far as they are known: at most 10,000.
#[derive(Debug, Serialize, JsonSchema)]
struct Group {
    id: String,
    tasks: i64,
    ended: i64,
    failed: i64,
}

/// A task that came of another.
#[derive(Debug, Serialize, JsonSchema)]
struct Edge {
    from: String,
    to: String,
}

/// `GET /workflows`
pub(super) async fn list(
    State(pages): State<Pages>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Items<Progress>>, Problem> {
    let Query(Wanted { limit, cursor }) = wanted?;
    let part = Part { limit, cursor };
    let (limit, before) = (part.limit()?, part.before()?);
    let found = pages.index.read(move |index| workflows::list(index, before, limit)).await?;
    let items = found.workflows.into_iter().map(Progress::from).collect();
    Ok(Json(Items { items, next: found.older.map(|older| older.to_string()) }))
}

/// `GET /tasks/{id}/tree`
pub(super) async fn tree(
    State(pages): State<Pages>,
    Path(id): Path<String>,
) -> Result<Json<Tree>, Problem> {
    let wanted = id.clone();
    let found = pages.index.read(move |index| {
        let Some((task, _)) = index::tasks::one(index, &wanted)? else { return Ok(None) };
        let root = task.root.unwrap_or(task.id);
        let tasks = workflows::tasks(index, &root, MOST)?;
        let ids: BTreeSet<_> = tasks.iter().filter_map(|task| task.group.clone()).collect();
        let groups = ids.into_iter().take(GROUPS).map(|id| workflows::group(index, id));
        let groups = groups.collect::<Result<Vec<_>, _>>()?;
        Ok(Some((tasks, root, groups)))
    });
    match found.await? {
        Some((tasks, root, groups)) => Ok(Json(Tree::new(tasks, root, groups))),
        None => Err(Problem::not_found(format!("nothing was told of a task {id}"))),
    }
}

impl Tree {
    fn new(tasks: Vec<TaskRow>, root_id: String, groups: Vec<workflows::Group>) -> Self {
        let known: HashSet<_> = tasks.iter().map(|task| task.id.as_str()).collect();
        let edge = |task: &TaskRow| {
            let from = task.parent.clone().filter(|parent| known.contains(parent.as_str()))?;
            Some(Edge { from, to: task.id.clone() })
        };
        let edges = tasks.iter().filter_map(edge).collect();
        let truncated = tasks.len() >= MOST;
        let node = |task: TaskRow| Node {
            id: task.id,
            name: task.name,
            state: task.state.as_str(),
            group_id: task.group,
        };
        let group = |it: workflows::Group| Group {
            id: it.id,
            tasks: it.counts.tasks,
            ended: it.counts.ended,
            failed: it.counts.bad,
        };
        let groups = groups.into_iter().map(group).collect();
        Self { root_id, edges, groups, truncated, nodes: tasks.into_iter().map(node).collect() }
    }
}

impl From<Workflow> for Progress {
    fn from(workflow: Workflow) -> Self {
        Self {
            name: workflow.first.and_then(|first| first.name),
            root_id: workflow.root,
            tasks: workflow.tasks,
            ended: workflow.ended,
            failed: workflow.bad,
            changed: to_iso(time_of(workflow.changed)),
        }
    }
}
