//! A broker of either kind, with time that passes.

use crate::rig::{PATIENCE, Rig, eventually};
use celeriac::app::App;
use celeriac::broker::{AckPolicy, Broker, Consume, Deliveries, Delivery, RawMessage};
use celeriac::config::Config;
use celeriac::handler::Registry;
use celeriac::protocol::{HeaderValue, Properties};
use celeriac::shutdown::Shutdown;
use celeriac::testing::TestWorker;
use celeriac::topology::{Binding, Exchange, Queue, Topology};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Where a test of both kinds plays.
pub(super) struct Stage {
    app: Option<App>,
    rig: Option<Rig>,
    worker: Option<Worker>,
}

enum Worker {
    Memory(Box<TestWorker>),
    RabbitMq(Shutdown, JoinSet<()>),
}

/// Time is moved on by this much at a time, or passes before the broker is asked again.
const STEP: Duration = Duration::from_millis(25);

impl Stage {
    pub(super) fn in_memory() -> Self {
        Self { app: Some(App::in_memory()), rig: None, worker: None }
    }

    pub(super) async fn on_rabbitmq() -> Self {
        let rig = Rig::start().await;
        let app = App::connect(rig.url().as_str()).await.unwrap();
        Self { app: Some(app), rig: Some(rig), worker: None }
    }

    pub(super) fn app(&self) -> &App {
        self.app.as_ref().unwrap()
    }

    pub(super) fn broker(&self) -> &Broker {
        self.app().broker()
    }

    /// Starts a worker with a configuration of its own: nothing was asked of the app before.
    pub(super) async fn work(&mut self, mut config: Config, registry: Registry) {
        match &self.rig {
            None => {
                let app = App::in_memory_with(config).unwrap();
                let worker = TestWorker::new(&app).registry(registry);
                // Starts it.
                worker.drain().await;
                self.worker = Some(Worker::Memory(Box::new(worker)));
                self.app = Some(app);
            }
            Some(rig) => {
                config.broker.url = rig.url().as_str().into();
                let app = App::connect(config).await.unwrap();
                let shutdown = Shutdown::new();
                let worker = app.worker(registry);
                let mut running = JoinSet::new();
                let stop = shutdown.clone();
                running.spawn(async move { worker.run(stop).await.unwrap() });
                self.worker = Some(Worker::RabbitMq(shutdown, running));
                self.app = Some(app);
                let queue = self.app().config().worker.queues[0].clone();
                eventually("the worker consumes", async || {
                    let depth = self.broker().depth(&queue).await.unwrap();
                    depth.is_some_and(|depth| depth.consumers > 0)
                })
                .await;
            }
        }
    }

    /// Lets time pass until `condition` holds.
    pub(super) async fn until(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        if self.rig.is_some() {
            // What the broker tells only when asked.
            let asking = async {
                while !condition().await {
                    tokio::time::sleep(STEP).await;
                }
            };
            let asked = tokio::time::timeout(PATIENCE, asking).await;
            return asked.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain: {what}"));
        }
        for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
            match &self.worker {
                Some(Worker::Memory(worker)) => drop(worker.advance(STEP).await),
                _ => self.app().pass(STEP),
            }
            if condition().await {
                return;
            }
        }
        panic!("waited {PATIENCE:?} of virtual time in vain: {what}");
    }

    /// Awaits that so many messages are ready.
    pub(super) async fn until_ready(&self, queue: &str, ready: u32) {
        let what = format!("{ready} messages in {queue}");
        self.until(&what, async || self.ready(queue).await == Some(ready)).await;
    }

    pub(super) async fn ready(&self, queue: &str) -> Option<u32> {
        self.broker().depth(queue).await.unwrap().map(|depth| depth.ready)
    }

    pub(super) async fn declare(
        &self,
        exchanges: Vec<Exchange>,
        queues: Vec<Queue>,
        bindings: Vec<Binding>,
    ) {
        self.broker().declare(&Topology { exchanges, queues, bindings }).await.unwrap();
    }

    pub(super) async fn publish(
        &self,
        message: RawMessage,
    ) -> Result<(), celeriac::broker::PublishError> {
        self.broker().publish(Arc::new(message), PATIENCE).await
    }

    /// Publishes a message whose body is `body`, straight into a queue.
    pub(super) async fn put(&self, queue: &str, body: &str) {
        self.publish(message("", queue, body)).await.unwrap();
    }

    pub(super) fn consume(&self, queue: &str, prefetch: u16) -> Deliveries {
        self.broker().consume(Consume {
            queue: queue.to_owned(),
            stream: None,
            declare: None,
            repair: None,
            prefetch,
            acks: AckPolicy { every: 1, within: Duration::from_millis(1) },
            tag: "both".to_owned(),
        })
    }

    /// Takes everything out of a queue in which so many are, or will be.
    pub(super) async fn take(&self, queue: &str, count: usize) -> Vec<Delivery> {
        self.until("all are there", async || {
            self.ready(queue).await.is_some_and(|ready| ready as usize >= count)
        })
        .await;
        let mut deliveries = self.consume(queue, 100);
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(next(&mut deliveries).await);
        }
        deliveries.stop().await;
        taken
    }

    pub(super) async fn end(mut self) {
        if let Some(Worker::RabbitMq(shutdown, mut running)) = self.worker.take() {
            shutdown.drain();
            while let Some(ended) = running.join_next().await {
                ended.unwrap();
            }
        }
        self.app().close().await;
    }
}

/// The next delivery, which is on its way.
pub(super) async fn next(deliveries: &mut Deliveries) -> Delivery {
    tokio::time::timeout(PATIENCE, deliveries.next()).await.expect("a delivery").unwrap()
}

/// The bodies, as text.
pub(super) fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(body).collect()
}

pub(super) fn body(delivery: &Delivery) -> String {
    String::from_utf8(delivery.body.to_vec()).unwrap()
}

pub(super) fn message(exchange: &str, key: &str, body: &str) -> RawMessage {
    message_with(exchange, key, body, |_| {})
}

pub(super) fn message_with(
    exchange: &str,
    key: &str,
    body: &str,
    set: impl FnOnce(&mut Properties),
) -> RawMessage {
    let mut properties = Properties { persistent: true, ..Properties::default() };
    set(&mut properties);
    let body = body.as_bytes().to_vec().into();
    RawMessage::try_from_parts(exchange, key, &properties, BTreeMap::new(), body).unwrap()
}

pub(super) fn texts(texts: &[&str]) -> HeaderValue {
    HeaderValue::List(texts.iter().map(|text| HeaderValue::from(*text)).collect())
}

pub(super) fn queue(name: &str, arguments: &[(&str, HeaderValue)]) -> Queue {
    Queue::new(name, arguments.iter().cloned())
}
