//! Tasks that are revoked, before they run and while they do.

use crate::rig::{PATIENCE, Rig, Running, add, eventually};
use celeriac::client::ResultError;
use celeriac::control::Reach;
use celeriac::handler::{Output, Registry};
use celeriac::protocol::TaskState;
use celeriac::publisher::SendOptions;
use celeriac::topology::QueueKind;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// A registry whose task `count` counts its runs.
fn counting() -> (Registry, Arc<AtomicU32>) {
    let (mut registry, runs) = (Registry::new(), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&runs);
    add(&mut registry, "count", move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(Output::new(1)) })
    });
    (registry, runs)
}

fn state(error: &ResultError) -> &TaskState {
    match error {
        ResultError::Failed { state, .. } => state,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_revoked_task_does_not_run_when_its_time_comes() {
    let rig = Rig::start().await;
    let (registry, runs) = counting();
    let running = Running::start(&rig, QueueKind::Quorum, registry).await;
    let client = running.app.client();
    let later = || SendOptions::default().countdown(Duration::from_secs(1));
    let revoked = client.call::<i64>("count", &(), &(), later()).await.unwrap();
    let kept = client.call::<i64>("count", &(), &(), later()).await.unwrap();
    client.revoke(revoked.id().clone(), Reach::NotBegun).await.unwrap();
    let error = revoked.timeout(PATIENCE).await.unwrap_err();
    assert_eq!(state(&error), &TaskState::Revoked, "{error}");
    assert_eq!(kept.timeout(PATIENCE).await.unwrap(), 1);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    running.stop().await;
    assert_eq!(rig.ready("default").await, 0);
    assert_eq!(rig.ready("celeriac.dead").await, 0, "what was revoked is not kept");
}

#[tokio::test]
async fn a_worker_that_starts_later_knows_what_was_revoked() {
    let rig = Rig::start().await;
    let (registry, runs) = counting();
    let mut first = Running::start(&rig, QueueKind::Classic, Registry::new()).await;
    let client = first.app.client().clone();
    let options = || SendOptions::default().countdown(Duration::from_millis(500));
    let revoked = client.call::<i64>("count", &(), &(), options()).await.unwrap();
    client.revoke(revoked.id().clone(), Reach::NotBegun).await.unwrap();
    first.shutdown.drain();
    first.ended().await.unwrap();
    eventually("the task to wait in its queue", async || rig.ready("default").await == 1).await;

    let second = Running::start(&rig, QueueKind::Classic, registry).await;
    let error = revoked.timeout(PATIENCE).await.unwrap_err();
    assert_eq!(state(&error), &TaskState::Revoked, "{error}");
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    second.stop().await;
}

#[tokio::test]
async fn a_running_task_is_stopped_when_that_is_asked_for() {
    let rig = Rig::start().await;
    let mut registry = Registry::new();
    let begun = Arc::new(Notify::new());
    let tell = Arc::clone(&begun);
    add(&mut registry, "endless", move |_, _| {
        tell.notify_one();
        Box::pin(pending())
    });
    let running = Running::start(&rig, QueueKind::Quorum, registry).await;
    let handle = running.call::<i64>("endless", &()).await;
    begun.notified().await;
    handle.revoke(Reach::Running).await.unwrap();
    let error = handle.timeout(PATIENCE).await.unwrap_err();
    assert_eq!(state(&error), &TaskState::Revoked, "{error}");
    running.stop().await;
    assert_eq!(rig.ready("default").await, 0, "it is not handed out again");
}
