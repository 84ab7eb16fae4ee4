//! Something to look at: a worker, a monitor, and tasks of every kind.

use super::Shown;
use crate::rig::{Rig, Running, add, config};
use celeriac::backoff::Backoff;
use celeriac::events::Tasks;
use celeriac::handler::{Failure, Output, Registry, TaskError};
use celeriac::publisher::SendOptions;
use celeriac::task::RetryPolicy;
use celeriac::topology::QueueKind;
use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::sync::Semaphore;

/// What a page would run if it wrote names as they are.
pub(super) const HOSTILE: &str = "<script>document.title='taken'</script>\"'&\u{1b}[2J\u{202e}";

/// A worker, and a monitor of it.
pub(super) struct Scene {
    pub(super) rig: Rig,
    pub(super) worker: Running,
    pub(super) monitor: Shown,
    /// `shop.wait` waits for one of these.
    pub(super) gate: Arc<Semaphore>,
    _folder: TempDir,
}

impl Scene {
    pub(super) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings of the monitor.
    pub(super) async fn with(change: impl FnOnce(&mut celeriac::monitor::Settings)) -> Self {
        let (rig, folder) = (Rig::start().await, tempfile::tempdir().unwrap());
        let gate = Arc::new(Semaphore::new(0));
        let mut config = config(&rig.url(), QueueKind::Quorum);
        config.events.tasks = Tasks::Always;
        config.events.sent = true;
        let worker = Running::with(config, registry(&gate)).await;
        let mut config = celeriac::config::Config::from(rig.url());
        config.monitor.listen = "127.0.0.1:0".to_owned();
        config.monitor.data_dir = folder.path().display().to_string();
        change(&mut config.monitor);
        let monitor = Shown::with(config).await;
        Self { rig, worker, monitor, gate, _folder: folder }
    }

    /// Sends a task, and waits until the monitor shows it in this state.
    pub(super) async fn run(&self, task: &str, args: &impl Serialize, state: &str) -> String {
        let id = self.send(task, args).await;
        self.monitor.until(&id, state).await;
        id
    }

    /// Sends a task, which is tried twice.
    pub(super) async fn send(&self, task: &str, args: &impl Serialize) -> String {
        let (first, max) = (Duration::from_millis(10), Duration::from_millis(10));
        let backoff = Backoff { first, factor: 1.0, max, jitter: 0.0 };
        let retry = RetryPolicy { max_retries: Some(1), backoff, ..RetryPolicy::default() };
        let options = SendOptions::default().queue("default").retry(retry);
        let client = self.worker.app.client();
        client.send(task, args, &(), options).await.unwrap().id.to_string()
    }

    /// Tells of something that no worker here did.
    pub(super) async fn tell(&self, event: &Value) {
        let (_connection, channel) = self.rig.channel().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let body = serde_json::to_vec(event).unwrap();
        let properties = BasicProperties::default().with_content_type("application/json".into());
        let (exchange, key) = ("celeryev".into(), "task.multi".into());
        let told =
            channel.basic_publish(exchange, key, BasicPublishOptions::default(), &body, properties);
        assert!(told.await.unwrap().await.unwrap().is_ack());
    }

    /// Tells of a workflow: `a`, then `b`, then the group of `c` and `d`, of which `d` still waits.
    pub(super) async fn tell_of_a_workflow(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let mut clock = 0;
        for (id, parent, ends) in [
            ("a", None, true),
            ("b", Some("a"), true),
            ("c", Some("b"), true),
            ("d", Some("b"), false),
        ] {
            let of = |id: &str| format!("flow-{id}-0000");
            let mut tell = async |kind: &str, more: serde_json::Value| {
                clock += 1;
                let mut event = json!({
                    "type": kind, "hostname": "w@h", "clock": clock, "uuid": of(id),
                    "timestamp": now + f64::from(clock) / 1e3,
                });
                event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                self.tell(&event).await;
            };
            let (root, parent) = (of("a"), parent.map(of));
            let name = format!("flow.{id}");
            let mut received = json!({"name": name, "root_id": root, "parent_id": parent});
            if matches!(id, "c" | "d") {
                received["group_id"] = "flow-group".into();
            }
            tell("task-received", received).await;
            if ends {
                tell("task-started", json!({})).await;
                tell("task-succeeded", json!({"result": "1", "runtime": 0.5})).await;
            }
        }
        self.monitor.until("flow-d-0000", "RECEIVED").await;
    }

    /// The page at `path`, which must be there.
    pub(super) async fn page(&self, path: &str) -> String {
        let answer = self.monitor.ask(path).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        text
    }

    pub(super) async fn stop(self) {
        self.gate.add_permits(1_000);
        self.monitor.stop().await;
        self.worker.stop().await;
    }
}

fn registry(gate: &Arc<Semaphore>) -> Registry {
    let mut registry = Registry::new();
    add(&mut registry, "shop.add", |_, _| Box::pin(async { Ok(Output::new(3)) }));
    add(&mut registry, HOSTILE, |_, _| {
        Box::pin(async { Err(Failure::Error(TaskError::new("Hostile", HOSTILE))) })
    });
    add(&mut registry, "shop.fail", |_, _| {
        Box::pin(async { Err(Failure::Error(TaskError::new("CardDeclined", "order 42: code 51"))) })
    });
    let gate = Arc::clone(gate);
    add(&mut registry, "shop.wait", move |_, _| {
        let gate = Arc::clone(&gate);
        Box::pin(async move {
            gate.acquire().await.expect("it is never closed").forget();
            Ok(Output::new("waited"))
        })
    });
    registry
}
