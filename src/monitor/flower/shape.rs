//! A task, with the keys and types that Celery's state of events has and Flower shows.

use super::super::change::{Micros, time_of};
use super::super::index::{AttemptRow, TaskRow};
use super::super::state::State;
use crate::clock::to_iso;
use serde::Serialize;

/// A task. What no event tells is null.
#[derive(Debug, Serialize)]
pub(super) struct Task {
    uuid: String,
    name: Option<String>,
    state: &'static str,
    received: Option<f64>,
    sent: Option<f64>,
    started: Option<f64>,
    rejected: Option<f64>,
    succeeded: Option<f64>,
    failed: Option<f64>,
    retried: Option<f64>,
    revoked: Option<f64>,
    args: Option<String>,
    kwargs: Option<String>,
    eta: Option<String>,
    expires: Option<String>,
    retries: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    result: Option<String>,
    exception: Option<String>,
    timestamp: f64,
    runtime: Option<f64>,
    traceback: Option<String>,
    exchange: Option<String>,
    routing_key: Option<String>,
    clock: i64,
    client: Option<String>,
    root: String,
    root_id: String,
    parent: Option<String>,
    parent_id: Option<String>,
    children: Vec<String>,
}

impl Task {
    /// Of what the index has.
    pub(super) fn new(row: TaskRow, attempts: &[AttemptRow], children: Vec<String>) -> Self {
        let ended_as = |states: &[State]| {
            let is_so = states.contains(&row.state);
            row.ended.or(Some(row.changed)).filter(|_| is_so).map(seconds)
        };
        let last = attempts.iter().rev().map(|it| &it.attempt);
        let retried = last.clone().find(|it| it.outcome == Some(State::Retry));
        let traceback = last.clone().find_map(|it| it.traceback.clone());
        let root = row.root.clone().unwrap_or_else(|| row.id.clone());
        Self {
            state: celerys(row.state),
            received: row.received.map(seconds),
            sent: row.sent.map(seconds),
            started: row.started.map(seconds),
            rejected: ended_as(&[State::Rejected]),
            succeeded: ended_as(&[State::Success]),
            failed: ended_as(&[State::Failure]),
            retried: retried.and_then(|it| it.ended).map(seconds),
            revoked: ended_as(&[State::Revoked, State::Expired]),
            eta: row.eta.map(iso),
            expires: row.expires.map(iso),
            retries: row.retries,
            timestamp: seconds(row.changed),
            // Celery tells it of successes only.
            runtime: row.run.filter(|_| row.state == State::Success).map(seconds),
            traceback: traceback.filter(|_| row.error.is_some()),
            exchange: None,
            routing_key: None,
            clock: row.clock,
            client: None,
            root: root.clone(),
            root_id: root,
            parent: row.parent.clone(),
            parent_id: row.parent,
            children,
            uuid: row.id,
            name: row.name,
            args: row.args,
            kwargs: row.kwargs,
            worker: row.worker,
            result: row.result,
            exception: row.error,
        }
    }
}

/// The word that Celery has for a state.
pub(super) fn celerys(state: State) -> &'static str {
    match state {
        State::Sent => "PENDING",
        State::Scheduled => "RECEIVED",
        State::Expired => "REVOKED",
        State::Lost => "STARTED",
        same => same.as_str(),
    }
}

/// The states that Celery has this word for.
pub(super) fn ours(word: &str) -> Vec<State> {
    State::ALL.into_iter().filter(|state| celerys(*state) == word).collect()
}

fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}

fn iso(at: Micros) -> String {
    to_iso(time_of(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_a_word_of_celery() {
        let known = [
            "PENDING", "RECEIVED", "STARTED", "SUCCESS", "FAILURE", "REVOKED", "REJECTED", "RETRY",
        ];
        for state in State::ALL {
            assert!(known.contains(&celerys(state)) && ours(celerys(state)).contains(&state));
        }
        assert!(ours("NONSENSE").is_empty());
    }

    #[test]
    fn an_end_has_the_key_of_its_kind() {
        let ended = TaskRow { ended: Some(2_500_000), ..TaskRow::of(State::Expired) };
        let task = Task::new(ended, &[], Vec::new());
        assert_eq!((task.revoked, task.failed, task.succeeded), (Some(2.5), None, None));
        assert_eq!(task.state, "REVOKED");
    }
}
