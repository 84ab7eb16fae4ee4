//! A worker takes what was sent through its whole life.

use crate::rig::{PATIENCE, Rig, eventually};
use celeriac::app::App;
use celeriac::client::{ResultError, TaskHandle};
use celeriac::config::Config;
use celeriac::handler::{Failure, Handler, Output, Registry, TaskContext, TaskError};
use celeriac::protocol::{Body, TaskState};
use celeriac::publisher::SendOptions;
use celeriac::shutdown::Shutdown;
use celeriac::task::TaskOptions;
use celeriac::topology::{QueueKind, QueueTable};
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// A handler from a function of the context and the decoded arguments.
struct Run<F>(F);

impl<F> Handler for Run<F>
where
    F: Fn(TaskContext, Arc<Body>) -> BoxFuture<'static, Result<Output, Failure>>
        + Send
        + Sync
        + 'static,
{
    fn call(
        &self,
        cx: TaskContext,
        body: Arc<Body>,
    ) -> BoxFuture<'static, Result<Output, Failure>> {
        (self.0)(cx, body)
    }
}

fn add(
    registry: &mut Registry,
    name: &str,
    run: impl Fn(TaskContext, Arc<Body>) -> BoxFuture<'static, Result<Output, Failure>>
    + Send
    + Sync
    + 'static,
) {
    registry.add(name, TaskOptions::default(), Arc::new(Run(run))).unwrap();
}

/// A worker in this process, stopped and joined by [`Running::stop`].
struct Running {
    app: App,
    shutdown: Shutdown,
    worker: JoinSet<()>,
}

impl Running {
    async fn start(rig: &Rig, kind: QueueKind, registry: Registry) -> Self {
        let mut config = Config::default();
        config.broker.url = rig.url().as_str().into();
        config.worker.concurrency = 4.into();
        config.queues.insert("default", QueueTable { kind: Some(kind), ..QueueTable::default() });
        let app = App::connect(config).await.unwrap();
        let shutdown = Shutdown::new();
        let worker = app.worker(registry);
        let mut running = JoinSet::new();
        let stop = shutdown.clone();
        running.spawn(async move { worker.run(stop).await.unwrap() });
        Self { app, shutdown, worker: running }
    }

    async fn call<T>(&self, task: &str, args: &impl serde::Serialize) -> TaskHandle<T> {
        self.app.client().call(task, args, &(), SendOptions::default()).await.unwrap()
    }

    async fn stop(mut self) {
        self.shutdown.drain();
        while let Some(ended) = self.worker.join_next().await {
            ended.unwrap();
        }
        self.app.close().await;
    }
}

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
