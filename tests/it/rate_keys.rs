//! Rates by key: a tenant's thousands keep nobody else waiting.

use crate::rig::{Celery, PATIENCE, Process, Rig, Running, add, config, eventually};
use celeriac::config::Config;
use celeriac::handler::{Output, Registry};
use celeriac::publisher::SendOptions;
use celeriac::task::TaskSettings;
use celeriac::topology::QueueKind;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What ran: its key, which attempt it was, and when.
type Runs = Arc<Mutex<Vec<(String, u32, Instant)>>>;

fn registry(runs: &Runs) -> Registry {
    let mut registry = Registry::new();
    let runs = Arc::clone(runs);
    add(&mut registry, "mail", move |cx, _| {
        let key = format!("{:?}", cx.headers.extra.get("celeriac-rate-key"));
        runs.lock().unwrap().push((key, cx.attempt(), Instant::now()));
        Box::pin(async { Ok(Output::new(1)) })
    });
    registry
}

fn limited(rig: &Rig, rate: &str) -> Config {
    let mut config = config(&rig.url(), QueueKind::Quorum);
    let rate = Some(rate.parse().unwrap());
    config.tasks.insert("mail", TaskSettings { rate, ..TaskSettings::default() });
    config
}

async fn send(worker: &Running, key: &str) {
    let options = SendOptions::default().rate_key(key);
    worker.app.client().send("mail", &(), &(), options).await.unwrap();
}

#[tokio::test]
async fn a_key_without_a_start_keeps_no_other_waiting() {
    let rig = Rig::start().await;
    let runs = Runs::default();
    let mut config = limited(&rig, "6/h");
    config.worker.concurrency = 1.into();
    let worker = Running::with(config, registry(&runs)).await;
    for _ in 0..30 {
        send(&worker, "acme").await;
    }
    let options = SendOptions::default().rate_key("other");
    let other = worker.app.client().call::<u8>("mail", &(), &(), options).await.unwrap();
    other.timeout(PATIENCE).await.unwrap();
    let keys: Vec<_> = runs.lock().unwrap().iter().map(|(key, ..)| key.clone()).collect();
    assert_eq!(keys.len(), 2, "one of each: {keys:?}");
    worker.stop().await;
}

#[tokio::test]
async fn who_waits_for_a_key_runs_once_at_its_rate() {
    let rig = Rig::start().await;
    let runs = Runs::default();
    let worker = Running::with(limited(&rig, "8/s"), registry(&runs)).await;
    for _ in 0..24 {
        send(&worker, "acme").await;
    }
    eventually("all to have run", async || runs.lock().unwrap().len() >= 24).await;
    worker.stop().await;
    let runs = runs.lock().unwrap();
    assert_eq!(runs.len(), 24);
    assert!(runs.iter().all(|(_, attempt, _)| *attempt == 1));
    // Eight at once, and then for two seconds one after another; the first may have been seen late.
    let took = runs[23].2.duration_since(runs[0].2);
    assert!(took >= Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn what_is_no_key_on_the_wire_counts_for_the_task() {
    let rig = Rig::start().await;
    let runs = Runs::default();
    let worker = Running::with(limited(&rig, "100/s"), registry(&runs)).await;
    let name = "celeriac-rate-key";
    let odd = [
        SendOptions::default().header(name, 42_i64),
        SendOptions::default().header(name, "x".repeat(60_000)),
        SendOptions::default().header(name, "").header("celeriac-rate-waits", "many"),
    ];
    for options in odd {
        let call = worker.app.client().call::<u8>("mail", &(), &(), options).await.unwrap();
        assert_eq!(call.timeout(PATIENCE).await.unwrap(), 1);
    }
    worker.stop().await;
}

/// Sends with the key as a header, for two tenants; prints when all are sent.
const SHOP: &str = r#"
import os
from celery import Celery
from kombu import Exchange, Queue
app = Celery(broker=os.environ["AMQP_URL"])
app.conf.broker_transport_options = {"confirm_publish": True}
default = Queue("default", Exchange(""), routing_key="default", no_declare=True)
for key in ["acme"] * 5 + ["other"]:
    headers = {"celeriac-rate-key": key}
    app.send_task("mail", headers=headers, queue=default)
print("that is all")
"#;

#[tokio::test]
async fn a_key_from_celery_counts_as_one_of_ours() {
    let Some(celery) = Celery::find() else { return };
    let rig = Rig::start().await;
    let runs = Runs::default();
    let worker = Running::with(limited(&rig, "6/h"), registry(&runs)).await;
    // Celery does not ask whether a queue took what it sends.
    eventually("the queue", async || worker.status.is_consuming()).await;
    let mut shop = celery.run(SHOP, &rig.url(), rig.folder());
    shop.until("that is all").await;
    eventually("one of each to have run", async || runs.lock().unwrap().len() >= 2).await;
    eventually("the rest to wait in the broker", async || {
        let queue = rig.queue("default").await.unwrap();
        (queue.ready, queue.unacknowledged) == (0, 0)
    })
    .await;
    let mut keys: Vec<_> = runs.lock().unwrap().iter().map(|(key, ..)| key.clone()).collect();
    keys.sort();
    assert_eq!(keys, [r#"Some(Text("acme"))"#, r#"Some(Text("other"))"#]);
    worker.stop().await;
}

#[tokio::test]
async fn a_key_that_counts_for_nothing_is_said_once() {
    let rig = Rig::start().await;
    let file = "[broker]\nurl = \"{url}\"\n[queues.default]\n[tasks.mail]\nexec = [\"true\"]\n";
    let mut worker = rig.celeriac(&["worker"], file).await;
    worker.until("ready worker=").await;
    for _ in 0..3 {
        let arguments = ["call", "mail", "--rate-key", "acme"];
        let mut call = Process::celeriac(&arguments, rig.folder());
        assert!(call.ended(PATIENCE).await.success(), "{}", call.output());
    }
    let said = worker.output();
    let warned = said.matches("set `rate` in [tasks.\"mail\"]").count();
    assert_eq!(warned, 1, "{said}");
    worker.kill().await;
}
