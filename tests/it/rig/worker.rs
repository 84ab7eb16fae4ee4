//! A worker inside the test, so that its tasks are closures that see what the test sees.

use std::sync::Arc;

use celeriac::app::App;
use celeriac::client::TaskHandle;
use celeriac::config::Config;
use celeriac::handler::{Failure, Handler, Output, Registry, TaskContext};
use celeriac::protocol::Body;
use celeriac::publisher::SendOptions;
use celeriac::shutdown::Shutdown;
use celeriac::task::TaskOptions;
use celeriac::topology::{QueueKind, QueueTable};
use celeriac::worker::{Status, WorkerError};
use futures::future::BoxFuture;
use tokio::task::JoinSet;

use super::Rig;

/// A handler from a function of the context and the body.
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

/// Registers a function as a task.
pub fn add(
    registry: &mut Registry,
    name: &str,
    run: impl Fn(TaskContext, Arc<Body>) -> BoxFuture<'static, Result<Output, Failure>>
    + Send
    + Sync
    + 'static,
) {
    registry.add(name, TaskOptions::default(), Arc::new(Run(run))).unwrap();
}

/// A configuration that connects to `url`, with four slots and a queue `default` of this kind.
pub fn config(url: &str, kind: QueueKind) -> Config {
    let mut config = Config::default();
    config.broker.url = url.into();
    config.worker.concurrency = 4.into();
    config.queues.insert("default", QueueTable { kind: Some(kind), ..QueueTable::default() });
    config
}

/// A worker in this process, with a client of its own.
#[derive(Debug)]
pub struct Running {
    pub app: App,
    pub shutdown: Shutdown,
    pub status: Status,
    worker: JoinSet<Result<(), WorkerError>>,
}

impl Running {
    /// A worker of queue `default`.
    pub async fn start(rig: &Rig, kind: QueueKind, registry: Registry) -> Self {
        Self::with(config(&rig.url(), kind), registry).await
    }

    /// A worker as `config` wants it.
    ///
    /// Logs to standard error if `RUST_LOG` is set.
    pub async fn with(config: Config, registry: Registry) -> Self {
        if std::env::var_os("RUST_LOG").is_some() {
            let filter = tracing_subscriber::EnvFilter::from_default_env();
            let log =
                tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
            // The first test of the run sets it up for all.
            let _ = log.try_init();
        }
        let app = Box::pin(App::connect(config)).await.unwrap();
        let shutdown = Shutdown::new();
        let worker = app.worker(registry);
        let status = worker.status.clone();
        let mut running = JoinSet::new();
        running.spawn(worker.run(shutdown.clone()));
        Self { app, shutdown, status, worker: running }
    }

    /// Calls a task.
    pub async fn call<T>(&self, task: &str, args: &impl serde::Serialize) -> TaskHandle<T> {
        self.app.client().call(task, args, &(), SendOptions::default()).await.unwrap()
    }

    /// Awaits the end of the worker by itself.
    pub async fn ended(&mut self) -> Result<(), WorkerError> {
        self.worker.join_next().await.expect("ended once").unwrap()
    }

    /// Drains it and awaits its end.
    pub async fn stop(mut self) {
        self.shutdown.drain();
        self.ended().await.unwrap();
        self.app.close().await;
    }
}
