//! No task waits for an event.

use super::monitor::Monitor;
use super::telling;
use crate::rig::{Rig, Running, add, eventually};
use celeriac::handler::{Output, Registry};
use celeriac::publisher::SendOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

const TASKS: usize = 1000;

#[tokio::test]
async fn under_a_memory_alarm_tasks_end_all_the_same_and_events_are_dropped_and_counted() {
    let rig = Rig::alone().await;
    let (gate, ended) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut registry = Registry::new();
    let (opened, counted) = (Arc::clone(&gate), Arc::clone(&ended));
    add(&mut registry, "gated", move |_, _| {
        let (gate, ended) = (Arc::clone(&opened), Arc::clone(&counted));
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            ended.fetch_add(1, Ordering::SeqCst);
            Ok(Output::none())
        })
    });
    let mut config = telling(&rig);
    config.events.buffer = 40_000;
    let running = Running::with(config, registry).await;
    let client = running.app.client();
    let options = || SendOptions::default().ignore_result();
    let sent = (0..TASKS).map(|_| client.send("gated", &(), &(), options()));
    futures::future::try_join_all(sent).await.unwrap();
    let mut monitor = Monitor::start(&rig).await;

    rig.node().raise_memory_alarm().await;
    eventually("the broker to block us", async || running.app.broker().blocked().is_some()).await;
    gate.add_permits(TASKS);
    eventually("every task to end", async || ended.load(Ordering::SeqCst) == TASKS).await;
    eventually("every task to be acknowledged", async || {
        let queue = rig.queue("default").await.unwrap();
        (queue.ready, queue.unacknowledged) == (0, 0)
    })
    .await;
    let events = running.status.events().unwrap().clone();
    assert!(events.dropped() > 0, "of {}", events.told());

    rig.node().clear_memory_alarm().await;
    let dropped = events.dropped();
    monitor
        .until_told("a heartbeat with what was dropped", |event| {
            event.kind == "worker-heartbeat"
                && event.fields["events_dropped"].as_u64() == Some(dropped)
        })
        .await;
    running.stop().await;
    monitor.until("worker-offline").await;
    let told = monitor.all().filter(|event| event.kind.starts_with("task-")).count();
    assert!(told > 0 && told < 3 * TASKS, "the newest were kept: {told}");
}
