//! How a running program answers for its health: over HTTP for probes, over a local socket for
//! `celeriac health`, and to systemd.
//!
//! `/livez` says whether the loops turn; a broker that is away changes nothing there, so that an
//! outage restarts nobody. `/readyz` says whether the program does its work now. `/metrics` has
//! what it counts, for Prometheus.

mod metrics;
mod settings;

pub use settings::Settings;

use crate::shutdown::Shutdown;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::collector::Collector;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tracing::{debug, info, warn};

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What it is about, in a word or two.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// More about it, for a person.
    pub detail: String,
}

/// What a service says about itself when asked.
pub trait Health: fmt::Debug + Send + Sync + 'static {
    /// What must hold for the process to be worth keeping.
    fn live(&self) -> Vec<Check>;

    /// What must hold for it to do its work.
    fn ready(&self) -> Vec<Check>;

    /// A few words for a status line.
    fn summary(&self) -> String;

    /// What it counts.
    fn collectors(&self) -> Vec<Box<dyn Collector>>;
}

/// The answer to a question about health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether every check holds.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

/// Serves the health of one program.
#[derive(Debug)]
pub struct Ops {
    settings: Settings,
    mode: &'static str,
    health: Arc<dyn Health>,
}

impl Check {
    /// A check with its detail.
    pub fn new(name: impl Into<String>, ok: bool, detail: impl Into<String>) -> Self {
        Self { name: name.into(), ok, detail: detail.into() }
    }
}

impl From<Vec<Check>> for Answer {
    fn from(checks: Vec<Check>) -> Self {
        Self { ok: checks.iter().all(|check| check.ok), checks }
    }
}

impl Ops {
    /// Answers for `health`; `mode` names the program's mode in the socket's name.
    pub fn new(settings: Settings, mode: &'static str, health: Arc<dyn Health>) -> Self {
        Self { settings, mode, health }
    }

    /// Answers until `shutdown` aborts. What cannot be served is warned about and left out: a
    /// program is not kept from its work because nobody can ask about it.
    pub async fn run(self, shutdown: Shutdown) {
        let router = Router::new()
            .route("/livez", get(live))
            .route("/readyz", get(ready))
            .with_state(Arc::clone(&self.health))
            .merge(metrics::router(&*self.health));
        let tcp = self.listen_tcp().await;
        let socket = self.listen_socket().await;
        let path = socket.as_ref().map(|(_, path)| path.clone());
        let over_tcp = async {
            match tcp {
                Some(listener) => drop(axum::serve(listener, router.clone()).await),
                None => std::future::pending().await,
            }
        };
        let over_socket = async {
            match socket {
                Some((listener, _)) => drop(axum::serve(listener, router.clone()).await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over_tcp => {}
            () = over_socket => {}
            () = tell_systemd(&*self.health, &shutdown) => {}
            () = shutdown.aborting() => {}
        }
        if let Some(path) = path {
            // It is ours and nobody answers there any more.
            let _ = tokio::fs::remove_file(path).await;
        }
    }

    async fn listen_tcp(&self) -> Option<TcpListener> {
        let address = self.settings.listen.as_str();
        if address.is_empty() {
            return None;
        }
        match TcpListener::bind(address).await {
            Ok(listener) => {
                info!(%address, "health at /livez and /readyz, metrics at /metrics");
                Some(listener)
            }
            Err(error) => {
                warn!(%address, %error, "no health over HTTP; set another `listen` in [ops]");
                None
            }
        }
    }

    async fn listen_socket(&self) -> Option<(UnixListener, PathBuf)> {
        let path = socket_path(&self.settings, self.mode)?;
        if UnixStream::connect(&path).await.is_ok() {
            warn!(path = %path.display(), "another program answers at this socket; set `socket` in [ops]");
            return None;
        }
        // What is left of a process that was killed.
        let _ = tokio::fs::remove_file(&path).await;
        match bind(&path) {
            Ok(listener) => Some((listener, path)),
            Err(error) => {
                debug!(path = %path.display(), %error, "no socket for `celeriac health`");
                None
            }
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    UnixListener::bind(path)
}

/// Where a program of this mode is asked about its health; `None` when it is not.
pub fn socket_path(settings: &Settings, mode: &str) -> Option<PathBuf> {
    match settings.socket.as_str() {
        "" => None,
        "auto" => Some(match std::env::var_os("XDG_RUNTIME_DIR") {
            Some(folder) => PathBuf::from(folder).join("celeriac").join(format!("{mode}.sock")),
            None => PathBuf::from("/run/celeriac").join(format!("{mode}.sock")),
        }),
        path => Some(path.into()),
    }
}

async fn live(State(health): State<Arc<dyn Health>>) -> (StatusCode, Json<Answer>) {
    reply(health.live().into())
}

async fn ready(State(health): State<Arc<dyn Health>>) -> (StatusCode, Json<Answer>) {
    reply(health.ready().into())
}

fn reply(answer: Answer) -> (StatusCode, Json<Answer>) {
    let status = if answer.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(answer))
}

/// Tells systemd, when it started us, that we are ready, alive, and stopping.
async fn tell_systemd(health: &dyn Health, shutdown: &Shutdown) {
    use sd_notify::NotifyState;
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return std::future::pending().await;
    }
    let notify = |states: &[NotifyState<'_>]| {
        if let Err(error) = sd_notify::notify(states) {
            debug!(%error, "systemd not told");
        }
    };
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut told_ready = false;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.draining() => {
                notify(&[NotifyState::Stopping]);
                return std::future::pending().await;
            }
        }
        let summary = health.summary();
        let mut states = vec![NotifyState::Status(&summary)];
        if !told_ready && Answer::from(health.ready()).ok {
            told_ready = true;
            states.push(NotifyState::Ready);
        }
        if Answer::from(health.live()).ok {
            states.push(NotifyState::Watchdog);
        }
        notify(&states);
    }
}
