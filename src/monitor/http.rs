//! What the monitor answers over HTTP.

use super::access::{self, Login, guard};
use super::act::Actor;
use super::depths::Depths;
use super::feed::Feed;
use super::flower::{self, Inspector, Sender};
use super::index::{Index, IndexError};
use super::ingest::News;
use super::operations::Operations;
use super::schedules::Schedules;
use super::settings::Settings;
use super::status::Status;
use super::{Configuration, api, live, pages, transfer};
use crate::archive::Archive;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::control::Paused;
use crate::shutdown::Shutdown;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// What every answer needs. Cloning is cheap.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    pub(super) settings: Arc<Settings>,
    pub(super) index: Index,
    pub(super) broker: Broker,
    pub(super) archive: Archive,
    pub(super) actor: Actor,
    pub(super) login: Login,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) status: Status,
    /// Told after each batch of events.
    pub(super) news: watch::Receiver<News>,
    /// One for each page that may be live.
    pub(super) streams: Arc<Semaphore>,
    pub(super) depths: Depths,
    pub(super) feed: Feed,
    pub(super) operations: Operations,
    pub(super) paused: Paused,
    pub(super) schedules: Schedules,
    pub(super) configuration: Arc<Configuration>,
    pub(super) sender: Option<Sender>,
    pub(super) inspector: Inspector,
}

/// What a browser may do with our pages: nothing that is not ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// What stands for all that is asked for and is not there.
const NO_ROUTE: &str = "_other";

/// What a request may bring, in bytes.
const LONGEST_BODY: usize = 1 << 20;

impl Pages {
    /// Serves until `shutdown` drains.
    pub(super) async fn serve(self, listener: TcpListener, shutdown: &Shutdown) {
        let router = self.router().into_make_service_with_connect_info::<SocketAddr>();
        tokio::select! {
            _ = axum::serve(listener, router) => {}
            () = shutdown.draining() => {}
        }
    }

    fn router(self) -> Router {
        let flower = match self.settings.compat.flower_api {
            true => Router::new().nest("/api", flower::router()),
            false => Router::new(),
        };
        pages::router()
            .nest("/api/v1", api::router().route("/stream", get(live::serve)))
            .merge(flower)
            .merge(access::router())
            .layer(from_fn_with_state(self.clone(), guard))
            .layer(from_fn_with_state(self.status.clone(), time))
            .layer(from_fn(close))
            .layer(from_fn(transfer::shorten))
            .layer(DefaultBodyLimit::max(LONGEST_BODY))
            .with_state(self)
    }
}

/// Counts how long an answer takes to begin.
async fn time(State(status): State<Status>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let begun = Instant::now();
    let response = next.run(request).await;
    status.answered(route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str), begun.elapsed());
    response
}

/// Closes what browsers leave open.
async fn close(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

impl IndexError {
    /// What it is in HTTP.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::TooLong | Self::Closed => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
