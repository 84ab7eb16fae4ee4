//! What Prometheus and whoever scales workers are told.

use super::scene::Scene;
use crate::rig::eventually;
use celeriac::publisher::SendOptions;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use serde_json::json;

#[tokio::test]
async fn prometheus_sees_tasks_queues_workers_and_dead_letters() {
    let scene = Box::pin(Scene::start()).await;
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    scene.run("shop.fail", &("x",), "FAILURE").await;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scene.monitor.status.clone()));
    let lines = [
        "celeriac_store_tasks{state=\"success\"} 1",
        "celeriac_store_tasks{state=\"failure\"} 1",
        "celeriac_store_tasks{state=\"started\"} 0",
        "celeriac_tasks_total{name=\"shop.fail\",queue=\"default\",outcome=\"failure\"} 1",
        "celeriac_tasks_total{name=\"shop.fail\",queue=\"default\",outcome=\"retry\"} 1",
        "celeriac_task_exceptions_total{name=\"shop.fail\",exception=\"CardDeclined\"} 1",
        "celeriac_task_run_seconds_count{name=\"shop.add\"} 1",
        "celeriac_task_wait_seconds_count{queue=\"default\"} 2",
        "celeriac_queue_ready{queue=\"default\"} 0",
        "celeriac_queue_consumers{queue=\"default\"} 1",
        "celeriac_dead_letters{state=\"open\"} 1",
        "celeriac_events_reading 1",
        "celeriac_streams_open 1",
    ];
    let _open = scene.monitor.ask("/api/v1/stream?topics=tasks").await;
    let aside = celeriac::topology::Queue::named("aside");
    scene.worker.app.broker().declare_queue(&aside).await.unwrap();
    let client = scene.worker.app.client();
    let options = SendOptions::default().queue("aside");
    client.send("shop.none", &(), &(), options).await.unwrap();
    eventually("every line", async || {
        let mut told = String::new();
        text::encode(&mut told, &registry).unwrap();
        let has = |line: &str| told.lines().any(|it| it.trim_end_matches(".0") == line);
        let due = |queue: &str| {
            let begins = format!("celeriac_queue_oldest_due_seconds{{queue=\"{queue}\"}} ");
            told.lines().find_map(|line| line.strip_prefix(&begins)?.parse::<f64>().ok())
        };
        let answers = "celeriac_http_request_seconds_count{route=\"/api/v1/tasks/{id}\"}";
        lines.iter().all(|line| has(line))
            && told.contains("celeriac_worker_up{worker=\"")
            && told.lines().any(|line| line.starts_with(answers))
            && due("aside").is_some_and(|due| due > 0.0)
            && due("default").is_none()
    })
    .await;
    scene.stop().await;
}

#[tokio::test]
async fn the_demand_of_queues_is_one_number() {
    let scene = Box::pin(Scene::start()).await;
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    let broker = scene.worker.app.broker();
    broker.declare_queue(&celeriac::topology::Queue::named("aside")).await.unwrap();
    let options = celeriac::publisher::SendOptions::default().exchange("").routing_key("aside");
    scene.worker.app.client().send("shop.none", &(), &(), options).await.unwrap();
    // The worker may just be changing its prefetch, and has no consumer for a moment.
    eventually("one message and one consumer", async || {
        let demand = scene.monitor.get("/api/v1/demand?queues=default,aside").await;
        (&demand["ready"], &demand["consumers"]) == (&json!(1), &json!(1))
            && demand["per_queue"]["aside"]["ready"] == 1
    })
    .await;
    assert_eq!(scene.monitor.ask("/api/v1/demand?queues=none").await.status(), 404);
    scene.stop().await;
}
