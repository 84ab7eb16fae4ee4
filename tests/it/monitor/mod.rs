//! The monitor over HTTP, fed by real workers through a real stream.

mod access;
mod act;
mod again;
mod away;
mod browser;
mod bulk;
mod depths;
mod doubt;
mod flower;
mod ingest;
mod live;
mod metrics;
mod openapi;
mod pages;
mod pause;
mod resolve;
mod scene;
mod schedules;
mod transfer;

use crate::rig::{PATIENCE, Rig, eventually};
use celeriac::app::App;
use celeriac::clock::SystemClock;
use celeriac::config::Config;
use celeriac::monitor::{Configuration, Monitor, MonitorError, Sender, Status};
use celeriac::shutdown::Shutdown;
use celeriac::topology::Topology;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinSet;

/// A monitor in this process, with a connection of its own.
pub(crate) struct Shown {
    address: String,
    client: reqwest::Client,
    pub(crate) status: Status,
    shutdown: Shutdown,
    running: JoinSet<Result<(), MonitorError>>,
}

impl Shown {
    /// A monitor of what happens at the rig's broker, with its index in `folder`.
    pub(crate) async fn start(rig: &Rig, folder: &Path) -> Self {
        let mut config = Config::from(rig.url());
        config.monitor.listen = "127.0.0.1:0".to_owned();
        config.monitor.data_dir = folder.display().to_string();
        Self::with(config).await
    }

    /// A monitor as `config` wants it.
    pub(crate) async fn with(config: Config) -> Self {
        let app = App::connect(config).await.unwrap();
        let (status, shutdown) = (Status::default(), Shutdown::new());
        let monitor = Monitor {
            settings: app.config().monitor.clone(),
            broker: app.broker().clone(),
            events: (&app.config().events).into(),
            dead: app.config().dead.clone(),
            clock: Arc::new(SystemClock),
            status: status.clone(),
            configuration: Configuration {
                text: app.config().masked(),
                topology: Topology::whole(&app.config().topology(), &app.config().worker.queues),
            },
            sender: Some(Sender {
                publisher: app.client().publisher().clone(),
                results: Arc::clone(app.client().results()),
            }),
        };
        let mut running = JoinSet::new();
        running.spawn(monitor.run(shutdown.clone()));
        eventually("pages and events", async || status.address().is_some() && status.is_reading())
            .await;
        let address = format!("http://{}", status.address().unwrap());
        // Another test may have done so.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { address, client, status, shutdown, running }
    }

    /// Where it serves, without a path.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Where `path` is.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// The answer to `path`, whatever it is.
    pub(crate) async fn ask(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.address)).send().await.unwrap()
    }

    /// The JSON at `path`, which must be there.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.ask(path).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Does something, as a script of the pages does: the status and what it says.
    pub(crate) async fn act(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.address));
        let answer = request.header("x-celeriac", "1").json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Waits until the task is in this state.
    pub(crate) async fn until(&self, id: &str, state: &str) -> Value {
        let path = format!("/api/v1/tasks/{id}");
        eventually(&format!("{id} to be {state}"), async || {
            let answer = self.ask(&path).await;
            answer.status().is_success() && answer.json::<Value>().await.unwrap()["state"] == state
        })
        .await;
        self.get(&path).await
    }

    /// Stops it in order.
    pub(crate) async fn stop(mut self) {
        self.shutdown.drain();
        self.running.join_next().await.unwrap().unwrap().unwrap();
    }
}
