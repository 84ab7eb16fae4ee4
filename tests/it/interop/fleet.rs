//! A worker of Celery's and one of ours with the same tasks, and programs that call them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use celeriac::canvas::Canvas;
use celeriac::config::Config;
use celeriac::handler::{Failure, Handler, Output, Registry, TaskContext, TaskError};
use celeriac::protocol::{Body, HeaderValue, Signature, Value};
use celeriac::publisher::Serializer;
use celeriac::results::Backend;
use celeriac::secret::SecretUrl;
use celeriac::task::{RetryPolicy, TaskOptions};
use celeriac::topology::{QueueKind, QueueTable, RouteSettings};
use futures::future::BoxFuture;
use serde_json::json;

use crate::rig::{Celery, PATIENCE, Process, Rig, Running, Server, Signal, config, eventually};

pub(super) const APP: &str = include_str!("app.py");

/// The queue of our worker. That of Celery's is `py`.
pub(super) const RUST: &str = "rust";

/// Both fleets, running.
pub(super) struct Fleets {
    pub(super) ours: Running,
    pub(super) theirs: Process,
    celery: Celery,
    pub(super) rig: Rig,
    pub(super) redis: Server,
}

impl Fleets {
    /// `None` when Celery or Redis is not installed, after saying so.
    pub(super) async fn start() -> Option<Self> {
        let celery = Celery::find()?;
        let redis = Server::redis().await?;
        let rig = Rig::start().await;
        std::fs::write(rig.folder().join("app.py"), APP).unwrap();
        let worker = ["-m", "celery", "-A", "app", "worker", "-c2", "-Q", "py"];
        let worker = [&worker[..], &["--loglevel=INFO", "--without-mingle", "--without-gossip"]];
        let env = [("REDIS_URL", redis.url())];
        let mut theirs = celery.python(&worker.concat(), &env, &rig.url(), rig.folder());
        let ours = Running::with(settings(&rig, &redis, RUST), registry(&redis.url())).await;
        theirs.until("ready.").await;
        Some(Self { ours, theirs, celery, rig, redis })
    }

    /// Another worker of ours, with results through RabbitMQ alone and a queue of its own.
    pub(super) async fn over_rpc(&self, queue: &str) -> Running {
        let mut settings = settings(&self.rig, &self.redis, queue);
        settings.results.backend = Backend::Rpc;
        settings.results.url = SecretUrl::default();
        Running::with(settings, registry(&self.redis.url())).await
    }

    /// Runs a Python program that finds the tasks in its module `app`; those of `py.*` and `rs.*`
    /// go to these queues. Results are in Redis, unless they go `over_rpc`.
    pub(super) fn python(&self, program: &str, arguments: &[&str], queues: Queues<'_>) -> Process {
        let redis = self.redis.url();
        let backend = if queues.over_rpc { "rpc://".to_owned() } else { redis.clone() };
        let (py, rs) = (queues.py.to_owned(), queues.rs.to_owned());
        let env = [("REDIS_URL", redis), ("BACKEND", backend), ("PY", py), ("RS", rs)];
        let arguments = [&["-c", program], arguments].concat();
        self.celery.python(&arguments, &env, &self.rig.url(), self.rig.folder())
    }

    pub(super) async fn stop(mut self) {
        self.theirs.signal(Signal::TERM);
        self.theirs.ended(PATIENCE).await;
        self.ours.stop().await;
    }
}

/// Where a Python program sends tasks, and how it hears of them.
#[derive(Clone, Copy)]
pub(super) struct Queues<'a> {
    py: &'a str,
    rs: &'a str,
    over_rpc: bool,
}

impl Queues<'_> {
    /// Everything to Celery's worker.
    pub(super) const THEIRS: Self = Self { py: "py", rs: "py", over_rpc: false };
    /// To each its own.
    pub(super) const MIXED: Self = Self { py: "py", rs: RUST, over_rpc: false };
    /// Everything to ours.
    pub(super) const OURS: Self = Self { py: RUST, rs: RUST, over_rpc: false };
}

impl<'a> Queues<'a> {
    /// Everything to a worker of ours with results over RabbitMQ.
    pub(super) fn over_rpc(queue: &'a str) -> Self {
        Self { py: queue, rs: queue, over_rpc: true }
    }
}

/// One line of a program, by its name.
pub(super) type Rows = BTreeMap<String, serde_json::Value>;

/// What a program has printed until it said that it was done: a row of JSON in each line.
pub(super) async fn rows(program: &mut Process) -> Rows {
    program.until("that is all").await;
    let output = program.output();
    let lines = output.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            (row["name"].as_str().unwrap().to_owned(), row)
        })
        .collect()
}

/// Declares its queue as Celery does, and routes to Celery's.
pub(super) fn settings(rig: &Rig, redis: &Server, queue: &str) -> Config {
    let mut config = config(&rig.url(), QueueKind::Classic);
    let table = QueueTable {
        kind: Some(QueueKind::Classic),
        dead_letter: Some(false),
        ..QueueTable::default()
    };
    config.queues.insert(queue, table);
    config.worker.queues = vec![queue.to_owned()];
    config.worker.unknown_grace = Duration::ZERO;
    for (tasks, queue) in [("py.*", "py"), ("rs.*", queue)] {
        let route = RouteSettings { queue: Some(queue.to_owned()), ..RouteSettings::default() };
        config.routes.0.push((tasks.to_owned(), route));
    }
    config.publisher.serializer = Serializer::Json;
    config.results.backend = Backend::Redis;
    config.results.url = redis.url().as_str().into();
    config.results.extended = true;
    config.results.track_started = true;
    config
}

type Ended = Result<Output, Failure>;
type Kwargs = BTreeMap<String, Value>;

/// The tasks of `app.py`, in Rust.
pub(super) fn registry(redis: &str) -> Registry {
    let mut registry = Registry::new();
    add(&mut registry, "add", |_, body| Ok(Output::new(sum(body)?)));
    add(&mut registry, "list", |_, body| Ok(Output::new(args(body)?)));
    add(&mut registry, "fail", |_, body| {
        let kwargs: Kwargs = body.kwargs().map_err(unfit)?;
        let text = |name, usual| kwargs.get(name).and_then(Value::as_str).unwrap_or(usual);
        let error = TaskError {
            detail: Some("in Rust".to_owned()),
            ..TaskError::new(text("kind", "ValueError"), text("text", "no"))
        };
        Err(Failure::Reject(error))
    });
    add(&mut registry, "flaky", |cx, body| {
        let kwargs: Kwargs = body.kwargs().map_err(unfit)?;
        let fails = kwargs.get("fails").and_then(Value::as_u64).unwrap_or(1);
        match u64::from(cx.headers.retries) < fails {
            true => Err(Failure::Retry {
                after: Some(Duration::ZERO),
                error: TaskError {
                    detail: Some("in Rust".to_owned()),
                    ..TaskError::new("ValueError", "not yet")
                },
            }),
            false => Ok(Output::new(sum(body)?)),
        }
    });
    add(&mut registry, "replace", |cx, body| {
        let mut kwargs: Kwargs = body.kwargs().map_err(unfit)?;
        let by = kwargs.remove("by").unwrap_or(Value::Nil);
        let by = Signature::from_value(by).map_err(unfit)?;
        cx.replace(Canvas::read(by).map_err(unfit)?)
    });
    let retry = RetryPolicy { max_retries: Some(0), ..RetryPolicy::default() };
    let options = TaskOptions { retry, ..TaskOptions::default() };
    registry.add("rs.sleep", options, Arc::new(Sleep)).unwrap();
    add(&mut registry, "see", |cx, body| {
        let headers = &cx.headers;
        let limits = headers.time_limits;
        let root = headers.root_id.as_ref().unwrap_or(&headers.id);
        Ok(Output::new(json!({
            "args": body.args_json().map_err(unfit)?,
            "kwargs": body.kwargs_json().map_err(unfit)?,
            "id": headers.id.as_str(),
            "task": headers.task,
            "retries": headers.retries,
            "eta": headers.eta.is_some(),
            "expires": headers.expires.is_some(),
            "group": headers.group,
            "root": root.as_str(),
            "parent": headers.parent_id.as_ref().map(|id| id.as_str().to_owned()),
            "limits": [limits.hard, limits.soft],
            "shadow": headers.shadow,
            "stamps": plain(&HeaderValue::Table(headers.stamps.clone())),
            "argsrepr": headers.argsrepr,
            "mine": headers.extra.get("mine").map(plain),
        })))
    });
    let store = redis::Client::open(redis).unwrap();
    crate::rig::add(&mut registry, "rs.stages", move |cx, body| {
        let store = store.clone();
        Box::pin(async move { stages(&store, &cx, &body).await })
    });
    for (name, shows_args) in [("note", true), ("blame", false)] {
        let redis = redis::Client::open(redis).unwrap();
        for fleet in ["py", "rs"] {
            let redis = redis.clone();
            crate::rig::add(&mut registry, &format!("{fleet}.{name}"), move |_, body| {
                let redis = redis.clone();
                Box::pin(async move { record(&redis, &body, shows_args).await })
            });
        }
    }
    registry
}

/// Ends at its time limit.
struct Sleep;

impl Handler for Sleep {
    fn call(&self, _: TaskContext, _: Arc<Body>) -> BoxFuture<'static, Ended> {
        Box::pin(std::future::pending())
    }
}

/// Begins, reports, is told to go on, asks to be tried again, and succeeds then.
async fn stages(redis: &redis::Client, cx: &TaskContext, body: &Body) -> Ended {
    if cx.headers.retries > 0 {
        return Ok(Output::new("done".to_owned()));
    }
    cx.progress.share(0.5, "half");
    let kwargs: Kwargs = body.kwargs().map_err(unfit)?;
    let key = kwargs.get("key").and_then(Value::as_str).unwrap_or_default();
    first_of(redis, key).await;
    let error = TaskError {
        detail: Some("in Rust".to_owned()),
        ..TaskError::new("ValueError", "once more")
    };
    Err(Failure::Retry { after: Some(Duration::from_millis(1500)), error })
}

/// The first entry of a list in Redis, once it has one.
pub(super) async fn first_of(redis: &redis::Client, key: &str) -> String {
    let mut connection = redis.get_multiplexed_async_connection().await.unwrap();
    let mut length = redis::cmd("LLEN");
    length.arg(key);
    eventually(key, async || {
        let mut connection = connection.clone();
        length.query_async::<u64>(&mut connection).await.unwrap() > 0
    })
    .await;
    redis::cmd("LINDEX").arg(key).arg(0).query_async(&mut connection).await.unwrap()
}

/// Notes that it was called, where the program that called it looks.
async fn record(redis: &redis::Client, body: &Body, shows_args: bool) -> Ended {
    let kwargs: Kwargs = body.kwargs().map_err(unfit)?;
    let text = |name| kwargs.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut line = text("label").to_owned();
    if shows_args {
        line +=
            &serde_json::to_string(&body.args_json().map_err(unfit)?).unwrap().replace(',', ", ");
    }
    let mut connection = redis.get_multiplexed_async_connection().await.unwrap();
    let mut push = redis::cmd("RPUSH");
    push.arg(text("key")).arg(line).query_async::<()>(&mut connection).await.unwrap();
    Ok(Output::new(text("label").to_owned()))
}

fn add(
    registry: &mut Registry,
    name: &str,
    run: impl Fn(&TaskContext, &Body) -> Ended + Clone + Send + Sync + 'static,
) {
    for fleet in ["py", "rs"] {
        let run = run.clone();
        crate::rig::add(registry, &format!("{fleet}.{name}"), move |cx, body| {
            let ended = run(&cx, &body);
            Box::pin(async move { ended })
        });
    }
}

fn plain(value: &HeaderValue) -> serde_json::Value {
    match value {
        HeaderValue::Int(number) => json!(number),
        HeaderValue::Text(text) => json!(text),
        HeaderValue::List(items) => items.iter().map(plain).collect(),
        HeaderValue::Table(table) => {
            table.iter().map(|(key, value)| (key.clone(), plain(value))).collect()
        }
        _ => json!(null),
    }
}

fn args(body: &Body) -> Result<Vec<serde_json::Value>, Failure> {
    body.args_json().map_err(unfit)
}

fn sum(body: &Body) -> Result<i64, Failure> {
    fn flat(value: &serde_json::Value) -> i64 {
        let inside = value.as_array().map(|items| items.iter().map(flat).sum());
        inside.or(value.as_i64()).unwrap_or_default()
    }
    Ok(args(body)?.iter().map(flat).sum())
}

fn unfit(error: impl std::fmt::Display) -> Failure {
    Failure::argument(error.to_string())
}
