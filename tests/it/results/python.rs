//! Celery reads our results from Redis, we read its, and both have members in one chord.

use super::Store;
use crate::rig::{Celery, PATIENCE, Process, Rig, Running, Signal, add, config};
use celeriac::canvas::Canvas;
use celeriac::client::ResultError;
use celeriac::handler::{Failure, Output, Registry, TaskError};
use celeriac::ids::TaskId;
use celeriac::protocol::{Signature, TaskState};
use celeriac::publisher::SendOptions;
use celeriac::results::Backend;
use celeriac::topology::{QueueKind, QueueTable};

const APP: &str = r#"
import os
from celery import Celery
from kombu import Queue

app = Celery("app", broker=os.environ["AMQP_URL"], backend="{redis}")
app.conf.update(
    accept_content=["json", "msgpack"],
    result_extended=True,
    task_default_queue="python",
    task_queues=[Queue("python", routing_key="python"),
                 Queue("default", exchange="", routing_key="default", no_declare=True)],
)

@app.task(name="py.add")
def add(*numbers):
    return sum(numbers)

@app.task(name="py.sum")
def tsum(numbers):
    return sum(numbers)

@app.task(name="py.fail")
def fail():
    raise ValueError("deliberate")
"#;

/// Everything that a Python program asks of our worker.
const ASK: &str = r#"
import time
from app import app, add, tsum, fail
from celery import chord, group

def rust(name, *args):
    return app.signature(name, args=args).set(queue="default")

result = rust("rs.add", 2, 40).delay()
print("value", result.get(timeout=50), result.state, result.successful(), result.date_done is not None)
failed = rust("rs.fail").delay()
try:
    failed.get(timeout=50)
except ValueError as error:
    print("error", repr(error), failed.state, failed.traceback)
print("meta", result.name, result.args, result.queue, result.retries, result.children)
here, there = tsum.s().set(queue="python"), rust("rs.sum")
mixed = lambda: [rust("rs.add", 1, 2), add.s(3, 4), rust("rs.add", 5, 6), add.s(7, 8)]
print("body here", chord(mixed())(here).get(timeout=50))
print("body there", chord(mixed())(there).get(timeout=50))
nested = chord([group(rust("rs.add", 1, 2), add.s(3, 4)), rust("rs.add", 5, 6)])(there)
print("flat", nested.get(timeout=50))
failing = chord([rust("rs.fail"), add.s(1, 1)])(here)
while not failing.ready():
    time.sleep(0.05)
print("chord", type(failing.result).__name__, failing.result)
known = app.AsyncResult("{id}")
print("known", known.get(timeout=50))
known.forget()
"#;

fn registry() -> Registry {
    let mut registry = Registry::new();
    add(&mut registry, "rs.add", |_, body| {
        Box::pin(async move {
            let numbers: Vec<i64> = body.args().unwrap();
            Ok(Output::new(numbers.into_iter().sum::<i64>()))
        })
    });
    add(&mut registry, "rs.sum", |_, body| {
        Box::pin(async move {
            let (numbers,): (Vec<i64>,) = body.args().unwrap();
            Ok(Output::new(numbers.into_iter().sum::<i64>()))
        })
    });
    add(&mut registry, "rs.fail", |_, _| {
        Box::pin(async {
            let error = TaskError {
                detail: Some("where it was".to_owned()),
                ..TaskError::new("ValueError", "deliberate")
            };
            Err(Failure::Reject(error))
        })
    });
    registry
}

/// A worker of ours and one of Celery's, who share a Redis.
struct Both {
    ours: Running,
    theirs: Process,
    celery: Celery,
    rig: Rig,
    _store: Store,
}

impl Both {
    async fn start() -> Option<Self> {
        let celery = Celery::find()?;
        let store = Store::start(Backend::Redis).await?;
        let rig = Rig::start().await;
        let app = APP.replace("{redis}", &store.url);
        let arguments = ["worker", "--pool=solo", "-Q", "python", "--loglevel=INFO"];
        let mut theirs = celery.celery(&app, &arguments, &rig.url(), rig.folder());
        theirs.until("ready.").await;
        let mut config = config(&rig.url(), QueueKind::Classic);
        store.configure(&mut config);
        config.results.extended = true;
        let foreign = QueueTable { declare: Some(false), ..QueueTable::default() };
        config.queues.insert("python", foreign);
        let ours = Running::with(config, registry()).await;
        Some(Self { ours, theirs, celery, rig, _store: store })
    }

    async fn stop(mut self) {
        self.theirs.signal(Signal::TERM);
        self.theirs.ended(PATIENCE).await;
        self.ours.stop().await;
    }
}

#[tokio::test]
async fn a_python_program_reads_our_results_and_shares_chords_with_us() {
    let Some(both) = Both::start().await else { return };
    let call = both.ours.call::<i64>("rs.add", &(1, 2)).await;
    let id = call.id().to_string();
    assert_eq!(call.timeout(PATIENCE).await.unwrap(), 3);
    let ask = ASK.replace("{id}", &id);
    let mut asking = both.celery.run(&ask, &both.rig.url(), both.rig.folder());
    asking.until("value 42 SUCCESS True True").await;
    asking.until("error ValueError('deliberate') FAILURE where it was").await;
    asking.until("meta rs.add [2, 40] default 0 []").await;
    asking.until("body here 36").await;
    asking.until("body there 36").await;
    asking.until("flat 21").await;
    asking.until("chord ChordError Dependency").await;
    asking.until("known 3").await;
    assert_eq!(asking.ended(PATIENCE).await.code(), Some(0));
    let forgotten = both.ours.app.result::<i64>(TaskId::from(id)).state().await.unwrap();
    assert_eq!(forgotten, TaskState::Pending);
    both.stop().await;
}

#[tokio::test]
async fn our_handle_reads_what_a_celery_worker_stores() {
    let Some(both) = Both::start().await else { return };
    let client = both.ours.app.client();
    let to_python = || SendOptions::default().queue("python");
    let sum = client.call::<i64>("py.add", &(20, 22), &(), to_python()).await.unwrap();
    let id = sum.id().clone();
    assert_eq!(sum.timeout(PATIENCE).await.unwrap(), 42);
    let late = both.ours.app.result::<i64>(id);
    let document = late.latest().await.unwrap().unwrap();
    assert_eq!(document.extra["name"].as_str(), Some("py.add"));
    let failed = client.call::<i64>("py.fail", &(), &(), to_python()).await.unwrap();
    let ResultError::Failed { state, exception, traceback, .. } =
        failed.timeout(PATIENCE).await.unwrap_err()
    else {
        panic!("no failure")
    };
    assert_eq!((state, exception.kind.as_str()), (TaskState::Failure, "ValueError"));
    assert!(traceback.unwrap().contains("deliberate"));
    both.stop().await;
}

#[tokio::test]
async fn our_chord_has_members_at_a_celery_worker() {
    let Some(both) = Both::start().await else { return };
    let call = |task: &str, args: (i64, i64)| Signature::call(task, &args).unwrap();
    let python = |signature: Signature| Canvas::from(signature.queue("python"));
    let header = (0..20).map(|n| match n % 2 {
        0 => Canvas::from(call("rs.add", (n, 1))),
        _ => python(call("py.add", (n, 1))),
    });
    let header: Vec<_> = header.collect();
    let body = Signature::call("py.sum", &()).unwrap();
    let chord = celeriac::canvas::chord(header, python(body));
    let handle = both.ours.app.client().apply::<i64>(chord).await.unwrap();
    assert_eq!(handle.timeout(PATIENCE).await.unwrap(), (0..20).map(|n| n + 1).sum::<i64>());
    both.stop().await;
}
