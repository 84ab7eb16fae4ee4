//! A web service that hands work to the background and can wait for it: the worker lives in the
//! same process, and could as well live in another.
//!
//! Needs a RabbitMQ; `CELERIAC_BROKER_URL` says where, else the one on this machine is used. `ADDRESS`
//! says where to listen, else a free port of this machine is.
//!
//! ```sh
//! eval "$(make broker-up)" && CELERIAC_BROKER_URL=$AMQP_URL ADDRESS=127.0.0.1:3000 \
//!     cargo run --example embed_axum
//! curl 127.0.0.1:3000/shout/hello     # HELLO
//! curl 127.0.0.1:3000/health
//! ```

#![expect(clippy::print_stdout, reason = "a program may print")]

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use celeriac::prelude::*;
use celeriac::worker::Status;
use std::time::Duration;
use tokio::net::TcpListener;

/// Takes its time, on a thread of its own.
#[task(name = "text.shout", time_limit = "5s")]
fn shout(text: String) -> anyhow::Result<String> {
    anyhow::ensure!(!text.contains('!'), "it is loud enough already");
    Ok(text.to_uppercase())
}

/// Waits for the result, but not for ever.
async fn shouted(
    Shared((app, _)): Shared<(App, Status)>,
    Path(text): Path<String>,
) -> Result<String, (StatusCode, String)> {
    let failed = |code| move |error: String| (code, error);
    let unavailable = failed(StatusCode::SERVICE_UNAVAILABLE);
    let call = shout(text).max_retries(0).expires(Duration::from_secs(10));
    let handle = call.delay(&app).await.map_err(|error| unavailable(error.to_string()))?;
    let result = handle.timeout(Duration::from_secs(10)).await;
    result.map_err(|error| failed(StatusCode::UNPROCESSABLE_ENTITY)(error.to_string()))
}

/// What an orchestrator asks.
async fn health(
    Shared((app, worker)): Shared<(App, Status)>,
) -> (StatusCode, Json<serde_json::Value>) {
    let healthy = app.broker().is_connected() && worker.is_alive();
    let code = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let report = serde_json::json!({
        "broker": app.broker().is_connected(),
        "running": worker.running(),
        "finished": worker.finished(),
    });
    (code, Json(report))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::from_env().await?;
    let worker = Worker::new(&app).register::<shout>();
    let routes = Router::new()
        .route("/shout/{text}", get(shouted))
        .route("/health", get(health))
        .with_state((app.clone(), worker.status.clone()));

    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    let stop = CancelToken::new();
    let server =
        axum::serve(listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
    let signal = async {
        tokio::signal::ctrl_c().await?;
        stop.cancel(); // first no more requests and no more tasks, then both end
        anyhow::Ok(())
    };
    let (served, worked, signalled) = tokio::join!(
        async { server.await },
        worker.run_until(stop.clone().cancelled_owned()),
        signal,
    );
    app.close().await;
    served?;
    worked?;
    signalled
}
