//! A worker takes what was sent through its whole life.

use crate::rig::{PATIENCE, Rig, Running, add, eventually};
use celeriac::client::ResultError;
use celeriac::handler::{Failure, Output, Registry, TaskError};
use celeriac::protocol::TaskState;
use celeriac::publisher::SendOptions;
use celeriac::topology::QueueKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

fn sum(registry: &mut Registry) {
    add(registry, "sum", |_, body| {
        Box::pin(async move {
            let (a, b): (i64, i64) = body.args().map_err(|error| {
                Failure::Reject(TaskError::new("ArgumentError", error.to_string()))
            })?;
            Ok(Output::new(a + b))
        })
    });
}

#[tokio::test]
async fn a_result_comes_back_to_who_called() {
    for kind in [QueueKind::Quorum, QueueKind::Classic] {
        let rig = Rig::start().await;
        let mut registry = Registry::new();
        sum(&mut registry);
        let running = Running::start(&rig, kind, registry).await;
        let handle = running.call::<i64>("sum", &(2, 3)).await;
        assert_eq!(handle.timeout(PATIENCE).await.unwrap(), 5);
        running.stop().await;
    }
}

#[tokio::test]
async fn a_failed_task_is_retried_in_the_broker_until_it_succeeds() {
    let rig = Rig::start().await;
    let mut registry = Registry::new();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    add(&mut registry, "flaky", move |cx, _| {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            assert_eq!(cx.headers.retries, run);
            match run {
                0..2 => Err(Failure::Retry {
                    after: Some(Duration::from_millis(250)),
                    error: TaskError::new("Flaky", "not yet"),
                }),
                _ => Ok(Output::new(run)),
            }
        })
    });
    let running = Running::start(&rig, QueueKind::Quorum, registry).await;
    let handle = running.call::<u32>("flaky", &()).await;
    assert_eq!(handle.timeout(PATIENCE).await.unwrap(), 2);
    running.stop().await;
    assert_eq!(rig.ready("default").await, 0);
}

#[tokio::test]
async fn what_is_given_up_is_told_and_archived() {
    let rig = Rig::start().await;
    let mut registry = Registry::new();
    sum(&mut registry);
    add(&mut registry, "broken", |_, _| {
        Box::pin(async { Err(Failure::Reject(TaskError::new("Broken", "for good"))) })
    });
    add(&mut registry, "panics", |_, _| panic!("at the disco"));
    let running = Running::start(&rig, QueueKind::Classic, registry).await;
    let options = || {
        SendOptions::default()
            .retry(celeriac::task::RetryPolicy { max_retries: Some(0), ..Default::default() })
    };
    let client = running.app.client();
    let mut errors = Vec::new();
    for task in ["broken", "panics", "sum"] {
        let call = client.call::<i64>(task, &("x", 1), &(), options()).await.unwrap();
        let ResultError::Failed { state, exception, .. } =
            call.timeout(PATIENCE).await.unwrap_err()
        else {
            panic!("no failure")
        };
        assert_eq!(state, TaskState::Failure);
        errors.push((exception.kind.clone(), exception.text()));
    }
    assert_eq!(errors[0].0, "Broken");
    assert_eq!(errors[1].0, "Panic");
    assert!(errors[1].1.contains("at the disco"), "{errors:?}");
    assert_eq!(errors[2].0, "ArgumentError");
    eventually("three letters in the archive", async || rig.ready("celeriac.dead").await == 3)
        .await;
    running.stop().await;
}

#[tokio::test]
async fn a_countdown_waits_in_the_broker_and_starts_on_time() {
    let rig = Rig::start().await;
    let mut registry = Registry::new();
    sum(&mut registry);
    let running = Running::start(&rig, QueueKind::Quorum, registry).await;
    let options = SendOptions::default().countdown(Duration::from_millis(1_100));
    let sent = Instant::now();
    let client = running.app.client();
    let call = client.call::<i64>("sum", &(1, 1), &(), options).await.unwrap();
    assert_eq!(call.timeout(PATIENCE).await.unwrap(), 2);
    assert!(sent.elapsed() >= Duration::from_millis(1_100), "{:?}", sent.elapsed());
    running.stop().await;
}
