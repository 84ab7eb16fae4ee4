//! The same calls, run by Celery's worker and by ours: the events must say the same.

use super::monitor::{Monitor, kinds};
use super::telling;
use crate::rig::{Celery, Process, Rig, Running, add};
use celeriac::config::Config;
use celeriac::control::Reach;
use celeriac::events::Told;
use celeriac::handler::{Failure, Output, Registry, TaskError};
use celeriac::ids::TaskId;
use celeriac::publisher::Serializer;
use celeriac::topology::{QueueKind, QueueTable};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const APP: &str = r#"
import os, time
from celery import Celery
from celery.exceptions import Reject

app = Celery("app", broker=os.environ["AMQP_URL"], backend="rpc://")
app.conf.task_default_queue = "py"
app.conf.task_send_sent_event = True
app.conf.task_acks_late = True

@app.task(name="t.add")
def add(a, b):
    return a + b

@app.task(name="t.fail")
def fail():
    raise ValueError("no")

@app.task(name="t.retry", bind=True, max_retries=1)
def retry(self):
    if self.request.retries == 0:
        raise self.retry(exc=ValueError("again"), countdown=0)

@app.task(name="t.reject")
def reject():
    raise Reject("no", requeue=False)

@app.task(name="t.sleep")
def sleep():
    time.sleep(100)
"#;

/// Sends every call to one queue, with ids that name the call.
const SEND: &str = r#"
from app import *

def send(name, *args, **options):
    app.send_task("t." + name, args, queue="QUEUE", task_id="QUEUE-" + options.pop("id", name), **options)

send("add", 1, 2)
send("add", id="named", kwargs={"a": "its", "b": "x" * 2000})
send("fail")
send("retry")
send("reject")
send("unknown")
send("add", 1, 2, id="revoked")
send("add", 1, 2, id="late", countdown=2, expires=1)
send("sleep")
print("sent", flush=True)
"#;

const CALLS: [&str; 9] =
    ["add", "named", "fail", "retry", "reject", "unknown", "revoked", "late", "sleep"];

/// What is as it happens to be.
const CHANCE: [&str; 5] = ["pid", "utcoffset", "runtime", "traceback", "uuid"];

fn ours() -> Registry {
    let mut registry = Registry::new();
    add(&mut registry, "t.add", |_, body| {
        let Ok((a, b)) = body.args::<(i64, i64)>() else {
            let named: BTreeMap<String, String> = body.kwargs().unwrap();
            return Box::pin(async move { Ok(Output::new(named["a"].clone() + &named["b"])) });
        };
        Box::pin(async move { Ok(Output::new(a + b)) })
    });
    add(&mut registry, "t.fail", |_, _| {
        Box::pin(async { Err(Failure::Discard(TaskError::new("ValueError", "no"))) })
    });
    add(&mut registry, "t.retry", |cx, _| {
        let error = TaskError::new("ValueError", "again");
        let after = Some(Duration::ZERO);
        let ended = match cx.headers.retries {
            0 => Err(Failure::Retry { after, error }),
            _ => Ok(Output::none()),
        };
        Box::pin(async { ended })
    });
    add(&mut registry, "t.reject", |_, _| {
        Box::pin(async { Err(Failure::Reject(TaskError::new("Reject", "no"))) })
    });
    add(&mut registry, "t.sleep", |_, _| Box::pin(std::future::pending()));
    registry
}

/// A queue `rust`, which Celery declares in the same way, and events of everything.
fn shared(rig: &Rig) -> Config {
    let mut config = telling(rig);
    let table = QueueTable {
        kind: Some(QueueKind::Classic),
        dead_letter: Some(false),
        ..QueueTable::default()
    };
    config.queues.insert("rust", table);
    config.worker.queues = vec!["rust".to_owned()];
    config.worker.name = "rust@host".to_owned();
    config.worker.unknown_grace = Duration::ZERO;
    config.publisher.serializer = Serializer::Json;
    config
}

fn worker(rig: &Rig, celery: &Celery) -> Process {
    let arguments = ["worker", "-c", "2", "-E", "--loglevel=INFO", "-Q", "py", "-n", "py@host"];
    celery.celery(APP, &arguments, &rig.url(), rig.folder())
}

#[tokio::test]
async fn events_say_what_those_of_celery_say() {
    let Some(celery) = Celery::find() else { return };
    let rig = Rig::start().await;
    let mut monitor = Monitor::start(&rig).await;
    let mut theirs = worker(&rig, &celery);
    let running = Running::with(shared(&rig), ours()).await;
    theirs.until("ready.").await;
    let revoke =
        r#"from app import *; print(app.control.revoke("py-revoked", reply=True, timeout=9))"#;
    celery.run(revoke, &rig.url(), rig.folder()).until("flagged").await;
    running.app.client().revoke("rust-revoked", Reach::NotBegun).await.unwrap();

    for queue in ["py", "rust"] {
        let send = SEND.replace("QUEUE", queue);
        celery.run(&send, &rig.url(), rig.folder()).until("sent").await;
        let sleeping = TaskId::from(format!("{queue}-sleep"));
        monitor
            .until_told("the sleeper to begin", |event| {
                event.kind == "task-started" && event.uuid().as_ref() == Some(&sleeping)
            })
            .await;
        if queue == "py" {
            let stop = r#"from app import *; app.control.revoke("py-sleep", terminate=True)"#;
            celery.run(stop, &rig.url(), rig.folder()).ended(Duration::from_secs(60)).await;
        } else {
            running.app.client().revoke(sleeping.clone(), Reach::Running).await.unwrap();
        }
        let late = TaskId::from(format!("{queue}-late"));
        let mut left = vec![sleeping, late];
        while !left.is_empty() {
            monitor.until("task-revoked").await;
            left.retain(|id| !kinds(&monitor.of(id)).contains(&"task-revoked"));
        }
    }
    theirs.signal(crate::rig::Signal::TERM);
    running.stop().await;
    for name in ["py@host", "rust@host"] {
        let is_last = |event: &Told| event.kind == "worker-offline" && event.hostname == name;
        if !monitor.all().any(is_last) {
            monitor.until_told(name, is_last).await;
        }
    }
    CALLS.iter().for_each(|call| compare_call(&monitor, call));
    compare_workers(&monitor);
    compare_envelopes(&monitor);
}

fn compare_call(monitor: &Monitor, call: &str) {
    let events = |queue: &str| {
        let mut events = monitor.of(&TaskId::from(format!("{queue}-{call}")));
        events.retain(|event| event.kind != "task-sent");
        // Celery tells of a retry when its message may have been received again already.
        events.sort_by(|a, b| a.kind.cmp(&b.kind));
        events
    };
    let (theirs, ours) = (events("py"), events("rust"));
    assert_eq!(kinds(&ours), kinds(&theirs), "{call}");
    assert!(!ours.is_empty(), "{call}");
    for (theirs, ours) in theirs.iter().zip(&ours) {
        let kind = &theirs.kind;
        let (mut fields, mut own) = (theirs.fields.clone(), ours.fields.clone());
        if kind == "task-received" {
            assert_eq!(own.remove("queue"), Some("rust".into()), "{call}");
        }
        // To Celery a task is its own parent once it was retried.
        if fields.get("parent_id").is_some_and(|parent| *parent == fields["uuid"]) {
            fields.insert("parent_id".to_owned(), Value::Null);
        }
        compare_shapes(&fields, &own, &format!("{call}, {kind}"));
        for (name, value) in &fields {
            let (theirs, ours) = (told(value, "py-"), told(&own[name], "rust-"));
            // Celery has words of its own for a task that refused its message.
            let is_refusal = call == "reject" && name == "exception";
            if !CHANCE.contains(&name.as_str()) && !is_refusal {
                assert_eq!(ours, theirs, "{call}, {kind}: {name}");
            }
        }
    }
}

/// A value without what differs because two calls are two calls.
fn told(value: &Value, queue: &str) -> String {
    match value.as_str() {
        Some(text) if celeriac::clock::parse_iso(text).is_some() => "a time".to_owned(),
        // Cut at about the same length.
        Some(text) => text.replace(queue, "").chars().take(900).collect(),
        None => value.to_string(),
    }
}

/// The same names, and values of the same types.
pub(super) fn compare_shapes(
    theirs: &BTreeMap<String, Value>,
    ours: &BTreeMap<String, Value>,
    what: &str,
) {
    let shape = |fields: &BTreeMap<String, Value>| -> BTreeMap<String, &'static str> {
        fields.iter().map(|(name, value)| (name.clone(), type_of(value))).collect()
    };
    assert_eq!(shape(ours), shape(theirs), "{what}");
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}

fn compare_workers(monitor: &Monitor) {
    for kind in ["worker-online", "worker-heartbeat", "worker-offline"] {
        let of = |name: &str| {
            let events = monitor.all().filter(|event| event.kind == kind && event.hostname == name);
            events.last().unwrap_or_else(|| panic!("{kind} of {name}")).clone()
        };
        let (theirs, mut ours) = (of("py@host"), of("rust@host"));
        assert!(ours.fields.remove("events_dropped").is_some_and(|dropped| dropped == 0), "{kind}");
        compare_shapes(&theirs.fields, &ours.fields, kind);
        assert_eq!(
            (&ours.fields["sw_ident"], &ours.fields["sw_sys"]),
            (&"celeriac".into(), &"Linux".into())
        );
        if kind == "worker-offline" {
            // What was revoked, late or unknown was not begun.
            assert_eq!((&ours.fields["active"], &ours.fields["processed"]), (&0.into(), &7.into()));
        }
    }
}

fn compare_envelopes(monitor: &Monitor) {
    for (envelope, event) in monitor.enveloped() {
        let expected = monitor
            .enveloped()
            .iter()
            .find(|(_, other)| other.hostname == "py@host" && other.kind == event.kind);
        if let Some((expected, _)) = expected {
            assert_eq!(envelope, expected, "{event:?}");
        }
    }
}

#[tokio::test]
async fn who_sends_tells_of_it_as_celery_does() {
    let Some(celery) = Celery::find() else { return };
    let rig = Rig::start().await;
    let mut monitor = Monitor::start(&rig).await;
    let mut config = shared(&rig);
    config.events.sent = true;
    let app = celeriac::app::App::connect(config.clone()).await.unwrap();
    std::fs::write(rig.folder().join("app.py"), APP).unwrap();
    let send =
        r#"from app import *; add.apply_async((1, 2), queue="rust", task_id="py", expires=60)"#;
    celery.run(send, &rig.url(), rig.folder()).ended(Duration::from_secs(60)).await;
    monitor.until("task-sent").await;
    app.broker()
        .declare(&celeriac::topology::Topology::whole(&config.topology(), &[]))
        .await
        .unwrap();
    let options = celeriac::publisher::SendOptions::default().queue("rust").id("rust");
    let options = options.expires_in(Duration::from_secs(60));
    app.client().send("t.add", &(1, 2), &(), options).await.unwrap();
    app.close().await;
    monitor.until("task-sent").await;
    let of = |id: &str| monitor.of(&TaskId::from(id)).remove(0);
    let (theirs, mut ours) = (of("py"), of("rust"));
    assert!(ours.hostname.starts_with("gen"), "{}", ours.hostname);
    // Which arguments are secret is known to the worker; it tells them.
    for hidden in ["args", "kwargs"] {
        assert!(ours.fields[hidden].is_null());
        ours.fields.insert(hidden.to_owned(), theirs.fields[hidden].clone());
    }
    compare_shapes(&theirs.fields, &ours.fields, "task-sent");
    assert_eq!(
        (&ours.fields["queue"], &ours.fields["routing_key"]),
        (&"rust".into(), &"rust".into())
    );
    compare_envelopes(&monitor);
    let sent: Vec<_> = monitor.enveloped().iter().map(|(envelope, _)| envelope).collect();
    assert_eq!(sent[0], sent[1], "who sends tells one at a time");
}

#[tokio::test]
async fn celerys_own_monitor_reads_them() {
    let Some(celery) = Celery::find() else { return };
    let rig = Rig::start().await;
    let mut monitor = celery.celery(APP, &["events", "--dump"], &rig.url(), rig.folder());
    crate::rig::eventually("it to listen", async || {
        rig.queues().await.iter().any(|queue| queue.starts_with("celeryev."))
    })
    .await;
    let running = Running::with(shared(&rig), ours()).await;
    let client = running.app.client();
    let options = || celeriac::publisher::SendOptions::default().queue("rust");
    client.call::<i64>("t.add", &(20, 22), &(), options()).await.unwrap().await.unwrap();
    for line in
        ["rust@host", "task received: t.add", "task started: t.add", "task succeeded: t.add"]
    {
        monitor.until(line).await;
    }
    running.stop().await;
    monitor.until("shutdown: ").await;
    let dumped = monitor.output();
    for field in ["args=(20, 22)", "result=42", "sw_ident=celeriac"] {
        assert!(dumped.contains(field), "{field}:\n{dumped}");
    }
}
