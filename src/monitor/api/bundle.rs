//! `GET /bundle`: what this monitor knows of itself and of everything, for a ticket.
//!
//! No arguments, results, messages of exceptions or tracebacks are in it: what tasks are given is
//! for nobody else. The configuration is masked by whoever started the monitor.

use super::super::access::Admin;
use super::super::change::{Micros, micros, time_of};
use super::super::http::Pages;
use super::super::index::failures::{FailureList, FailureOrder, FailureRow, Listed, Spread};
use super::super::index::{dead, failures, tasks, workers};
use super::super::state::State as TaskState;
use super::{Problem, Worker, about, queue};
use crate::bundle::Bundle;
use crate::clock::to_iso;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// Kinds of failures that are told.
const FAILURES: usize = 100;

/// How far back, in microseconds: a week.
const SINCE: Micros = 7 * 24 * 3600 * 1_000_000;

/// The broker may take so long to be compared.
const PATIENCE: Duration = Duration::from_secs(20);

const ABOUT: &str = "\
What a monitor of Celeriac knows, for whoever helps with it.

about.json      version, how far the events are read, size of the index
config.toml     the configuration: secrets, and what tasks are given, are masked
topology.json   where the broker differs from the configuration
queues.json     queues, as they were seen last
workers.json    workers, by their last heartbeat
states.json     how many tasks and dead letters are in each state
failures.json   which tasks failed with which exceptions in the last week
metrics.txt     what Prometheus is told

There are no arguments, results, messages of exceptions or tracebacks in it. Names of tasks, queues,
workers and of people who paused something are: look through it before others do.
";

/// Failures that are the same, without what they say.
#[derive(Debug, Serialize)]
struct Kind {
    sig: i64,
    exception: String,
    names: Vec<String>,
    count: i64,
    open: i64,
    first: String,
    last: String,
}

/// How many are in each state.
#[derive(Debug, Serialize)]
struct Counts {
    tasks: BTreeMap<&'static str, i64>,
    dead_letters: BTreeMap<String, i64>,
}

/// `GET /bundle`
pub(super) async fn show(State(pages): State<Pages>, Admin(_): Admin) -> Result<Response, Problem> {
    let mut bundle = Bundle::default();
    bundle.text("README.txt", ABOUT);
    bundle.json("about.json", &about(State(pages.clone())).await.0);
    bundle.text("config.toml", pages.configuration.text.as_str());
    bundle.json_or("topology.json", topology(&pages).await);
    bundle.json("queues.json", &queue::list(State(pages.clone())).await.0);
    kept(&pages, &mut bundle).await;
    bundle.text("metrics.txt", metrics(&pages));
    let at = pages.clock.now();
    let packed = tokio::task::spawn_blocking(move || bundle.to_bytes(at)).await;
    let packed = packed.map_err(|error| Problem::unavailable(error.to_string()))?;
    let packed = packed.map_err(|error| Problem::unavailable(error.to_string()))?;
    let disposition = "attachment; filename=\"celeriac-monitor.tar.gz\"";
    let headers =
        [(header::CONTENT_TYPE, "application/gzip"), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, packed).into_response())
}

/// Where the broker differs from the configuration.
async fn topology(pages: &Pages) -> Result<impl Serialize + use<>, String> {
    let compared = pages.broker.differences(&pages.configuration.topology);
    let compared = timeout(PATIENCE, compared).await.map_err(|_| "the broker does not answer");
    compared?.map_err(|error| error.to_string())
}

/// What the index knows.
async fn kept(pages: &Pages, bundle: &mut Bundle) {
    let now = micros(pages.clock.now());
    let wanted = FailureList {
        since: now - SINCE,
        order: FailureOrder::Last,
        listed: Listed::All,
        limit: FAILURES,
    };
    let workers = pages.index.read(workers::all).await;
    let workers = workers.map(|all| all.into_iter().map(Worker::from).collect::<Vec<_>>());
    bundle.json_or("workers.json", workers);
    let counts = pages.index.read(|index| {
        let states: BTreeMap<TaskState, i64> = tasks::states(index)?;
        let tasks = states.into_iter().map(|(state, count)| (state.as_str(), count)).collect();
        Ok(Counts { tasks, dead_letters: dead::states(index)?.into_iter().collect() })
    });
    bundle.json_or("states.json", counts.await);
    let failures = pages.index.read(move |index| failures::failures(index, wanted, now)).await;
    let kinds = failures.map(|all| all.into_iter().map(Kind::from).collect::<Vec<_>>());
    bundle.json_or("failures.json", kinds);
}

fn metrics(pages: &Pages) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(pages.status.clone()));
    let mut told = String::new();
    match text::encode(&mut told, &registry) {
        Ok(()) => told,
        Err(error) => error.to_string(),
    }
}

impl From<(FailureRow, Spread)> for Kind {
    fn from((row, spread): (FailureRow, Spread)) -> Self {
        Self {
            sig: row.id,
            exception: row.kind,
            names: spread.names,
            count: row.count,
            open: row.open,
            first: to_iso(time_of(row.first)),
            last: to_iso(time_of(row.last)),
        }
    }
}
