//! What is done through the monitor, and what it says of it.

use super::Shown;
use crate::rig::{Rig, Running, add, config, eventually};
use celeriac::control::Caller;
use celeriac::events::Tasks;
use celeriac::handler::{Failure, Output, Registry, TaskError};
use celeriac::publisher::SendOptions;
use celeriac::topology::QueueKind;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;
use tokio::sync::Mutex;

struct Stage {
    _rig: Rig,
    worker: Running,
    monitor: Shown,
    /// Whether `shop.charge` succeeds.
    works: Arc<AtomicBool>,
    _folder: TempDir,
}

impl Stage {
    async fn set() -> Self {
        let (rig, folder) = (Rig::start().await, tempfile::tempdir().unwrap());
        let works = Arc::new(AtomicBool::new(false));
        let mut registry = Registry::new();
        let shared = Arc::clone(&works);
        add(&mut registry, "shop.charge", move |_, _| {
            let works = shared.load(Ordering::SeqCst);
            Box::pin(async move {
                match works {
                    true => Ok(Output::new(1)),
                    false => Err(Failure::Reject(TaskError::new("CardDeclined", "no"))),
                }
            })
        });
        add(&mut registry, "shop.wait", |_, _| Box::pin(std::future::pending()));
        let mut config = config(&rig.url(), QueueKind::Quorum);
        config.events.tasks = Tasks::Always;
        config.worker.name = "ours@host".to_owned();
        let worker = Box::pin(Running::with(config, registry)).await;
        let caller = Mutex::new(Caller::open(worker.app.broker()).await.unwrap());
        eventually("the worker to listen to commands", async || {
            caller.lock().await.is_there("ours@host").await.unwrap()
        })
        .await;
        let monitor = Box::pin(Shown::start(&rig, folder.path())).await;
        Self { _rig: rig, worker, monitor, works, _folder: folder }
    }

    async fn send(&self, task: &str) -> String {
        let options = SendOptions::default().queue("default").max_retries(0);
        let sent = self.worker.app.client().send(task, &(1,), &(), options).await.unwrap();
        sent.id.to_string()
    }

    /// The newest dead letter.
    async fn letter(&self) -> Value {
        eventually("a dead letter", async || {
            self.monitor.get("/api/v1/dead").await["items"] != json!([])
        })
        .await;
        self.monitor.get("/api/v1/dead").await["items"][0].clone()
    }
}

#[tokio::test]
async fn a_dead_letter_is_given_back_and_the_audit_says_by_whom() {
    let stage = Stage::set().await;
    let id = stage.send("shop.charge").await;
    stage.monitor.until(&id, "FAILURE").await;
    let letter = stage.letter().await;
    assert_eq!((&letter["id"], &letter["reason"]), (&json!(id), &json!("rejected")));
    let offset = &letter["offset"];
    let whole = stage.monitor.get(&format!("/api/v1/dead/{offset}")).await;
    assert!(whole.to_string().contains("shop.charge"), "{whole}");

    stage.works.store(true, Ordering::SeqCst);
    let body = json!({ "offsets": [offset] });
    let (status, reply) = stage.monitor.act("/api/v1/dead/requeue", &body).await;
    assert_eq!((status, &reply["status"]), (200, &json!("done")), "{reply}");
    stage.monitor.until(&id, "SUCCESS").await;
    eventually("the letter to be requeued", async || {
        stage.monitor.get("/api/v1/dead/states").await == json!({ "requeued": 1 })
    })
    .await;
    eventually("the audit", async || {
        let audit = stage.monitor.get(&format!("/api/v1/audit?target={id}")).await;
        audit["items"][0]["ended"].is_string()
    })
    .await;
    let audit = stage.monitor.get("/api/v1/audit").await;
    let act = &audit["items"][0];
    assert_eq!((&act["action"], &act["by"]), (&json!("requeue"), &json!("local")));
    assert_eq!(act["outcome"]["status"], "done");
    stage.monitor.stop().await;
}

#[tokio::test]
async fn only_what_was_given_up_is_run_again() {
    let stage = Stage::set().await;
    let bad = stage.send("shop.charge").await;
    stage.monitor.until(&bad, "FAILURE").await;
    stage.letter().await;
    stage.works.store(true, Ordering::SeqCst);
    let good = stage.send("shop.charge").await;
    stage.monitor.until(&good, "SUCCESS").await;

    let retry =
        async |id: &str| stage.monitor.act(&format!("/api/v1/tasks/{id}/retry"), &json!({})).await;
    let (status, problem) = retry(&good).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("celeriac send"), "{problem}");
    let (status, reply) = retry(&bad).await;
    assert_eq!((status, &reply["status"]), (200, &json!("done")), "{reply}");
    stage.monitor.until(&bad, "SUCCESS").await;
    stage.monitor.stop().await;
}

#[tokio::test]
async fn a_running_task_is_stopped_and_workers_say_so() {
    let stage = Stage::set().await;
    let id = stage.send("shop.wait").await;
    stage.monitor.until(&id, "STARTED").await;
    let (status, reply) =
        stage.monitor.act(&format!("/api/v1/tasks/{id}/terminate"), &json!({})).await;
    assert_eq!((status, &reply["status"]), (200, &json!("done")), "{reply}");
    let who: Vec<_> = reply["results"].as_array().unwrap().iter().map(|it| &it["who"]).collect();
    assert_eq!(who, ["broker", "ours@host"]);
    stage.monitor.until(&id, "REVOKED").await;
    stage.monitor.stop().await;
}

#[tokio::test]
async fn workers_answer_for_what_they_are_told() {
    let stage = Stage::set().await;
    let grow = json!({ "action": "grow", "slots": 2 });
    let (status, reply) = stage.monitor.act("/api/v1/workers/ours@host/order", &grow).await;
    assert_eq!((status, &reply["results"][0]["who"]), (200, &json!("ours@host")), "{reply}");
    let (status, reply) = stage.monitor.act("/api/v1/workers/none@host/order", &grow).await;
    assert_eq!((status, &reply["status"]), (404, &json!("unknown_target")), "{reply}");
    let limit = json!({ "action": "rate_limit", "task": "shop.none", "rate": "10/m" });
    let (status, reply) = stage.monitor.act("/api/v1/workers/order", &limit).await;
    assert_eq!((status, &reply["status"]), (409, &json!("refused")), "{reply}");
    let stop = json!({ "action": "stop" });
    let (status, reply) = stage.monitor.act("/api/v1/workers/ours@host/order", &stop).await;
    assert_eq!(status, 200, "{reply}");
    eventually("the worker to be offline", async || {
        stage.monitor.get("/api/v1/workers").await[0]["state"] == "offline"
    })
    .await;
    stage.monitor.stop().await;
}

#[tokio::test]
async fn a_queue_is_purged_and_its_messages_are_counted() {
    let stage = Stage::set().await;
    let app = &stage.worker.app;
    app.broker().declare_queue(&celeriac::topology::Queue::named("aside")).await.unwrap();
    for _ in 0..3 {
        let options = SendOptions::default().exchange("").routing_key("aside");
        app.client().send("shop.none", &(), &(), options).await.unwrap();
    }
    let (status, reply) = stage.monitor.act("/api/v1/queues/aside/purge", &json!({})).await;
    assert_eq!((status, &reply["results"][0]["detail"]), (200, &json!("3 messages are deleted")));
    let (status, reply) = stage.monitor.act("/api/v1/queues/none/purge", &json!({})).await;
    assert_eq!((status, &reply["status"]), (404, &json!("unknown_target")), "{reply}");
    stage.monitor.stop().await;
}

#[tokio::test]
async fn another_site_changes_nothing() {
    let stage = Stage::set().await;
    let client = reqwest::Client::new();
    let path = format!("{}/api/v1/queues/default/purge", stage.monitor.address());
    let plain = client.post(&path).send().await.unwrap();
    assert_eq!(plain.status(), 403, "no intent");
    let other = client.post(&path).header("x-celeriac", "1").header("sec-fetch-site", "cross-site");
    assert_eq!(other.send().await.unwrap().status(), 403, "another site");
    let rebound = client.get(&path).header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), 403, "another name");
    assert_eq!(rebound.headers()["x-content-type-options"], "nosniff");
    assert_eq!(stage.monitor.get("/api/v1/audit").await["items"], json!([]), "nothing was done");
    stage.monitor.stop().await;
}
