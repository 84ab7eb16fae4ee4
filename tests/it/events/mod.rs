//! What monitors are told: on request and from the start, under pressure, and beside what Celery's
//! own workers tell.

mod beat;
mod celery;
mod monitor;
mod pressure;

use crate::rig::{Rig, Running, add, config};
use celeriac::broker::StreamStart;
use celeriac::config::Config;
use celeriac::events::{self, Tasks, Turned};
use celeriac::handler::{Output, Registry};
use celeriac::topology::QueueKind;
use monitor::{Monitor, kinds};
use std::time::Duration;

/// Tells of tasks from the start, and twice a second that the worker lives.
fn telling(rig: &Rig) -> Config {
    let mut config = config(&rig.url(), QueueKind::Classic);
    config.events.tasks = Tasks::Always;
    config.events.heartbeat = Duration::from_millis(500);
    config
}

fn adding() -> Registry {
    let mut registry = Registry::new();
    add(&mut registry, "add", |_, body| {
        let (a, b): (i64, i64) = body.args().unwrap();
        Box::pin(async move { Ok(Output::new(a + b)) })
    });
    registry
}

#[tokio::test]
async fn a_worker_tells_of_itself_and_of_tasks_once_it_is_asked() {
    let rig = Rig::start().await;
    let mut monitor = Monitor::start(&rig).await;
    let mut config = telling(&rig);
    config.events.tasks = Tasks::OnRequest;
    let running = Running::with(config, adding()).await;
    monitor.until("worker-heartbeat").await;
    let untold = running.call::<i64>("add", &(1, 2)).await;
    let untold = untold.id().clone();
    monitor.until("worker-heartbeat").await;

    let events = running.status.events().unwrap();
    assert_eq!(events.switch().enable(), Turned::Now);
    let told = running.call::<i64>("add", &(1, 2)).await.id().clone();
    monitor.until("task-succeeded").await;
    assert_eq!(events.switch().disable(), Turned::Now);
    let last = running.call::<i64>("add", &(3, 4)).await;
    assert_eq!(last.await.unwrap(), 7);
    running.stop().await;
    monitor.until("worker-offline").await;

    assert_eq!(kinds(&monitor.of(&told)), ["task-received", "task-started", "task-succeeded"]);
    assert_eq!(kinds(&monitor.of(&untold)), [""; 0]);
    assert_eq!(monitor.told("worker-online").len(), 1);
    let tasks: Vec<_> = monitor.all().filter(|event| event.kind.starts_with("task-")).collect();
    assert_eq!(tasks.len(), 3, "{tasks:?}");
    assert_eq!(monitor.all().last().unwrap().kind, "worker-offline");
}

#[tokio::test]
async fn a_monitor_that_was_away_misses_nothing() {
    let rig = Rig::start().await;
    let running = Running::with(telling(&rig), adding()).await;
    let sending = &running;
    let calls = (0..50).map(|n| async move { sending.call::<i64>("add", &(n, 1)).await });
    let ids = futures::future::join_all(calls).await;
    let ids: Vec<_> = ids.iter().map(|call| call.id().clone()).collect();
    let client = running.app.client().clone();
    futures::future::join_all(ids.iter().map(|id| client.result::<i64>(id.clone()).wait())).await;
    running.stop().await;

    let app = celeriac::app::App::connect(telling(&rig)).await.unwrap();
    let kept = read(&app, StreamStart::First).await;
    for id in &ids {
        let events = kept.iter().filter(|(_, event)| event.uuid().as_ref() == Some(id));
        let events: Vec<_> = events.map(|(_, event)| event.clone()).collect();
        assert_eq!(kinds(&events), ["task-received", "task-started", "task-succeeded"], "{id}");
    }
    let clocks: Vec<_> = kept.iter().map(|(_, event)| event.clock).collect();
    assert!(clocks.is_sorted(), "in the order in which it happened: {clocks:?}");

    // It had stored the offset of a message in the middle, and goes on there.
    let stored = kept[kept.len() / 2].0;
    let rest: Vec<_> = kept.iter().filter(|(offset, _)| *offset > stored).cloned().collect();
    let mut again = read(&app, StreamStart::Offset(stored + 1)).await;
    again.retain(|(offset, _)| *offset > stored);
    assert_eq!(again, rest);
    app.close().await;
}

/// Everything in the stream of events from `start`, with the offset of its message.
async fn read(app: &celeriac::app::App, start: StreamStart) -> Vec<(u64, events::Told)> {
    let mut stream = app.broker().read_stream("celeriac.events", start).await.unwrap();
    let mut kept = Vec::new();
    while let Some((offset, message)) = stream.next().await.unwrap() {
        kept.extend(events::read(&message).unwrap().into_iter().map(|event| (offset, event)));
    }
    stream.close().await;
    kept
}

#[tokio::test]
async fn arguments_that_are_secret_or_not_to_be_told_are_not() {
    let rig = Rig::start().await;
    let mut monitor = Monitor::start(&rig).await;
    let mut registry = adding();
    registry.hide_arguments("add");
    let hidden = Running::with(telling(&rig), registry).await;
    let id = hidden.call::<i64>("add", &(1, 2)).await.id().clone();
    monitor.until("task-succeeded").await;
    hidden.stop().await;
    assert!(monitor.of(&id)[0].fields["args"].is_null());
    assert_eq!(monitor.of(&id)[2].fields["result"], "3");

    let mut config = telling(&rig);
    config.events.payload = events::Payload::Never;
    let silent = Running::with(config, adding()).await;
    let id = silent.call::<i64>("add", &(1, 2)).await.id().clone();
    monitor.until("task-succeeded").await;
    silent.stop().await;
    let told = monitor.of(&id);
    for (event, field) in [(0, "args"), (0, "kwargs"), (2, "result")] {
        assert!(told[event].fields[field].is_null(), "{field}");
    }
}
