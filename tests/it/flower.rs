//! Flower 2.2 beside our worker: what it shows, and what its buttons do.
//!
//! The buttons are pressed as the script of its pages presses them, by the same requests, and with a mouse
//! in a browser.

use crate::rig::{
    Browser, Celery, PATIENCE, Process, Rig, Running, Scripts, add, config, eventually,
};
use celeriac::config::Config;
use celeriac::events::{Events, Tasks};
use celeriac::handler::{Failure, Output, Registry, TaskError};
use celeriac::publisher::{SendOptions, Serializer};
use celeriac::task::TaskSettings;
use celeriac::topology::QueueKind;
use serde_json::Value;
use std::net::TcpListener;
use std::time::Duration;

/// Rate and time limits are only set for tasks that Flower's own app knows.
const APP: &str = r#"
import os
# Without it Flower's buttons answer 401 where nobody has logged in.
os.environ["FLOWER_UNAUTHENTICATED_API"] = "true"
from celery import Celery

app = Celery("app", broker=os.environ["AMQP_URL"], backend="rpc://")

@app.task(name="shop.add")
def add(a, b):
    raise AssertionError("runs elsewhere")

@app.task(name="shop.wait")
def wait():
    raise AssertionError("runs elsewhere")
"#;

pub(crate) const NODE: &str = "ours@host";

pub(crate) struct Flower {
    pub(crate) address: String,
    pub(crate) client: reqwest::Client,
    _process: Process,
}

impl Flower {
    pub(crate) async fn start(rig: &Rig, celery: &Celery) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port_option = format!("--port={port}");
        let arguments = [
            "flower",
            "--address=127.0.0.1",
            &port_option,
            "--inspect_timeout=5000",
            "--logging=debug",
        ];
        let process = celery.celery(APP, &arguments, &rig.url(), rig.folder());
        // Another test may have done so.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let flower =
            Self { address: format!("http://127.0.0.1:{port}"), client, _process: process };
        eventually("Flower to answer", async || flower.page("/healthcheck").await.is_ok()).await;
        flower
    }

    /// A page, which must be found.
    pub(crate) async fn page(&self, path: &str) -> reqwest::Result<String> {
        let answer = self.client.get(format!("{}{path}", self.address)).send().await?;
        answer.error_for_status()?.text().await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let text = self.page(path).await.unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"))
    }

    /// Presses a button: what the page would say.
    pub(crate) async fn press(&self, path: &str) -> String {
        let answer = self.client.post(format!("{}{path}", self.address)).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["message"].as_str().unwrap_or_default().to_owned()
    }

    /// What Flower knows of our worker now.
    async fn worker(&self) -> Value {
        let workers = self.get(&format!("/api/workers?refresh=1&workername={NODE}")).await;
        workers[NODE].clone()
    }

    async fn task(&self, id: &str) -> Option<Value> {
        let text = self.page(&format!("/api/task/info/{id}")).await.ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Waits until Flower shows the task in this state.
    pub(crate) async fn until(&self, id: &str, state: &str) -> Value {
        let is = async || self.task(id).await.is_some_and(|task| task["state"] == state);
        eventually(&format!("{id} to be {state}"), is).await;
        self.task(id).await.unwrap()
    }
}

pub(crate) fn tasks() -> Registry {
    let mut registry = Registry::new();
    add(&mut registry, "shop.add", |_, body| {
        let (a, b): (i64, i64) = body.args().unwrap();
        Box::pin(async move { Ok(Output::new(a + b)) })
    });
    add(&mut registry, "shop.fail", |_, _| {
        Box::pin(async { Err(Failure::Discard(TaskError::new("ValueError", "no money"))) })
    });
    add(&mut registry, "shop.wait", |_, _| Box::pin(std::future::pending()));
    add(&mut registry, "shop.stay", |_, _| Box::pin(std::future::pending()));
    add(&mut registry, "shop.seldom", |_, _| Box::pin(async { Ok(Output::new(1)) }));
    registry
}

/// Events on request: Flower asks for them.
pub(crate) fn ours(rig: &Rig) -> Config {
    let mut config = config(&rig.url(), QueueKind::Classic);
    assert_eq!(config.events.tasks, Tasks::OnRequest);
    config.worker.name = NODE.to_owned();
    config.worker.drain_timeout = Duration::from_secs(5);
    config.publisher.serializer = Serializer::Json;
    config
}

#[tokio::test]
async fn flower_shows_our_worker_and_its_tasks() {
    let Some(celery) = Celery::find() else { return };
    let rig = Rig::start().await;
    let running = Running::with(ours(&rig), tasks()).await;
    let flower = Flower::start(&rig, &celery).await;
    let is_asked = || running.status.events().is_some_and(Events::is_on);
    eventually("Flower to ask for events", async || is_asked()).await;

    let send = async |task: &str, id: &str, args: (i64, i64)| {
        let client = running.app.client();
        let options = SendOptions::default().id(id);
        match task {
            "shop.add" => client.send(task, &args, &(), options).await.unwrap(),
            _ => client.send(task, &(), &(), options).await.unwrap(),
        };
    };
    send("shop.add", "sum", (20, 22)).await;
    send("shop.fail", "broke", (0, 0)).await;
    let sum = flower.until("sum", "SUCCESS").await;
    assert_eq!((&sum["name"], &sum["args"]), (&"shop.add".into(), &"(20, 22)".into()));
    assert_eq!((&sum["result"], &sum["worker"]), (&"42".into(), &NODE.into()));
    assert!(sum["runtime"].is_f64() && sum["received"].is_f64(), "{sum}");
    let broke = flower.until("broke", "FAILURE").await;
    assert_eq!(broke["exception"], "ValueError('no money')");
    assert!(flower.page("/task/sum").await.unwrap().contains("(20, 22)"));
    assert!(flower.page("/task/broke").await.unwrap().contains("no money"));

    let worker = flower.worker().await;
    assert_eq!(worker["stats"]["pool"]["max-concurrency"], 4, "{worker}");
    assert_eq!(worker["active_queues"][0]["name"], "default", "{worker}");
    assert!(worker["registered"].to_string().contains("shop.add"), "{worker}");
    eventually("the list of workers to count its tasks", async || {
        let list = flower.get("/workers?json=1").await;
        let rows = list["data"].as_array().cloned().unwrap_or_default();
        rows.iter().any(|row| {
            let is_ours = row["hostname"] == NODE && row["status"] == true;
            is_ours
                && row["task-succeeded"] == 1
                && row["task-failed"] == 1
                && row["processed"] == 2
        })
    })
    .await;
    let page = flower.page(&format!("/worker/{NODE}")).await.unwrap();
    for shown in ["celeriac", "shop.add", "default"] {
        assert!(page.contains(shown), "{shown}");
    }
    running.stop().await;
}

#[tokio::test]
async fn the_buttons_of_flower_do_what_they_say() {
    let Some(celery) = Celery::find() else { return };
    let rig = Rig::start().await;
    let mut running = Running::with(ours(&rig), tasks()).await;
    let flower = Flower::start(&rig, &celery).await;
    let is_asked = || running.status.events().is_some_and(Events::is_on);
    eventually("Flower to ask for events", async || is_asked()).await;
    flower.worker().await;

    let slots = async || flower.worker().await["stats"]["pool"]["max-concurrency"].clone();
    assert!(flower.press(&format!("/api/worker/pool/grow/{NODE}?n=3")).await.contains("Growing"));
    eventually("three slots more", async || slots().await == 7).await;
    flower.press(&format!("/api/worker/pool/shrink/{NODE}?n=5")).await;
    eventually("five slots less", async || slots().await == 2).await;

    let queues = async || flower.worker().await["active_queues"].to_string();
    flower.press(&format!("/api/worker/queue/add-consumer/{NODE}?queue=rush")).await;
    eventually("the queue to be consumed", async || queues().await.contains("\"rush\"")).await;
    eventually("a consumer", async || rig.consumers("rush").await == Some(1)).await;
    flower.press(&format!("/api/worker/queue/cancel-consumer/{NODE}?queue=rush")).await;
    eventually("no consumer", async || rig.consumers("rush").await == Some(0)).await;

    let limit = format!("/api/task/rate-limit/shop.add?workername={NODE}&ratelimit=10/m");
    assert!(flower.press(&limit).await.contains("rate limit set"), "{limit}");
    let limit = format!("/api/task/timeout/shop.add?workername={NODE}&hard=20&soft=10");
    assert!(flower.press(&limit).await.contains("time limits set"), "{limit}");
    let shown = flower.worker().await["registered"].to_string();
    assert!(shown.contains("rate_limit=10"), "{shown}");

    let options = || SendOptions::default().id("endless");
    let client = running.app.client();
    let endless = client.call::<()>("shop.wait", &(), &(), options()).await.unwrap();
    flower.until("endless", "STARTED").await;
    flower.press("/api/task/revoke/endless?terminate=true&signal=SIGTERM").await;
    flower.until("endless", "REVOKED").await;
    endless.timeout(PATIENCE).await.unwrap_err();
    let later = SendOptions::default().id("unwanted").countdown(Duration::from_secs(2));
    client.send("shop.wait", &(), &(), later).await.unwrap();
    flower.press("/api/task/revoke/unwanted").await;
    flower.until("unwanted", "REVOKED").await;

    flower.press(&format!("/api/worker/shutdown/{NODE}")).await;
    tokio::time::timeout(PATIENCE, running.ended()).await.unwrap().unwrap();
    eventually("Flower to see it offline", async || {
        let list = flower.get("/workers?json=1").await;
        list["data"].as_array().is_some_and(|rows| {
            rows.iter().all(|row| row["hostname"] != NODE || row["status"] != true)
        })
    })
    .await;
}

/// A page of Flower in a browser.
struct Page<'a> {
    flower: &'a Flower,
    browser: &'a Browser,
}

impl Page<'_> {
    async fn open(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.flower.address)).await;
    }

    /// Looks at a tab of our worker's page, as the worker is now.
    async fn tab(&self, tab: &str) {
        self.flower.worker().await;
        self.open(&format!("/worker/{NODE}")).await;
        self.browser.click(&format!("#worker-tab-{tab}")).await;
        let pane = format!("document.querySelector('#tab-{tab}.active.show')");
        let is_there = format!("{pane} && getComputedStyle({pane}).opacity === '1'");
        self.browser.until(&is_there).await;
    }

    /// Clicks, waits until the page says this, and closes what it says, which lies over other buttons.
    async fn click(&self, button: &str, says: &str) {
        self.browser.click(button).await;
        let toasts = "[...document.querySelectorAll('.toast-body')].map(it => it.textContent)";
        self.browser.until(&format!("{toasts}.some(text => text.includes(\"{says}\"))")).await;
        let close = "document.querySelectorAll('.toast .btn-close').forEach(it => it.click())";
        self.browser.run(close).await;
        self.browser.until("!document.querySelector('.toast')").await;
    }
}

#[tokio::test]
async fn the_buttons_of_flower_are_clicked_in_a_browser() {
    let Some(celery) = Celery::find() else { return };
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    browser.resize(1400, 1000).await;
    let rig = Rig::start().await;
    let mut config = ours(&rig);
    let seldom = TaskSettings { rate: Some("1/h".parse().unwrap()), ..TaskSettings::default() };
    config.tasks.insert("shop.seldom", seldom);
    let mut running = Running::with(config, tasks()).await;
    let flower = Flower::start(&rig, &celery).await;
    let is_asked = || running.status.events().is_some_and(Events::is_on);
    eventually("Flower to ask for events", async || is_asked()).await;
    let page = Page { flower: &flower, browser: &browser };

    let pool = async || flower.worker().await["stats"].clone();
    let slots = async || pool().await["pool"]["max-concurrency"].clone();
    page.tab("pool").await;
    browser.rewrite("#pool-size", "3").await;
    page.click("#worker-pool-grow", "Growing").await;
    eventually("three slots more", async || slots().await == 7).await;
    browser.rewrite("#pool-size", "5").await;
    page.click("#worker-pool-shrink", "Shrinking").await;
    eventually("five slots less", async || slots().await == 2).await;
    browser.rewrite("#min-autoscale", "3").await;
    browser.rewrite("#max-autoscale", "6").await;
    page.click("#worker-pool-autoscale", "Autoscaling").await;
    eventually("six slots", async || slots().await == 6).await;
    let scaled = pool().await["autoscaler"].clone();
    assert_eq!(
        (&scaled["max"], &scaled["min"], &scaled["current"]),
        (&6.into(), &3.into(), &3.into())
    );

    page.tab("queues").await;
    browser.rewrite("#add-consumer-name", "rush").await;
    page.click("#worker-add-consumer", "add consumer rush").await;
    eventually("a consumer", async || rig.consumers("rush").await == Some(1)).await;
    page.tab("queues").await;
    page.click("#worker-cancel-consumer-rush", "no longer consuming from rush").await;
    eventually("no consumer", async || rig.consumers("rush").await == Some(0)).await;

    page.tab("limits").await;
    browser.rewrite("[aria-label^='Rate limit for shop.add']", "10").await;
    page.click("[id^='task-rate-limit-shop.add']", "rate limit set").await;
    for (kind, seconds) in [("soft", "1"), ("hard", "2")] {
        browser.rewrite("[aria-label^='Timeout for shop.wait']", seconds).await;
        page.click(&format!("[id^='task-timeout-{kind}-shop.wait']"), "time limits set").await;
    }
    let shown = flower.worker().await["registered"].to_string();
    assert!(shown.contains("rate_limit=10"), "{shown}");

    let client = running.app.client();
    let send = async |task: &str, id: &str| {
        client.send(task, &(), &(), SendOptions::default().id(id)).await.unwrap();
    };
    send("shop.wait", "limited").await;
    let limited = flower.until("limited", "FAILURE").await;
    assert!(limited["exception"].as_str().unwrap().contains("time limit of 2s"), "{limited}");
    send("shop.stay", "endless").await;
    flower.until("endless", "STARTED").await;
    page.open("/task/endless").await;
    page.click("#task-terminate", "Revoked 'endless'").await;
    flower.until("endless", "REVOKED").await;
    send("shop.seldom", "first").await;
    flower.until("first", "SUCCESS").await;
    send("shop.seldom", "unwanted").await;
    flower.until("unwanted", "RECEIVED").await;
    page.open("/task/unwanted").await;
    page.click("#task-revoke", "Revoked 'unwanted'").await;
    let revoked = async || flower.worker().await["revoked"].to_string();
    eventually("our worker to know", async || revoked().await.contains("unwanted")).await;

    page.open(&format!("/worker/{NODE}")).await;
    browser.click("#worker-group").await;
    browser.until("document.querySelector('.dropdown-menu.show')").await;
    page.click("#worker-shutdown", "Shutting down").await;
    tokio::time::timeout(PATIENCE, running.ended()).await.unwrap().unwrap();
    browser.close().await;
}
