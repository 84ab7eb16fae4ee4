//! A task, as the API has it.

use super::super::change::{Micros, time_of};
use super::super::index::{AttemptRow, TaskRow};
use super::super::state::State;
use crate::clock::to_iso;
use schemars::JsonSchema;
use serde::Serialize;

/// A task.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Task {
    id: String,
    name: Option<String>,
    state: &'static str,
    queue: Option<String>,
    /// The worker that told of it last.
    worker: Option<String>,
    /// Arguments as Python shows them.
    args: Option<String>,
    kwargs: Option<String>,
    result: Option<String>,
    /// The last failure, as Python shows an exception.
    error: Option<String>,
    retries: i64,
    redelivered: i64,
    eta: Option<String>,
    expires: Option<String>,
    sent: Option<String>,
    received: Option<String>,
    started: Option<String>,
    ended: Option<String>,
    changed: String,
    wait_s: Option<f64>,
    run_s: Option<f64>,
    root_id: String,
    parent_id: Option<String>,
    /// The group that it is a member of, as far as it is told: by Celeriac's workers, not by Celery's.
    group_id: Option<String>,
}

/// A task with all that is known of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TaskWithAttempts {
    #[serde(flatten)]
    task: Task,
    attempts: Vec<Attempt>,
}

/// One execution.
#[derive(Debug, Serialize, JsonSchema)]
struct Attempt {
    n: i64,
    worker: Option<String>,
    pid: Option<i64>,
    started: Option<String>,
    ended: Option<String>,
    /// Null while it runs.
    outcome: Option<&'static str>,
    error: Option<String>,
    traceback: Option<String>,
}

impl From<TaskRow> for Task {
    fn from(row: TaskRow) -> Self {
        Self {
            root_id: row.root.unwrap_or_else(|| row.id.clone()),
            id: row.id,
            name: row.name,
            state: row.state.as_str(),
            queue: row.queue,
            worker: row.worker,
            args: row.args,
            kwargs: row.kwargs,
            result: row.result,
            error: row.error,
            retries: row.retries,
            redelivered: row.redelivered,
            eta: iso(row.eta),
            expires: iso(row.expires),
            sent: iso(row.sent),
            received: iso(row.received),
            started: iso(row.started),
            ended: iso(row.ended),
            changed: to_iso(time_of(row.changed)),
            wait_s: row.wait.map(seconds),
            run_s: row.run.map(seconds),
            parent_id: row.parent,
            group_id: row.group,
        }
    }
}

impl TaskWithAttempts {
    pub(super) fn new(task: TaskRow, attempts: Vec<AttemptRow>) -> Self {
        Self { task: task.into(), attempts: attempts.into_iter().map(Attempt::from).collect() }
    }
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        let AttemptRow { attempt, worker } = row;
        Self {
            n: attempt.no,
            worker,
            pid: attempt.pid,
            started: iso(attempt.started),
            ended: iso(attempt.ended),
            outcome: attempt.outcome.map(State::as_str),
            error: attempt.error,
            traceback: attempt.traceback,
        }
    }
}

fn iso(at: Option<Micros>) -> Option<String> {
    at.map(|at| to_iso(time_of(at)))
}

fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}
