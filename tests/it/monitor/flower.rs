//! What answers as Flower does: held against Flower 2.2 itself, beside us at the same worker.

use super::Shown;
use crate::flower::{Flower, NODE, ours, tasks};
use crate::rig::{Celery, Rig, Running, eventually};
use celeriac::config::Config;
use celeriac::events::Events;
use celeriac::monitor::Exporter;
use celeriac::publisher::SendOptions;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

/// Flower and our monitor, at one worker of ours, of whose tasks both know.
struct Both {
    running: Running,
    flower: Flower,
    monitor: Shown,
    _rig: Rig,
    _folder: TempDir,
}

impl Both {
    async fn start(celery: &Celery) -> Self {
        let (rig, folder) = (Rig::start().await, tempfile::tempdir().unwrap());
        let running = Running::with(ours(&rig), tasks()).await;
        let flower = Flower::start(&rig, celery).await;
        let mut config = Config::from(rig.url());
        config.monitor.listen = "127.0.0.1:0".to_owned();
        config.monitor.data_dir = folder.path().display().to_string();
        config.monitor.compat.flower_api = true;
        config.monitor.compat.metrics = vec![Exporter::CeleryExporter, Exporter::Flower];
        let monitor = Shown::with(config).await;
        let is_asked = || running.status.events().is_some_and(Events::is_on);
        eventually("somebody to ask for events", async || is_asked()).await;
        let both = Self { running, flower, monitor, _rig: rig, _folder: folder };
        let client = both.running.app.client();
        for (task, id, args) in
            [("shop.add", "sum", json!([20, 22])), ("shop.fail", "broke", json!([]))]
        {
            client.send(task, &args, &(), SendOptions::default().id(id)).await.unwrap();
        }
        for (id, state) in [("sum", "SUCCESS"), ("broke", "FAILURE")] {
            both.flower.until(id, state).await;
            both.monitor.until(id, state).await;
        }
        both
    }

    /// What both answer to the same: the status, and JSON or text. Flower first.
    async fn ask(&self, path: &str) -> [(u16, Value); 2] {
        let mut answers = Vec::new();
        for address in [&self.flower.address, self.monitor.address()] {
            let answer = self.flower.client.get(format!("{address}{path}")).send().await.unwrap();
            answers.push(read(answer).await);
        }
        answers.try_into().unwrap()
    }

    /// The same for what does something.
    async fn press(&self, path: &str, body: &Value) -> [(u16, Value); 2] {
        let mut answers = Vec::new();
        for address in [&self.flower.address, self.monitor.address()] {
            let call =
                self.flower.client.post(format!("{address}{path}")).header("x-celeriac", "1");
            let call = if body.is_null() { call } else { call.json(body) };
            answers.push(read(call.send().await.unwrap()).await);
        }
        answers.try_into().unwrap()
    }
}

async fn read(answer: reqwest::Response) -> (u16, Value) {
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Keys, and the types of what is behind them.
fn shape(value: &Value) -> BTreeMap<&str, &'static str> {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "truth",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "table",
    };
    value.as_object().unwrap().iter().map(|(key, value)| (key.as_str(), kind(value))).collect()
}

#[tokio::test]
async fn the_same_questions_have_answers_of_the_same_shape() {
    let Some(celery) = Celery::find() else { return };
    let both = Box::pin(Both::start(&celery)).await;
    for id in ["sum", "broke"] {
        let [theirs, ours] = both.ask(&format!("/api/task/info/{id}")).await;
        assert_eq!(shape(&theirs.1), shape(&ours.1), "{id}");
        let same = [
            "uuid",
            "name",
            "state",
            "args",
            "kwargs",
            "result",
            "exception",
            "retries",
            "worker",
            "root_id",
            "parent_id",
            "eta",
            "expires",
            "children",
            "received",
            "started",
            "succeeded",
            "failed",
            "runtime",
        ];
        for key in same {
            let (theirs, ours) = (&theirs.1[key], &ours.1[key]);
            let near = theirs.as_f64().zip(ours.as_f64()).map(|(a, b)| (a - b).abs() < 1e-3);
            assert!(near.unwrap_or(theirs == ours), "{id} {key}: {theirs} {ours}");
        }
    }
    let [theirs, ours] = both.ask("/api/tasks?limit=10&sort_by=name").await;
    let ids = |answer: &Value| answer.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(&theirs.1), ids(&ours.1));
    assert_eq!(shape(&theirs.1["sum"]), shape(&ours.1["sum"]));
    for (filter, found) in [
        ("state=FAILURE", vec!["broke"]),
        ("taskname=shop.add", vec!["sum"]),
        ("taskname=All&state=All&sort_by=-name", vec!["broke", "sum"]),
        ("limit=1&offset=1&sort_by=name", vec!["broke"]),
        ("workername=nobody", vec![]),
        ("received_start=2020-01-01 00:00&received_end=2021-01-01 00:00", vec![]),
    ] {
        let [theirs, ours] = both.ask(&format!("/api/tasks?{filter}")).await;
        let set = |answer: &Value| ids(answer).into_iter().collect::<BTreeSet<_>>();
        let found: BTreeSet<_> = found.into_iter().map(str::to_owned).collect();
        assert_eq!((set(&theirs.1), set(&ours.1)), (found.clone(), found), "{filter}");
    }
    assert_eq!(both.monitor.ask("/api/tasks?limit=1001").await.status(), 400, "with a limit");

    let [theirs, ours] = both.ask(&format!("/api/workers?refresh=1&workername={NODE}")).await;
    assert_eq!(shape(&theirs.1[NODE]), shape(&ours.1[NODE]));
    let [theirs, ours] = both.ask("/api/workers?refresh=1").await;
    assert_eq!(ids(&theirs.1), ids(&ours.1));
    assert_eq!(ours.1[NODE]["registered"], theirs.1[NODE]["registered"]);
    assert!(ours.1[NODE].get("active").is_none(), "only of one that is named");
    for same in [
        "/api/workers?status=1",
        "/api/workers?workername=nobody",
        "/api/task/types",
        "/api/task/info/none",
        "/api/tasks?sort_by=uuid",
        "/api/tasks?received_start=tomorrow",
        "/api/task/result/none",
    ] {
        let [theirs, ours] = both.ask(same).await;
        assert_eq!(theirs, ours, "{same}");
    }
    eventually("the queue to be looked at", async || {
        let lengths = both.monitor.get("/api/queues/length").await;
        lengths["active_queues"][0]["name"] == "default"
            && lengths["active_queues"][0]["messages"] == 0
    })
    .await;
    both.monitor.stop().await;
    both.running.stop().await;
}

#[tokio::test]
async fn the_same_calls_do_the_same_and_say_the_same() {
    let Some(celery) = Celery::find() else { return };
    let both = Box::pin(Both::start(&celery)).await;
    both.flower.get(&format!("/api/workers?refresh=1&workername={NODE}")).await;
    let nothing = Value::Null;
    for call in [
        format!("/api/worker/pool/grow/{NODE}?n=2"),
        format!("/api/worker/pool/shrink/{NODE}?n=1"),
        format!("/api/worker/pool/autoscale/{NODE}?min=1&max=4"),
        format!("/api/worker/queue/add-consumer/{NODE}?queue=rush"),
        format!("/api/task/rate-limit/shop.add?workername={NODE}&ratelimit=100/s"),
        format!("/api/task/timeout/shop.add?workername={NODE}&hard=20&soft=10"),
        "/api/worker/pool/grow/nobody".to_owned(),
        "/api/task/async-apply/shop.none".to_owned(),
        "/api/task/revoke/elsewhere".to_owned(),
    ] {
        let [theirs, ours] = both.press(&call, &nothing).await;
        assert_eq!(theirs.0, ours.0, "{call}: {theirs:?} {ours:?}");
        // Who consumes it already says so.
        if !call.contains("consumer") {
            assert_eq!(theirs.1, ours.1, "{call}");
        }
    }
    for (body, why) in
        [(json!([]), "invalid options"), (json!({"args": 1}), "args must be an array")]
    {
        let [theirs, ours] = both.press("/api/task/send-task/shop.add", &body).await;
        assert_eq!((&theirs, &ours), (&(400, json!(why)), &theirs));
    }
    for kind in ["send-task", "async-apply"] {
        let call = format!("/api/task/{kind}/shop.add");
        let body = json!({"args": [2, 3], "countdown": 0.1, "expires": 60});
        let [theirs, ours] = both.press(&call, &body).await;
        assert_eq!((theirs.0, shape(&theirs.1)), (ours.0, shape(&ours.1)), "{kind}");
        assert_eq!((&theirs.1["state"], &ours.1["state"]), (&json!("PENDING"), &json!("PENDING")));
        let id = ours.1["task-id"].as_str().unwrap();
        assert_eq!(both.monitor.until(id, "SUCCESS").await["result"], "5");
    }
    // Flower waits here for ever: results by RabbitMQ do not reach it.
    let apply = async |task: &str, body: Value| {
        let (status, mut said) = both.monitor.act(&format!("/api/task/apply/{task}"), &body).await;
        let id = said.as_object_mut().unwrap().remove("task-id").unwrap();
        (status, said, id.as_str().unwrap().to_owned())
    };
    let (status, sum, _) = apply("shop.add", json!({"args": [2, 3]})).await;
    assert_eq!((status, sum), (200, json!({"state": "SUCCESS", "result": 5})));
    let (_, broke, _) = apply("shop.fail", json!({})).await;
    assert_eq!(
        (&broke["state"], &broke["result"]),
        (&json!("FAILURE"), &json!("ValueError('no money')"))
    );
    assert!(broke["traceback"].is_string() || broke["traceback"].is_null(), "{broke}");
    let (status, waits, waiting) = apply("shop.wait", json!({"timeout": 0.1})).await;
    assert!(status == 200 && waits.get("result").is_none(), "{waits}");
    let known = both.monitor.get("/api/task/result/sum").await;
    assert_eq!(known, json!({"task-id": "sum", "state": "SUCCESS", "result": "42"}), "as told");

    let send = async |id: &str| {
        let options = SendOptions::default().id(id);
        both.running.app.client().send("shop.wait", &(), &(), options).await.unwrap();
        both.monitor.until(id, "STARTED").await;
    };
    send("endless").await;
    let (status, said) =
        both.monitor.act("/api/task/revoke/endless?terminate=true", &Value::Null).await;
    assert_eq!((status, said), (200, json!({"message": "Revoked 'endless'"})));
    both.monitor.until("endless", "REVOKED").await;
    send("unended").await;
    // Flower answers 500 here: its `abort` needs a store of results.
    let (status, said) = both.monitor.act("/api/task/abort/unended", &Value::Null).await;
    assert_eq!((status, said), (200, json!({"message": "Aborted 'unended'"})));
    both.monitor.until("unended", "REVOKED").await;
    both.monitor.act(&format!("/api/task/abort/{waiting}"), &Value::Null).await;
    let audit = both.monitor.get("/api/v1/audit?q=action:send").await.to_string();
    assert!(audit.contains("shop.add"), "{audit}");
    both.monitor.stop().await;
    both.running.stop().await;
}

/// The metrics that begin so: of each its type, and the labels of its samples.
fn metrics(told: &str, prefix: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let family = |name: &str| {
        let ends = ["_total", "_bucket", "_count", "_sum"];
        ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    };
    let mut found = BTreeMap::<String, (String, BTreeSet<String>)>::new();
    for line in told.lines().filter(|line| !line.contains("_created")) {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            if name.starts_with(prefix) {
                found.entry(family(name)).or_default().0 = kind.to_owned();
            }
        } else if line.starts_with(prefix)
            && let Some((name, labels)) = line.split_once('{')
        {
            let labels = labels.rsplit_once('}').unwrap().0;
            let names = labels.split(',').filter_map(|label| label.split_once('='));
            let names = names.map(|(name, _)| name.to_owned()).filter(|name| name != "le");
            found.entry(family(name)).or_default().1.extend(names);
        }
    }
    found
}

#[tokio::test]
async fn flowers_metrics_are_told_under_its_names() {
    let Some(celery) = Celery::find() else { return };
    let both = Box::pin(Both::start(&celery)).await;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(both.monitor.status.clone()));
    let told = || {
        let mut told = String::new();
        text::encode(&mut told, &registry).unwrap();
        told
    };
    let is_seen =
        || told().contains("flower_worker_online{") && told().contains("celery_queue_length{");
    eventually("the worker and its queue to be seen", async || is_seen()).await;
    eventually("a heartbeat", async || {
        both.flower.page("/metrics").await.unwrap().contains("flower_worker_number_of_currently")
    })
    .await;
    let theirs = both.flower.page("/metrics").await.unwrap();
    let (all, ours) = (metrics(&theirs, "flower_"), told());
    assert!(all.len() >= 6, "{all:?}");
    assert_eq!(all, metrics(&ours, "flower_"));
    let count = |text: &str, kind: &str| {
        let wanted = format!("type=\"{kind}\"");
        let mut lines = text.lines().filter(|line| {
            line.starts_with("flower_events_total{")
                && line.contains(&wanted)
                && line.contains("task=\"shop.add\"")
        });
        lines.next().and_then(|line| line.rsplit_once(' ')).map(|it| it.1.parse::<f64>().unwrap())
    };
    for kind in ["task-received", "task-started", "task-succeeded"] {
        assert_eq!(count(&theirs, kind), Some(1.0), "{kind}");
        assert_eq!(count(&ours, kind), Some(1.0), "{kind}");
    }
    for line in [
        "celery_task_succeeded_total{name=\"shop.add\",hostname=\"host\",queue_name=\"default\"} 1",
        "celery_task_failed_total{name=\"shop.fail\",hostname=\"host\",exception=\"ValueError\",queue_name=\"default\"} 1",
        "celery_worker_up{hostname=\"host\"} 1.0",
        "celery_queue_length{queue_name=\"default\"} 0.0",
        "celery_active_worker_count{queue_name=\"default\"} 1.0",
    ] {
        assert!(ours.lines().any(|it| it == line), "{line} in\n{ours}");
    }
    both.monitor.stop().await;
    both.running.stop().await;
}

const POOLS: &str = r#"
import os
from celery import Celery

app = Celery("app", broker=os.environ["AMQP_URL"], backend="rpc://")
"#;

/// What celery-exporter sums up for each queue: the processes that its workers tell of, and none for a
/// pool that has no processes.
#[tokio::test]
async fn the_processes_of_a_queue_are_those_of_the_pools_that_consume_it() {
    let Some(celery) = Celery::find() else { return };
    let (rig, folder) = (Rig::start().await, tempfile::tempdir().unwrap());
    let running = Running::with(ours(&rig), tasks()).await;
    let start = |name: &str, pool: &str, slots: &str| {
        let arguments = ["worker", "-Q", "pool", "-n", name, "--pool", pool, "-c", slots];
        celery.celery(POOLS, &arguments, &rig.url(), rig.folder())
    };
    let _processes = start("processes@host", "prefork", "3");
    let _threads = start("threads@host", "threads", "4");
    let mut config = Config::from(rig.url());
    config.monitor.listen = "127.0.0.1:0".to_owned();
    config.monitor.data_dir = folder.path().display().to_string();
    config.monitor.compat.metrics = vec![Exporter::CeleryExporter];
    let monitor = Shown::with(config).await;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(monitor.status.clone()));
    for line in [
        "celery_active_process_count{queue_name=\"pool\"} 3.0",
        "celery_active_worker_count{queue_name=\"pool\"} 2.0",
        "celery_active_process_count{queue_name=\"default\"} 1.0",
    ] {
        eventually(line, async || {
            let mut told = String::new();
            text::encode(&mut told, &registry).unwrap();
            told.lines().any(|it| it == line)
        })
        .await;
    }
    monitor.stop().await;
    running.stop().await;
}
