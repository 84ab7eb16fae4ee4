//! What workers tell is all there, whenever the monitor was.

use super::Shown;
use crate::rig::{Rig, Running, add, config};
use celeriac::backoff::Backoff;
use celeriac::events::Tasks;
use celeriac::handler::{Failure, Output, Registry, TaskError};
use celeriac::publisher::SendOptions;
use celeriac::task::RetryPolicy;
use celeriac::topology::QueueKind;
use std::time::Duration;

fn registry() -> Registry {
    let mut registry = Registry::new();
    add(&mut registry, "shop.add", |_, _| Box::pin(async { Ok(Output::new(3)) }));
    add(&mut registry, "shop.fail", |_, _| {
        Box::pin(async { Err(Failure::Error(TaskError::new("CardDeclined", "order 42: code 51"))) })
    });
    registry
}

async fn worker(rig: &Rig) -> Running {
    let mut config = config(&rig.url(), QueueKind::Quorum);
    config.events.tasks = Tasks::Always;
    Running::with(config, registry()).await
}

async fn send(worker: &Running, task: &str) -> String {
    let (first, max) = (Duration::from_millis(10), Duration::from_millis(10));
    let backoff = Backoff { first, factor: 1.0, max, jitter: 0.0 };
    let retry = RetryPolicy { max_retries: Some(1), backoff, ..RetryPolicy::default() };
    let options = SendOptions::default().queue("default").retry(retry);
    let sent = worker.app.client().send(task, &(1, 2), &(), options).await.unwrap();
    sent.id.to_string()
}

#[tokio::test]
async fn a_task_is_shown_with_all_its_attempts() {
    let (rig, folder) = (Rig::start().await, tempfile::tempdir().unwrap());
    let worker = worker(&rig).await;
    let monitor = Shown::start(&rig, folder.path()).await;
    let (good, bad) = (send(&worker, "shop.add").await, send(&worker, "shop.fail").await);

    let task = monitor.until(&good, "SUCCESS").await;
    assert_eq!((task["name"].as_str(), task["result"].as_str()), (Some("shop.add"), Some("3")));
    assert_eq!(
        (task["attempts"].as_array().unwrap().len(), &task["queue"]),
        (1, &"default".into())
    );
    assert!(task["run_s"].as_f64().unwrap() < 5.0);

    let task = monitor.until(&bad, "FAILURE").await;
    let outcomes: Vec<_> =
        task["attempts"].as_array().unwrap().iter().map(|it| it["outcome"].clone()).collect();
    assert_eq!(outcomes, ["RETRY", "FAILURE"]);
    assert_eq!(task["error"], "CardDeclined('order 42: code 51')");

    let list = monitor.get("/api/v1/tasks?limit=1").await;
    assert_eq!(list["items"][0]["id"], bad.as_str(), "the newest first");
    let next = list["next"].as_str().unwrap();
    let older = monitor.get(&format!("/api/v1/tasks?limit=1&cursor={next}")).await;
    assert_eq!((&older["items"][0]["id"], &older["next"]), (&good.as_str().into(), &().into()));
    let failed = monitor.get("/api/v1/tasks?q=declined+since:1h+NOT+state:success").await;
    assert_eq!(failed["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&failed["items"][0]["id"], &failed["searched"]),
        (&bad.as_str().into(), &().into())
    );
    let slow = monitor.get("/api/v1/tasks?q=run:%3E1h").await;
    assert_eq!((&slow["items"], &slow["searched"]), (&serde_json::json!([]), &100_000.into()));
    assert_eq!(
        monitor.get("/api/v1/states").await,
        serde_json::json!({"SUCCESS": 1, "FAILURE": 1})
    );
    let workers = monitor.get("/api/v1/workers").await;
    assert_eq!((&workers[0]["state"], &workers[0]["kind"]), (&"up".into(), &"celeriac".into()));
    monitor.stop().await;
}

#[tokio::test]
async fn what_happened_while_it_was_away_is_there_afterwards() {
    let (rig, folder) = (Rig::start().await, tempfile::tempdir().unwrap());
    let worker = worker(&rig).await;
    let monitor = Shown::start(&rig, folder.path()).await;
    let before = send(&worker, "shop.add").await;
    monitor.until(&before, "SUCCESS").await;
    monitor.stop().await;

    let mut away = Vec::new();
    for _ in 0..50 {
        away.push(send(&worker, "shop.add").await);
    }
    let monitor = Shown::start(&rig, folder.path()).await;
    for id in &away {
        monitor.until(id, "SUCCESS").await;
    }
    assert_eq!(monitor.get("/api/v1/states").await, serde_json::json!({"SUCCESS": 51}));
    assert_eq!(monitor.status.missed(), 0);
    monitor.stop().await;
}

#[tokio::test]
async fn what_is_asked_wrongly_is_answered_with_a_reason() {
    let (rig, folder) = (Rig::start().await, tempfile::tempdir().unwrap());
    let monitor = Shown::start(&rig, folder.path()).await;
    for (path, status, field) in [
        ("/api/v1/tasks?limit=0", 400, "limit"),
        ("/api/v1/tasks?limit=1001", 400, "limit"),
        ("/api/v1/tasks?cursor=x", 400, "cursor"),
        ("/api/v1/tasks?q=run:>5", 400, "q"),
        ("/api/v1/series?range=5", 400, "range"),
    ] {
        let answer = monitor.ask(path).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        let problem: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(problem["field"], field, "{path}");
    }
    for path in ["/api/v1/tasks/nothing", "/api/v1/nothing"] {
        assert_eq!(monitor.ask(path).await.status(), 404, "{path}");
    }
    monitor.stop().await;
}
