//! A service that takes notifications over HTTP, with a mistake in its first release.

use anyhow::Context;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A service on this machine.
#[derive(Debug)]
pub struct Http {
    address: SocketAddr,
    inbox: Inbox,
    _serving: JoinSet<()>,
}

/// What it took, and what not. Cloning gives the same.
#[derive(Debug, Clone, Default)]
pub struct Inbox(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    release: Release,
    /// When each notification came, by its id.
    taken: HashMap<String, Instant>,
    /// Ids that were refused at least once.
    refused: HashSet<String>,
    repeated: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Release {
    /// Takes followers for ASCII.
    #[default]
    Broken,
    Fixed,
}

impl Http {
    /// Opens the service, in its broken release.
    pub async fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("opening an HTTP service")?;
        let address = listener.local_addr()?;
        let inbox = Inbox::default();
        let router = Router::new()
            .route("/followers/{follower}/notifications", post(notify))
            .with_state(inbox.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { address, inbox, _serving: serving })
    }

    /// Releases it again, without the mistake.
    pub fn fix(&self) {
        self.inbox.contents().release = Release::Fixed;
    }

    /// The address that `{follower}` is filled into.
    pub fn url(&self) -> String {
        format!("http://{}/followers/{{follower}}/notifications", self.address)
    }

    /// What it took.
    pub fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }
}

impl Inbox {
    /// How many distinct notifications were taken.
    pub fn len(&self) -> usize {
        self.contents().taken.len()
    }

    /// When the notification with this id was taken.
    pub fn taken_at(&self, id: &str) -> Option<Instant> {
        self.contents().taken.get(id).copied()
    }

    /// How many were refused.
    pub fn refused(&self) -> usize {
        self.contents().refused.len()
    }

    /// How many were refused and taken later.
    pub fn reconciled(&self) -> usize {
        let contents = self.contents();
        contents.refused.iter().filter(|id| contents.taken.contains_key(*id)).count()
    }

    /// How often one came that had been taken before.
    pub fn repeated(&self) -> usize {
        self.contents().repeated
    }

    fn take(&self, id: &str, follower: &str) -> (StatusCode, &'static str) {
        let mut contents = self.contents();
        if contents.release == Release::Broken && !follower.is_ascii() {
            contents.refused.insert(id.to_owned());
            return (StatusCode::UNPROCESSABLE_ENTITY, "follower: not a name");
        }
        if contents.taken.contains_key(id) {
            contents.repeated += 1;
        } else {
            contents.taken.insert(id.to_owned(), Instant::now());
        }
        (StatusCode::OK, "")
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn notify(
    State(inbox): State<Inbox>,
    Path(follower): Path<String>,
    headers: HeaderMap,
) -> (StatusCode, &'static str) {
    match headers.get("idempotency-key").and_then(|id| id.to_str().ok()) {
        Some(id) => inbox.take(id, &follower),
        None => (StatusCode::BAD_REQUEST, "no Idempotency-Key"),
    }
}
