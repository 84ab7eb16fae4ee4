//! The operator's hand: queues and exchanges that vanish, differ, or fall silent.

use std::time::{Duration, Instant};

use celeriac::app::App;
use celeriac::handler::Registry;
use celeriac::publisher::SendOptions;
use celeriac::topology::QueueKind;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use super::accounts::{Runs, letters, until_empty};
use crate::rig::{Rig, Running, config, eventually};

async fn send(app: &App, id: &str) {
    app.client().send("step", &(), &(), SendOptions::default().id(id)).await.unwrap();
}

async fn declare_classic(rig: &Rig, queue: &str) {
    let (connection, channel) = rig.channel().await;
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
    connection.close(200, "declared".into()).await.unwrap();
}

async fn delete(rig: &Rig, what: &str, name: &str) {
    rig.management().delete(&format!("{what}/{}/{name}", rig.vhost())).await;
}

async fn recording(rig: &Rig) -> (Running, Runs) {
    let runs = Runs::default();
    let mut registry = Registry::new();
    runs.register(&mut registry, "step");
    (Running::start(rig, QueueKind::Quorum, registry).await, runs)
}

#[tokio::test]
async fn a_queue_deleted_under_its_worker_is_declared_again_and_consumed() {
    let rig = Rig::start().await;
    let (running, runs) = recording(&rig).await;
    send(&running.app, "before").await;
    runs.until("the first runs", |runs| runs.len() == 1).await;
    delete(&rig, "queues", "default").await;
    eventually("it is there and consumed", async || rig.consumers("default").await == Some(1))
        .await;
    assert_eq!(rig.queue("default").await.unwrap().kind, "quorum");
    send(&running.app, "after").await;
    runs.until("the second runs", |runs| runs.len() == 2).await;
    running.stop().await;
    until_empty(&rig, "default").await;
}

#[tokio::test]
async fn a_queue_that_the_operator_made_anew_is_consumed_as_it_is() {
    let rig = Rig::start().await;
    let mut config = config(&rig.url(), QueueKind::Quorum);
    config.topology.declare = false;
    let runs = Runs::default();
    let mut registry = Registry::new();
    runs.register(&mut registry, "step");
    let (made, _) = recording(&rig).await;
    made.stop().await;
    let running = Running::with(config, registry).await;
    eventually("it is consumed", async || rig.consumers("default").await == Some(1)).await;
    delete(&rig, "queues", "default").await;
    declare_classic(&rig, "default").await;
    eventually("it is consumed again", async || rig.consumers("default").await == Some(1)).await;
    let options = SendOptions::default().exchange("").routing_key("default");
    running.app.client().send("step", &(), &(), options).await.unwrap();
    runs.until("it runs", |runs| runs.len() == 1).await;
    running.stop().await;
    assert_eq!(rig.queue("default").await.unwrap().kind, "classic");
}

#[tokio::test]
async fn a_queue_with_other_arguments_stops_the_worker_at_its_start_and_says_which() {
    let rig = Rig::start().await;
    declare_classic(&rig, "default").await;
    let config = config(&rig.url(), QueueKind::Quorum);
    let mut running = Running::with(config, Registry::new()).await;
    let error = running.ended().await.unwrap_err().to_string();
    for part in ["\"default\"", "x-dead-letter-exchange", "none", "celeriac.dead"] {
        assert!(error.contains(part), "{part} is missing: {error}");
    }
    assert_eq!(rig.queue("default").await.unwrap().kind, "classic", "nothing was changed");
}

#[tokio::test]
async fn a_deleted_exchange_is_declared_again_by_who_publishes() {
    let rig = Rig::start().await;
    let (running, runs) = recording(&rig).await;
    send(&running.app, "before").await;
    delete(&rig, "exchanges", "celeriac").await;
    send(&running.app, "after").await;
    runs.until("both run", |runs| runs.len() == 2).await;
    running.stop().await;
    until_empty(&rig, "default").await;
}

/// Heartbeats are off, so nobody but the watchdog can notice that nothing arrives.
#[tokio::test]
async fn the_watchdog_consumes_anew_when_deliveries_have_stopped() {
    let rig = Rig::start().await;
    let proxy = rig.proxy().await;
    let runs = Runs::default();
    let mut registry = Registry::new();
    runs.register(&mut registry, "step");
    let mut watched = config(&rig.url_through(&proxy), QueueKind::Quorum);
    watched.broker.heartbeat = Duration::ZERO;
    watched.worker.watchdog = Duration::from_millis(500);
    let running = Running::with(watched, registry).await;
    let other = App::connect(config(&rig.url(), QueueKind::Quorum)).await.unwrap();
    send(&other, "before").await;
    runs.until("the first runs", |runs| runs.len() == 1).await;
    proxy.half_open();
    send(&other, "after").await;
    let stopped = Instant::now();
    // The first may run again: its acknowledgement may have been lost as well.
    runs.until("the second runs", |runs| runs.iter().any(|id| id == "after")).await;
    eprintln!("consumed anew {:?} after the fault", stopped.elapsed());
    running.stop().await;
    other.close().await;
    until_empty(&rig, "default").await;
}

/// The queue goes while a task waits for its time. Only a worker of another queue is there.
#[tokio::test]
async fn a_delayed_message_whose_queue_is_gone_ends_in_the_archive() {
    let rig = Rig::start().await;
    let mut elsewhere = config(&rig.url(), QueueKind::Quorum);
    elsewhere.worker.queues = vec!["other".to_owned()];
    let running = Running::with(elsewhere, Registry::new()).await;
    let options = SendOptions::default().id("late").countdown(Duration::from_millis(1_500));
    running.app.client().send("step", &("payload",), &(), options).await.unwrap();
    delete(&rig, "queues", "default").await;
    let letter = letters(&rig, 1).await.remove(0);
    assert_eq!(letter.correlation_id.as_deref(), Some("late"));
    assert_eq!(letter.reason(), "undeliverable");
    assert_eq!(letter.text("celeriac-dead-queue").as_deref(), Some("default"));
    let body = String::from_utf8_lossy(&letter.body);
    assert!(body.contains("payload"), "{body}");
    running.stop().await;
}
