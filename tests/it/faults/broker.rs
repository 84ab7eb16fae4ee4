//! The broker itself: stopped, killed, short of memory, impatient.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use celeriac::app::App;
use celeriac::broker::PublishError;
use celeriac::handler::{Output, Registry};
use celeriac::publisher::{SendError, SendOptions};
use celeriac::topology::QueueKind;

use super::accounts::{Load, Runs, archived, until_empty};
use crate::rig::{Rig, Running, add, config};

/// A publisher and a worker, under load; beside it tasks that wait in the delay ladder all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_stopped_and_killed_under_load_loses_nothing() {
    const LANES: usize = 8;
    const DELAYED: u64 = 200;
    let rig = Rig::alone().await;
    let runs = Runs::default();
    let mut registry = Registry::new();
    runs.register(&mut registry, "step");
    let mut config = config(&rig.url(), QueueKind::Quorum);
    config.broker.reconnect.max = Duration::from_millis(500);
    config.worker.prefetch = 10.into();
    let running = Running::with(config, registry).await;
    let client = running.app.client();
    let load = Load::start(client, "step", LANES, Duration::from_secs(90));
    let mut accepted = BTreeSet::new();
    for number in 0..DELAYED {
        let wait = Duration::from_millis(1_000 + number * 75);
        let options = SendOptions::default().id(format!("delayed-{number}")).countdown(wait);
        let sent = client.send("step", &(), &(), options).await.unwrap();
        accepted.insert(sent.id.to_string());
    }

    load.until_more(200).await;
    rig.node().stop().await;
    rig.node().start().await;
    let back = Instant::now();
    load.until_more(200).await;
    let published = back.elapsed();
    rig.node().kill().await;
    rig.node().start().await;
    let back = Instant::now();
    load.until_more(200).await;
    eprintln!(
        "200 more published {published:?} after the stop and {:?} after the kill",
        back.elapsed()
    );

    let sent = load.stop().await;
    assert!(sent.refused.is_empty(), "{:?}", sent.refused);
    accepted.extend(sent.accepted);
    runs.until_all(&accepted).await;
    running.stop().await;
    until_empty(&rig, "default").await;
    assert!(archived(&rig).await.is_empty());
    let known: BTreeSet<_> = runs.counts().into_keys().collect();
    assert_eq!(known, accepted, "what ran is what was sent");
    eprintln!("{} accepted, {} runs repeated", accepted.len(), runs.repeated());
}

#[tokio::test]
async fn under_a_memory_alarm_publishing_says_so_and_acknowledging_goes_on() {
    let rig = Rig::alone().await;
    let app = App::connect(config(&rig.url(), QueueKind::Quorum)).await.unwrap();
    let client = app.client();
    let mut ids = BTreeSet::new();
    for number in 0..50 {
        let options = SendOptions::default().id(number.to_string());
        ids.insert(client.send("step", &(), &(), options).await.unwrap().id.to_string());
    }
    rig.node().raise_memory_alarm().await;

    // The alarm takes a moment to reach the connection.
    let deadline = Duration::from_millis(500);
    let (last, blocked) = loop {
        let id = format!("after the alarm {}", ids.len());
        let options = SendOptions::default().id(id.as_str()).deadline(deadline);
        match client.send("step", &(), &(), options).await {
            Ok(_) => drop(ids.insert(id)),
            Err(blocked) => break (id, blocked),
        }
    };
    let SendError::Publish(PublishError::Blocked { reason, waited }) = &blocked else {
        panic!("{blocked}")
    };
    assert!(reason.contains("memory") && *waited >= deadline, "{blocked}");
    assert!(app.broker().blocked().is_some());

    let runs = Runs::default();
    let mut registry = Registry::new();
    runs.register(&mut registry, "step");
    let running = Running::start(&rig, QueueKind::Quorum, registry).await;
    runs.until_all(&ids).await;
    until_empty(&rig, "default").await;

    let patient = SendOptions::default().id("patient").deadline(Duration::from_secs(60));
    let resumed = Instant::now();
    let (sent, ()) =
        tokio::join!(client.send("step", &(), &(), patient), rig.node().clear_memory_alarm());
    ids.insert(sent.unwrap().id.to_string());
    eprintln!("published {:?} after the alarm was taken back", resumed.elapsed());
    runs.until_all(&ids).await;
    assert!(app.broker().blocked().is_none());
    running.stop().await;
    app.close().await;
    until_empty(&rig, "default").await;
    assert!(runs.repeated() == 0 && runs.of(&last) <= 1);
}

/// RabbitMQ closes the channel of a consumer that holds a delivery too long, half an hour by
/// default. What it brought is void.
#[tokio::test]
async fn a_task_that_outlasts_the_consumer_timeout_runs_again_and_is_acknowledged_once() {
    let rig = Rig::alone().await;
    let settings = "application:set_env(rabbit, consumer_timeout, 1000), \
                    application:set_env(rabbit, channel_tick_interval, 500).";
    rig.node().ctl(&["eval", settings]).await;
    let runs = Runs::default();
    let mut registry = Registry::new();
    let counted = runs.clone();
    add(&mut registry, "slow", move |cx, _| {
        let runs = counted.clone();
        runs.record(cx.id().as_str());
        Box::pin(async move {
            runs.until("it runs again", |runs| runs.len() >= 2).await;
            Ok(Output::none())
        })
    });
    let running = Running::start(&rig, QueueKind::Quorum, registry).await;
    let options = SendOptions::default().id("slow");
    running.app.client().send("slow", &(), &(), options).await.unwrap();
    runs.until("the broker hands it out again", |runs| runs.len() == 2).await;
    running.stop().await;
    until_empty(&rig, "default").await;
    assert_eq!(runs.of("slow"), 2);
    assert!(archived(&rig).await.is_empty());
}
