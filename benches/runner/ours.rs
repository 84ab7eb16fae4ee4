//! What our client and worker cost.

use crate::bare::now;
use crate::messages::TASK;
use crate::side::{Meter, QUEUE, Side};
use anyhow::{Result, ensure};
use celeriac::app::App;
use celeriac::client::NamedCall;
use celeriac::config::Config;
use celeriac::events::Tasks;
use celeriac::handler::{Failure, Handler, Output, Registry, TaskContext, TaskError};
use celeriac::protocol::Body;
use celeriac::publisher::SendOptions;
use celeriac::shutdown::Shutdown;
use celeriac::task::TaskOptions;
use celeriac::topology::{QueueKind, QueueTable, Topology};
use futures::StreamExt;
use futures::future::BoxFuture;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// Takes what a task is given: when it was sent, or when it was due.
type Note = fn(&TaskContext, (i64, i64)) -> Option<(String, f64)>;

/// The task `cap.add`, and what it has seen.
struct Add {
    left: AtomicUsize,
    done: Notify,
    note: Note,
    times: Mutex<Vec<(String, f64)>>,
}

impl Handler for Add {
    fn call(
        &self,
        cx: TaskContext,
        body: Arc<Body>,
    ) -> BoxFuture<'static, Result<Output, Failure>> {
        let sum = body.args::<(i64, i64)>().map(|(a, b)| {
            if let Some(time) = (self.note)(&cx, (a, b)) {
                self.times.lock().unwrap_or_else(PoisonError::into_inner).push(time);
            }
            Output::new(a + b)
        });
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.done.notify_one();
        }
        Box::pin(async move {
            sum.map_err(|error| Failure::Reject(TaskError::new("Arguments", error.to_string())))
        })
    }
}

impl Add {
    fn new(count: usize, note: Note) -> Arc<Self> {
        let (left, done, times) = (AtomicUsize::new(count), Notify::new(), Mutex::default());
        Arc::new(Self { left, done, note, times })
    }

    fn times(&self) -> Vec<(String, f64)> {
        std::mem::take(&mut self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A worker that runs this task until `count` of them have ended and been acknowledged.
    async fn work(self: &Arc<Self>, app: &App) -> Result<()> {
        let mut registry = Registry::new();
        registry.add(TASK, TaskOptions::default(), Arc::clone(self) as Arc<dyn Handler>)?;
        let shutdown = Shutdown::new();
        let worker = app.worker(registry).run(shutdown.clone());
        let finished = async {
            self.done.notified().await;
            shutdown.drain();
            Ok(())
        };
        futures::try_join!(async { anyhow::Ok(worker.await?) }, finished)?;
        Ok(())
    }
}

/// The configuration of all our sides: the defaults, and one classic queue.
pub(crate) fn config(url: &str) -> Config {
    let mut config = Config::default();
    config.broker.url = url.into();
    config.worker.queues = vec![QUEUE.to_owned()];
    let table = QueueTable { kind: Some(QueueKind::Classic), ..QueueTable::default() };
    config.queues.insert(QUEUE, table);
    config
}

/// Declares what all sides use, so that nobody is measured while it declares.
pub(crate) async fn declare(url: &str) -> Result<()> {
    let config = config(url);
    let settings = config.topology();
    let app = App::connect(config).await?;
    // The ladder before the queues, which are bound to its exit.
    let broker = app.broker();
    broker.declare(&Topology::dead(&settings)).await?;
    broker.declare_ladder(&Topology::ladder(&settings)).await?;
    broker.declare(&Topology::work(&settings, &[QUEUE.to_owned()])).await?;
    app.close().await;
    Ok(())
}

pub(crate) async fn publish(side: &Side, window: usize) -> Result<()> {
    let app = App::connect(config(&side.url)).await?;
    let options = || SendOptions::default().queue(QUEUE).ignore_result();
    let meter = Meter::ready()?;
    let client = app.client();
    if window == 1 {
        for _ in 0..side.count {
            client.send(TASK, &(2, 3), &(), options()).await?;
        }
    } else {
        let call =
            |_| NamedCall { task: TASK.to_owned(), args: (2, 3), kwargs: (), options: options() };
        let mut sent = std::pin::pin!(client.send_all((0..side.count).map(call)));
        while let Some(sent) = sent.next().await {
            sent?;
        }
    }
    meter.report(Vec::new())
}

pub(crate) async fn drain(side: &Side, prefetch: Option<u16>, ack_every: u32) -> Result<()> {
    log(side)?;
    let mut config = config(&side.url);
    if let Some(prefetch) = prefetch {
        config.worker.prefetch = u32::from(prefetch).into();
    }
    config.worker.acknowledge.every = ack_every;
    let app = App::connect(config).await?;
    let meter = Meter::ready()?;
    Add::new(side.count, |_, _| None).work(&app).await?;
    meter.report(Vec::new())
}

/// As [`drain`] with its own prefetch, telling of each task.
pub(crate) async fn events(side: &Side) -> Result<()> {
    let mut config = config(&side.url);
    config.events.tasks = Tasks::Always;
    let app = App::connect(config).await?;
    let meter = Meter::ready()?;
    Add::new(side.count, |_, _| None).work(&app).await?;
    meter.report(Vec::new())
}

/// Sends two hundred tasks a second to a worker in the same process.
pub(crate) async fn latency(side: &Side) -> Result<()> {
    let app = App::connect(config(&side.url)).await?;
    let add = Add::new(side.count, |_, (sent, _)| Some((String::new(), (now() - sent) as f64)));
    let meter = Meter::ready()?;
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    let send = async {
        for _ in 0..side.count {
            pace.tick().await;
            let options = SendOptions::default().queue(QUEUE).ignore_result();
            app.client().send(TASK, &(now(), 0), &(), options).await?;
        }
        anyhow::Ok(())
    };
    futures::try_join!(send, add.work(&app))?;
    meter.report(add.times())
}

/// Works while many tasks wait in the broker, and notes how late each starts.
pub(crate) async fn delayed(side: &Side) -> Result<()> {
    let app = App::connect(config(&side.url)).await?;
    let add = Add::new(side.count, |cx, (seconds, _)| {
        let late = SystemTime::now().duration_since(cx.headers.eta?).unwrap_or_default();
        Some((seconds.to_string(), late.as_secs_f64() * 1e6))
    });
    let meter = Meter::ready()?;
    add.work(&app).await?;
    meter.report(add.times())
}

/// Runs one task, then has nothing to do.
pub(crate) async fn idle(side: &Side, seconds: u64) -> Result<()> {
    log(side)?;
    let app = App::connect(config(&side.url)).await?;
    // One task runs; the second never comes.
    let add = Add::new(2, |_, _| Some((String::new(), 0.0)));
    let watch = async {
        while add.left.load(Ordering::Relaxed) == 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let meter = Meter::ready()?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        meter.report(Vec::new())
    };
    tokio::select! {
        ended = add.work(&app) => ended,
        watched = watch => watched,
    }
}

fn log(side: &Side) -> Result<()> {
    let mut settings = celeriac::telemetry::Settings::default();
    let parsed = side.log.parse();
    ensure!(parsed.is_ok(), "no log level: {}", side.log);
    settings.level = parsed.unwrap_or_default();
    settings.target = celeriac::telemetry::Target::File("/dev/null".into());
    celeriac::telemetry::start(&settings)?;
    Ok(())
}
