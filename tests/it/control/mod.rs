//! Remote control: Celery's programs ask and tell our workers, and ours ask both.

mod hostile;
mod inspect;
mod orders;
mod paused;
mod programs;

use crate::rig::{Celery, Process, Rig, Running, Signal, config};
use celeriac::handler::Registry;
use celeriac::task::TaskOptions;
use celeriac::topology::QueueKind;
use serde_json::Value;
use std::time::Duration;

/// What our worker is called as a node, and Celery's.
const OURS: &str = "rust@test";
const THEIRS: &str = "python@test";

/// A Celery application whose tasks are like ours, with a queue of its own.
const APP: &str = r#"
import os, time
from celery import Celery
from kombu import Queue

app = Celery("app", broker=os.environ["AMQP_URL"], backend="rpc://")
app.conf.update(
    task_default_queue="python",
    task_queues=[Queue("python", routing_key="python"),
                 Queue("default", exchange="", routing_key="default", no_declare=True)],
)

@app.task(name="t.add", rate_limit="600/m")
def add(a, b):
    return a + b

@app.task(name="t.slow", bind=True)
def slow(self, seconds):
    while seconds > 0:
        time.sleep(0.1)
        seconds -= 0.1

def ours(name, *args, **options):
    return app.send_task(name, args=args, queue="default", **options)

def queue_of(node):
    return "default" if node.startswith("rust") else "python"
"#;

/// The tasks of [`APP`], with a queue of our own.
fn registry() -> Registry {
    let mut registry = Registry::new();
    let limited = TaskOptions { rate: Some(10.0), ..TaskOptions::default() };
    registry
        .add_async("t.add", limited, |_, (a, b): (i64, i64)| async move { anyhow::Ok(a + b) })
        .unwrap();
    registry
        .add_async("t.slow", TaskOptions::default(), |_, (seconds,): (f64,)| async move {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            anyhow::Ok(())
        })
        .unwrap();
    registry
        .add_blocking("t.deaf", TaskOptions::default(), |_, (seconds,): (f64,)| {
            std::thread::sleep(Duration::from_secs_f64(seconds));
            anyhow::Ok(())
        })
        .unwrap();
    registry
}

/// A broker with a worker of ours, and programs of Celery's.
struct Stage {
    ours: Running,
    celery: Celery,
    rig: Rig,
}

impl Stage {
    async fn start() -> Option<Self> {
        let celery = Celery::find()?;
        let rig = Rig::start().await;
        std::fs::write(rig.folder().join("app.py"), APP).unwrap();
        let ours = start(&rig, QueueKind::Classic).await;
        let stage = Self { ours, celery, rig };
        stage.until_it_answers().await;
        Some(stage)
    }

    async fn until_it_answers(&self) {
        listens(&self.rig).await;
    }

    /// A worker of Celery's beside ours.
    async fn with_python(&self) -> Process {
        let arguments = [
            "worker",
            "--pool=threads",
            "-c2",
            "-n",
            THEIRS,
            "-l",
            "INFO",
            "--without-gossip",
            "-Q",
            "python",
        ];
        let mut theirs = self.celery.celery(APP, &arguments, &self.rig.url(), self.rig.folder());
        theirs.until("ready.").await;
        theirs
    }

    /// Runs a Python program to its end and gives the JSON on its last line.
    async fn ask(&self, program: &str) -> Value {
        let program = format!("import json\nfrom app import *\n{program}");
        let mut asking = self.celery.run(&program, &self.rig.url(), self.rig.folder());
        let ended = asking.ended(crate::rig::PATIENCE).await;
        let output = asking.output();
        assert!(ended.success(), "{output}");
        serde_json::from_str(output.lines().last().unwrap_or_default())
            .unwrap_or_else(|error| panic!("{error}: {output}"))
    }

    /// Runs `celery ARGUMENTS..` to its end: its exit code and what it printed.
    async fn celery(&self, arguments: &[&str]) -> (i32, String) {
        let mut asking = self.celery.celery(APP, arguments, &self.rig.url(), self.rig.folder());
        let ended = asking.ended(crate::rig::PATIENCE).await;
        (ended.code().unwrap_or(-1), asking.output())
    }

    /// Runs our own command line to its end: its exit code and what it printed.
    async fn celeriac(&self, arguments: &[&str]) -> (i32, String) {
        let url = self.rig.url();
        let arguments = [&["--broker", &url][..], arguments].concat();
        let mut asking = Process::celeriac(&arguments, self.rig.folder());
        let ended = asking.ended(crate::rig::PATIENCE).await;
        (ended.code().unwrap_or(-1), asking.output())
    }

    async fn stop(self) {
        self.ours.stop().await;
    }
}

/// Our worker, with two slots.
async fn start(rig: &Rig, kind: QueueKind) -> Running {
    let mut config = config(&rig.url(), kind);
    config.worker.name = OURS.to_owned();
    config.worker.concurrency = 2.into();
    Running::with(config, registry()).await
}

/// Completes once a worker of ours listens to commands.
async fn listens(rig: &Rig) {
    let queue = format!("{OURS}.celery.pidbox");
    crate::rig::eventually("our worker to listen", async || {
        rig.queue(&queue).await.is_some_and(|queue| queue.consumers == 1)
    })
    .await;
}

async fn stop_python(mut theirs: Process) {
    theirs.signal(Signal::QUIT);
    theirs.ended(crate::rig::PATIENCE).await;
}

/// The types in a value: what a program that reads it depends on.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(number) if number.is_f64() => "float".into(),
        Value::Number(_) => "int".into(),
        Value::String(_) => "text".into(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
    }
}
