//! Chords in Redis whose members run in Celery's workers and in ours.

use super::celery::{APP, shared};
use super::math;
use crate::rig::{Celery, PATIENCE, Process, Rig, Running, Server};
use celeriac::canvas::{Canvas, chain, chord};
use celeriac::client::ResultError;
use celeriac::protocol::Signature;
use celeriac::results::Backend;
use serde_json::json;

const MORE: &str = r#"
app.conf.result_backend = "REDIS"

echo = ours("echo")

@app.task(name="py.sum")
def pysum(numbers):
    return sum(numbers)

@app.task(name="py.replace", bind=True)
def pyreplace(self, number):
    raise self.replace(add.s(number, 100))

@app.task(name="py.grow", bind=True)
def pygrow(self, number):
    self.add_to_chord(add.s(number, 100))
    return number

@app.task(name="py.spread", bind=True)
def pyspread(self, count):
    raise self.replace(group(add.s(n, n) for n in range(count)))
"#;

const SEND: &str = r#"
import time
from app import *

def value(name, canvas):
    print("value", name, canvas.apply_async().get(timeout=50), flush=True)

def failure(name, canvas):
    result = canvas.apply_async()
    try:
        result.get(timeout=50)
    except Exception as error:
        # A client is told of the member first; the body has an error of its own.
        last = app.AsyncResult(result.id)
        while not last.ready():
            time.sleep(0.05)
        print("failure", name, type(error).__name__, "then", type(last.result).__name__, flush=True)

both = lambda: [add.s(1, 1), pyadd.s(2), add.s(3, 3)]
value("ours", chord([add.s(1, 1), add.s(2, 2)], total.s()))
value("body in Rust", chord(both(), total.s()))
value("body in Python", chord(both(), pysum.s()))
value("expanded in Rust", chain(add.s(1, 2), group(add.s(1), pyadd.s(2)), total.s(), pyadd.s(1)))
value("expanded in Python", chain(pyadd.s(1, 2), group(add.s(1), pyadd.s(2)), pysum.s(), add.s(1)))
value("of chords", chord([chord(both(), total.s()), chord(both(), pysum.s()), add.s(1)], total.s()))
value("chain member", chord([chain(add.s(1, 2), pyadd.s(3)), chain(pyadd.s(1), add.s(2))], total.s()))
value("group member", chord([chain(add.s(1, 1), group(add.s(1), add.s(2))), add.s(5, 5)], echo.s()))
value("replace", chain(pyreplace.s(5), pyadd.s(1)))
value("replaced by a group", chain(pyspread.s(3), total.s()))
value("member replaced by a group", chord([pyspread.s(3), add.s(5, 5)], echo.s()))
value("grown by a member", chord([pygrow.s(1), add.s(5, 5)], total.s()))
value("of fifty", chord([add.s(n, n) if n % 2 else pyadd.s(n, n) for n in range(50)], total.s()))
failure("in Rust", chord([add.s(1, 1), fail.s(), pyadd.s(1)], pysum.s()))
failure("in Python", chord([add.s(1, 1), pyfail.s()], total.s()))
failure("and after it", chain(chord([add.s(1, 1), fail.s()], total.s()), add.s(1)))
print("done", flush=True)
"#;

async fn both(rig: &Rig, celery: &Celery, redis: &Server) -> (Running, Process) {
    let app = format!("{APP}{}", MORE.replace("REDIS", &redis.url()));
    let arguments = ["worker", "--pool=solo", "--loglevel=INFO", "-Q", "py"];
    let mut worker = celery.celery(&app, &arguments, &rig.url(), rig.folder());
    let mut config = shared(rig);
    config.results.backend = Backend::Redis;
    config.results.url = redis.url().as_str().into();
    let running = Running::with(config, math()).await;
    worker.until("ready.").await;
    (running, worker)
}

#[tokio::test]
async fn one_chord_has_members_on_both_sides() {
    let Some(celery) = Celery::find() else { return };
    let Some(redis) = Server::redis().await else { return };
    let rig = Rig::start().await;
    let (running, _worker) = both(&rig, &celery, &redis).await;
    let mut producer = celery.run(SEND, &rig.url(), rig.folder());
    for line in [
        "value ours 6",
        "value body in Rust 10",
        "value body in Python 10",
        "value expanded in Rust 10",
        "value expanded in Python 10",
        "value of chords 21",
        "value chain member 9",
        "value group member [[[3, 4], 10]]",
        "value replace 106",
        "value replaced by a group 6",
        "value member replaced by a group [[[0, 2, 4], 10]]",
        "value grown by a member 112",
        "value of fifty 2450",
        "failure in Rust ValueError then ChordError",
        "failure in Python ValueError then ChordError",
        "failure and after it ValueError then ChordError",
        "done",
    ] {
        producer.until(line).await;
    }

    let ours =
        |number: i64| Canvas::from(Signature::call("math.add", &(number,)).unwrap().queue("rust"));
    let theirs = |number: i64| Canvas::from(Signature::call("py.add", &(number,)).unwrap());
    let sum = |name: &str| Signature::new(name);
    let value = async |canvas: Canvas| {
        let handle = running.app.client().apply::<serde_json::Value>(canvas).await.unwrap();
        handle.timeout(PATIENCE).await
    };
    let members = || [ours(1), theirs(2), chain([theirs(3), ours(4)])];
    let here = chord(members(), sum("math.sum").queue("rust"));
    assert_eq!(value(here).await.unwrap(), json!(10));
    let there = chain([chord(members(), sum("py.sum")), ours(5)]);
    assert_eq!(value(there).await.unwrap(), json!(15));
    let failing = chord([ours(1), Signature::new("py.fail").into()], sum("py.sum"));
    let error = value(failing).await.unwrap_err();
    let ResultError::Failed { exception, .. } = error else { panic!("{error}") };
    assert_eq!(exception.kind, "ChordError");
    running.stop().await;
}
