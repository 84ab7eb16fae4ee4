//! Workflows between a real Celery and us: sent by either side, with steps on both.

use super::{call, math};
use crate::rig::{Celery, PATIENCE, Process, Rig, Running, config};
use celeriac::canvas::{Canvas, chain, group};
use celeriac::client::ResultError;
use celeriac::config::Config;
use celeriac::protocol::{Signature, TaskState};
use celeriac::publisher::Serializer;
use celeriac::topology::{QueueKind, QueueTable, RouteSettings};
use serde_json::json;

/// Tasks `math.*` are ours, in queue `rust`; tasks `py.*` are Celery's, in queue `py`.
pub(super) const APP: &str = r#"
import os
from celery import Celery, chain, chord, group

app = Celery("app", broker=os.environ["AMQP_URL"], backend="rpc://")
app.conf.task_default_queue = "py"
app.conf.task_routes = {"math.*": {"queue": "rust"}, "celery.*map": {"queue": "rust"}, "echo": {"queue": "rust"}, "celery.accumulate": {"queue": "rust"}}
app.conf.worker_send_task_events = False

def ours(name):
    def never(*args):
        raise AssertionError("runs elsewhere")
    return app.task(name=name)(never)

add, total, fail = ours("math.add"), ours("math.sum"), ours("math.fail")

@app.task(name="py.add")
def pyadd(*numbers):
    return sum(numbers)

@app.task(name="py.replace", bind=True)
def pyreplace(self, number):
    raise self.replace(pyadd.s(number, 100))

@app.task(name="py.answer", bind=True)
def pyanswer(self, *numbers):
    steps = [pyadd.s(number) for number in numbers]
    steps[-1].set(reply_to=self.request.reply_to)
    raise self.replace(chain(steps))

@app.task(name="py.fail")
def pyfail(*args):
    raise ValueError("not in Python")
"#;

const SEND: &str = r#"
from app import *

def value(name, canvas):
    print("value", name, canvas.apply_async().get(timeout=50), flush=True)

def failure(name, canvas):
    result = canvas.apply_async()
    try:
        result.get(timeout=50)
    except Exception as error:
        print("failure", name, type(error).__name__, error, flush=True)

value("chain", chain(add.s(1, 2), add.s(10), add.s(100)))
value("group", group(add.s(n, n) for n in range(4)))
value("link", add.s(1, 2).set(link=[add.s(1), add.si(9, 9)]))
value("chunks", add.chunks(zip(range(5), range(5)), 2))
value("map", total.map([[1, 2], [3, 4]]))
value("starmap", add.starmap([(1, 2), (3, 4)]))
value("ending in a group", chain(add.s(1, 1), group(add.s(1), add.s(2))))
value("there and back", chain(add.s(1, 2), pyadd.s(10), add.s(100), pyadd.s(1000)))
value("immutable", chain(pyadd.s(1, 2), add.si(5, 5), pyadd.s(1)))
value("replaced", chain(pyreplace.s(5), add.s(1)))
lost = pyreplace.delay(5)
for n in range(2):
    pyadd.delay(n).get(timeout=50)
print("replaced at the end", lost.state, flush=True)
failure("in Rust", chain(pyadd.s(1, 2), fail.s(), pyadd.s(1)))
failure("in Python", chain(add.s(1, 2), pyfail.s(), add.s(1)))
print("done", flush=True)
"#;

/// A queue that Celery declares in the same way.
pub(super) fn shared(rig: &Rig) -> Config {
    let mut config = config(&rig.url(), QueueKind::Classic);
    let table = QueueTable {
        kind: Some(QueueKind::Classic),
        dead_letter: Some(false),
        ..QueueTable::default()
    };
    config.queues.insert("rust", table);
    config.worker.queues = vec!["rust".to_owned()];
    // What Celery's own routes say is not in its messages.
    let route = RouteSettings { queue: Some("py".to_owned()), ..RouteSettings::default() };
    config.routes.0.push(("py.*".to_owned(), route));
    // Celery takes no MessagePack unless it is told to.
    config.publisher.serializer = Serializer::Json;
    config
}

async fn both(rig: &Rig, celery: &Celery) -> (Running, Process) {
    let arguments = ["worker", "--pool=solo", "--loglevel=INFO", "-Q", "py"];
    let mut worker = celery.celery(APP, &arguments, &rig.url(), rig.folder());
    let running = Running::with(shared(rig), math()).await;
    worker.until("ready.").await;
    (running, worker)
}

#[tokio::test]
async fn celery_sends_every_form_to_us_and_reads_the_results() {
    let Some(celery) = Celery::find() else { return };
    let rig = Rig::start().await;
    let (running, _worker) = both(&rig, &celery).await;
    let mut producer = celery.run(SEND, &rig.url(), rig.folder());
    for line in [
        "value chain 113",
        "value group [0, 2, 4, 6]",
        "value link 3",
        "value chunks [[0, 2], [4, 6], [8]]",
        "value map [3, 7]",
        "value starmap [3, 7]",
        "value ending in a group [3, 4]",
        "value there and back 1113",
        "value immutable 11",
        "value replaced 106",
        "replaced at the end PENDING",
        "failure in Rust ValueError no",
        "failure in Python ValueError not in Python",
        "done",
    ] {
        producer.until(line).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn we_send_workflows_whose_steps_are_on_both_sides() {
    let Some(celery) = Celery::find() else { return };
    let rig = Rig::start().await;
    let (running, _worker) = both(&rig, &celery).await;
    let ours = |number: i64| Signature::call("math.add", &(number,)).unwrap().queue("rust");
    let theirs =
        |number: i64| Canvas::from(Signature::call("py.add", &(number,)).unwrap().queue("py"));
    let client = running.app.client();
    let value = async |canvas: Canvas| {
        let handle = client.apply::<serde_json::Value>(canvas).await.unwrap();
        handle.timeout(PATIENCE).await
    };
    let there_and_back = chain([ours(1).into(), theirs(10), ours(100).into(), theirs(1000)]);
    assert_eq!(value(there_and_back).await.unwrap(), json!(1111));
    let side_by_side = group([ours(1).into(), theirs(2), chain([theirs(3), ours(4).into()])]);
    assert_eq!(value(side_by_side).await.unwrap(), json!([1, 2, 7]));
    let fail = Signature::new("py.fail").queue("py");
    let failing = chain([ours(1).into(), fail.into(), Canvas::from(ours(1))]);
    let error = value(failing).await.unwrap_err();
    let ResultError::Failed { exception, .. } = error else { panic!("{error}") };
    assert_eq!(
        (exception.kind.as_str(), exception.text().as_str()),
        ("ValueError", "not in Python")
    );
    let unfit = call("math.add", ("x",));
    let Canvas::Task(unfit) = unfit else { unreachable!() };
    assert!(value(unfit.queue("rust").into()).await.is_err());
    running.stop().await;
}

/// Celery sends what replaces a task with its own worker's address. Whoever waits for the task itself
/// hears of it only if the task passes the caller's address on; steps after it have theirs.
#[tokio::test]
async fn what_replaces_a_task_in_python_answers_where_it_is_told_to() {
    let Some(celery) = Celery::find() else { return };
    let rig = Rig::start().await;
    let (running, _worker) = both(&rig, &celery).await;
    let client = running.app.client();
    let value = async |canvas: Canvas| {
        let handle = client.apply::<serde_json::Value>(canvas).await.unwrap();
        handle.timeout(PATIENCE).await.unwrap()
    };
    let ours = Canvas::from(Signature::call("math.add", &(1,)).unwrap().queue("rust"));
    assert_eq!(value(chain([call("py.replace", (5,)), ours])).await, json!(106));
    for (numbers, expected) in [(&[7][..], 7), (&[5, 100], 105)] {
        assert_eq!(value(call("py.answer", numbers)).await, json!(expected));
    }
    let lost = client.apply::<i64>(call("py.replace", (5,))).await.unwrap();
    // The worker takes one task after the other: the second of these runs after what replaced it.
    for _ in 0..2 {
        assert_eq!(value(call("py.add", (1,))).await, json!(1));
    }
    assert_eq!(lost.members::<i64>()[0].state().await.unwrap(), TaskState::Pending);
    running.stop().await;
}
