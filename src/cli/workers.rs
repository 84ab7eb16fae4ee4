//! `celeriac workers`

use super::control::Asked;
use super::exit::{Exit, OrExit, failed};
use super::global::Global;
use super::output::Row;
use super::send;
use crate::broker::Broker;
use crate::clock::to_iso;
use crate::control::{Answers, Arguments as Given, AskError, Caller, Recipients, Reply};
use anyhow::anyhow;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// List the workers that are there: ours and Celery's
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac workers
  celeriac workers -d worker@web1,worker@web2       ends with 3 when one of them is missing
  celeriac workers -o id | xargs -n1 celeriac inspect active -d

`celeriac inspect` asks them more, `celeriac control` tells them what to do.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    asked: Asked,
}

/// One worker.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Worker {
    pub(super) worker: String,
    pub(super) state: &'static str,
    pool: String,
    /// Tasks that run now, and how many could.
    pub(super) running: Option<u64>,
    pub(super) slots: Option<u64>,
    /// Attempts begun since it started.
    started: Option<u64>,
    uptime_s: Option<u64>,
    pub(super) queues: Vec<String>,
    /// What it runs now.
    pub(super) doing: Vec<Doing>,
}

/// A task that a worker runs.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Doing {
    pub(super) id: String,
    pub(super) name: String,
    /// Since when, by the worker's clock.
    #[serde(serialize_with = "iso")]
    pub(super) since: Option<SystemTime>,
}

fn iso<S: Serializer>(time: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
    time.map(to_iso).serialize(to)
}

impl From<&Value> for Doing {
    fn from(active: &Value) -> Self {
        let text = |field: &str| active[field].as_str().unwrap_or_default().to_owned();
        let started = active["time_start"].as_f64();
        let since = started.and_then(|at| Duration::try_from_secs_f64(at).ok());
        let since = since.and_then(|at| SystemTime::UNIX_EPOCH.checked_add(at));
        Self { id: text("id"), name: text("name"), since }
    }
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let app = send::connect(global).await?;
    let asked = &arguments.asked;
    let found = ask(app.broker(), asked.recipients(), asked.timeout).await;
    app.close().await;
    let workers = found.or_exit(Exit::Unreachable)?;
    global.output.rows(&workers)?;
    let up = workers.iter().filter(|worker| worker.state == "up").count();
    match up {
        0 if workers.is_empty() => {
            Err(failed(Exit::NotFound, anyhow!("there is no worker in this virtual host")))
        }
        _ if up == workers.len() => Ok(Exit::Done),
        _ => Ok(Exit::Partly),
    }
}

/// The workers that are there, each asked at most for `patience`.
pub(super) async fn ask(
    broker: &Broker,
    whom: Recipients,
    patience: Duration,
) -> Result<Vec<Worker>, AskError> {
    let mut caller = Caller::open(broker).await?;
    let answered = async {
        let nothing = Given::new;
        let stats = caller.ask("stats", nothing(), whom, patience).await?;
        let there = || Recipients::Named(stats.replies.keys().cloned().collect());
        let active = caller.ask("active", nothing(), there(), patience).await?;
        let queues = caller.ask("active_queues", nothing(), there(), patience).await?;
        Ok(workers(&stats, &active.replies, &queues.replies))
    };
    let workers = answered.await;
    caller.close().await;
    workers
}

fn workers(
    stats: &Answers,
    active: &BTreeMap<String, Reply>,
    queues: &BTreeMap<String, Reply>,
) -> Vec<Worker> {
    let up = stats.replies.iter().map(|(node, stats)| {
        let stats = &stats.value;
        let total = stats["total"].as_object().into_iter().flatten();
        let queues = queues.get(node).and_then(|reply| reply.value.as_array());
        let names = queues.into_iter().flatten().filter_map(|queue| queue["name"].as_str());
        let active = active.get(node).and_then(|reply| reply.value.as_array());
        let pool = stats["pool"]["implementation"].as_str().unwrap_or_default();
        Worker {
            worker: node.clone(),
            state: "up",
            // Celery names a class: `celery.concurrency.prefork:TaskPool`.
            pool: pool.trim_end_matches(":TaskPool").rsplit('.').next().unwrap_or(pool).to_owned(),
            running: active.map(|tasks| tasks.len() as u64),
            slots: stats["pool"]["max-concurrency"].as_u64(),
            started: Some(total.filter_map(|(_, count)| count.as_u64()).sum()),
            uptime_s: stats["uptime"].as_u64(),
            queues: names.map(str::to_owned).collect(),
            doing: active.into_iter().flatten().map(Doing::from).collect(),
        }
    });
    let silent = stats.silent.iter().map(|node| Worker::mute(node, "silent"));
    let absent = stats.absent.iter().map(|node| Worker::mute(node, "absent"));
    let mut all: Vec<_> = up.chain(silent).chain(absent).collect();
    all.sort_by(|one, other| one.worker.cmp(&other.worker));
    all
}

impl Worker {
    /// One that does not answer.
    pub(super) fn mute(node: &str, state: &'static str) -> Self {
        let (pool, queues, doing) = (String::new(), Vec::new(), Vec::new());
        let (running, slots, started, uptime_s) = (None, None, None, None);
        Self {
            worker: node.to_owned(),
            state,
            pool,
            running,
            slots,
            started,
            uptime_s,
            queues,
            doing,
        }
    }
}

impl Row for Worker {
    const COLUMNS: &'static [&'static str] =
        &["worker", "state", "pool", "slots", "started", "up", "queues"];

    fn cells(&self) -> Vec<String> {
        let number = |number: Option<u64>| number.map_or("–".to_owned(), |it| it.to_string());
        let slots = match (self.running, self.slots) {
            (Some(running), Some(slots)) => format!("{running}/{slots}"),
            (running, slots) => number(running.or(slots)),
        };
        vec![
            self.worker.clone(),
            self.state.to_owned(),
            self.pool.clone(),
            slots,
            number(self.started),
            self.uptime_s.map_or("–".to_owned(), |seconds| format!("{seconds}s")),
            self.queues.join(","),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(node: &str, value: Value) -> (String, Reply) {
        (node.to_owned(), Reply { node: node.to_owned(), value })
    }

    #[test]
    fn what_a_worker_runs_has_its_beginning_unless_that_is_no_time() {
        let doing = Doing::from(&json!({ "id": "a", "name": "n", "time_start": 1.5 }));
        assert_eq!(doing.since, Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_500)));
        for odd in [json!(-1.0), json!(1e300), json!("x"), Value::Null] {
            assert_eq!(Doing::from(&json!({ "id": "a", "time_start": odd })).since, None);
        }
    }

    #[test]
    fn a_worker_is_one_line_of_what_it_says() {
        let celery = json!({
            "total": { "a": 2, "b": 3 }, "uptime": 61,
            "pool": { "implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 8 },
        });
        let stats = Answers {
            replies: [said("a@h", celery)].into(),
            silent: ["b@h".to_owned()].into(),
            absent: ["c@h".to_owned()].into(),
        };
        let active = [said("a@h", json!([{}, {}]))].into();
        let queues = [said("a@h", json!([{ "name": "x" }, { "name": "y" }]))].into();
        let cells: Vec<String> =
            workers(&stats, &active, &queues).iter().map(|it| it.cells().join(" ")).collect();
        assert_eq!(
            cells,
            ["a@h up prefork 2/8 5 61s x,y", "b@h silent  – – – ", "c@h absent  – – – "]
        );
    }
}
