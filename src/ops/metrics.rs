//! `/metrics`: what a program counts, in the text that Prometheus reads (OpenMetrics 1.0).

use super::Health;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::sync::Arc;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves what `health` counts.
pub(super) fn router(health: &dyn Health) -> Router {
    let mut registry = Registry::default();
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("celeriac_build", "The program", version);
    for collector in health.collectors() {
        registry.register_collector(collector);
    }
    Router::new().route("/metrics", get(tell)).with_state(Arc::new(registry))
}

async fn tell(State(registry): State<Arc<Registry>>) -> Response {
    let mut told = String::new();
    match text::encode(&mut told, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], told).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
