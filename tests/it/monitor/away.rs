//! A monitor that is killed, and a broker that goes away: nothing is lost, and the pages say so.

use super::Shown;
use crate::rig::{Browser, Process, Rig, Scripts, eventually, within};
use celeriac::broker::{Broker, RawMessage};
use celeriac::config::Config;
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

/// Tasks told of, three events each.
const TASKS: u64 = 12_000;

/// Of so many one fails.
const BAD: u64 = 10;

/// How soon the pages say that the broker is away.
const SOON: Duration = Duration::from_secs(5);

const CONFIG: &str = "[broker]\nurl = \"{url}\"\n[ops]\nlisten = \"\"\nsocket = \"\"\n\
    [monitor]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"index\"\n";

/// The real program, to be killed.
struct Killable {
    process: Process,
    address: String,
}

impl Killable {
    /// Starts it and waits until it reads: what was told before has no stream to wait in.
    async fn start(rig: &Rig) -> Self {
        let mut process = rig.celeriac(&["monitor"], CONFIG).await;
        let line = process.until("the monitor is at http://").await;
        let (_, address) = line.split_once("http://").unwrap();
        let address = address.split('/').next().unwrap().to_owned();
        let monitor = Self { process, address };
        let reads = async || monitor.get("/api/v1/about").await["reading"] == true;
        eventually("it reads", reads).await;
        monitor
    }

    async fn get(&self, path: &str) -> Value {
        let asked = reqwest::get(format!("http://{}{path}", self.address)).await.unwrap();
        serde_json::from_str(&asked.error_for_status().unwrap().text().await.unwrap()).unwrap()
    }

    async fn known(&self) -> u64 {
        let states = self.get("/api/v1/states").await;
        states.as_object().unwrap().values().filter_map(Value::as_u64).sum()
    }
}

/// Tells of tasks as workers do, sixty in one message, as fast as the broker takes them.
async fn tell(broker: Broker, tasks: Range<u64>) {
    let tasks: Vec<_> = tasks.collect();
    for together in tasks.chunks(60) {
        let events: Vec<_> = together.iter().flat_map(|number| life(*number)).collect();
        let body = serde_json::to_vec(&events).unwrap();
        let message = RawMessage::event("celeryev", "task.multi", "them@there", body.into());
        broker.publish(Arc::new(message), Duration::from_secs(30)).await.unwrap();
    }
}

/// The life of one task.
fn life(number: u64) -> [Value; 3] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let step = |kind: &str, later: u64, more: Value| {
        let mut event = json!({
            "type": kind, "uuid": format!("task-{number}"), "hostname": "them@there", "pid": 7,
            "utcoffset": 0, "clock": number * 3 + later, "timestamp": now + later as f64 / 1e6,
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let is_bad = number.is_multiple_of(BAD);
    let end = if is_bad {
        step("task-failed", 2, json!({"exception": "CardDeclined('code 51')", "traceback": ""}))
    } else {
        step("task-succeeded", 2, json!({"result": "3", "runtime": 0.01}))
    };
    let received =
        json!({"name": "shop.add", "args": "(1, 2)", "kwargs": "{}", "queue": "default"});
    [step("task-received", 0, received), step("task-started", 1, json!({})), end]
}

#[tokio::test]
async fn a_monitor_that_is_killed_counts_every_task_once() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let rig = Rig::start().await;
    let mut monitor = Killable::start(&rig).await;
    let broker = Broker::connect(&Config::from(rig.url()).broker, 64).await.unwrap();

    let mut telling = JoinSet::new();
    telling.spawn(tell(broker.clone(), 0..TASKS));
    eventually("it knows of some", async || monitor.known().await > 0).await;
    let known = monitor.known().await;
    monitor.process.kill().await;
    assert!(known < TASKS, "it was killed in the midst of it");
    telling.join_next().await.unwrap().unwrap();

    let monitor = Killable::start(&rig).await;
    let bad = TASKS.div_ceil(BAD);
    let good = TASKS - bad;
    let all = json!({"SUCCESS": good, "FAILURE": bad});
    eventually("all of them", async || monitor.get("/api/v1/states").await == all).await;

    let series = monitor.get("/api/v1/series?range=1h").await;
    let counted = |state: &str| {
        let stretches = series["stretches"].as_array().unwrap();
        stretches.iter().filter_map(|it| it["counts"][state].as_u64()).sum::<u64>()
    };
    let counts = ["STARTED", "SUCCESS", "FAILURE"].map(counted);
    assert_eq!(counts, [good + bad, good, bad], "what the charts count");
    let failures = monitor.get("/api/v1/failures").await;
    let kind = &failures["items"].as_array().or(failures.as_array()).unwrap()[0];
    assert_eq!((kind["count"].as_u64(), kind["open"].as_u64()), (Some(bad), Some(bad)));
    let about = monitor.get("/api/v1/about").await;
    let flaws = [&about["events_missed"], &about["events_unreadable"]];
    assert_eq!(flaws, [0, 0], "{about}");
    broker.close().await;
}

#[tokio::test]
async fn pages_say_within_five_seconds_that_the_broker_is_away_and_when_it_is_back() {
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    let (rig, folder) = (Rig::alone().await, tempfile::tempdir().unwrap());
    let monitor = Shown::start(&rig, folder.path()).await;
    browser.open(&monitor.url("/tasks")).await;
    browser.until("document.querySelector('#live').dataset.state === 'live'").await;
    let is_told =
        "return document.querySelector('.warn').textContent.includes('The broker is away')";
    assert_eq!(browser.run(is_told).await, false);

    rig.node().kill().await;
    let told = async || browser.run(is_told).await == true;
    within(SOON, "an open page says that the broker is away", told).await;
    let page = monitor.ask("/queues").await.text().await.unwrap();
    assert!(page.contains("The broker is away"), "so do others");

    rig.node().start().await;
    eventually("it is back", async || browser.run(is_told).await == false).await;
    browser.close().await;
    monitor.stop().await;
}
