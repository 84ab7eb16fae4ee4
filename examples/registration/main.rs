//! A user registers, and four things follow: a welcome mail, an avatar, a push notification, a line
//! for the analysts. The request is answered as soon as RabbitMQ has all four; what becomes of them
//! is not the visitor's concern.
//!
//! Needs a RabbitMQ; `CELERIAC_BROKER_URL` says where, else the one on this machine is used. `ADDRESS`
//! says where to listen, else a free port of this machine is.
//!
//! ```sh
//! eval "$(make broker-up)" && CELERIAC_BROKER_URL=$AMQP_URL ADDRESS=127.0.0.1:3000 \
//!     cargo run --example registration
//! curl 127.0.0.1:3000/users -H 'content-type: application/json' \
//!     -d '{"name": "Ada Lovelace", "email": "ada@example.org"}'
//! ```

#![expect(clippy::print_stdout, reason = "a program may print")]

mod tasks;

use axum::extract::{Json, State as Shared};
use axum::http::StatusCode;
use axum::routing::post;
use celeriac::prelude::*;
use serde::Deserialize;
use tasks::{Outbox, User};
use tokio::net::TcpListener;

/// What a visitor fills in.
#[derive(Deserialize)]
struct Form {
    name: String,
    email: String,
}

/// Registers a user. Nothing here waits for a mail server.
async fn register(
    Shared(app): Shared<App>,
    Json(form): Json<Form>,
) -> Result<(StatusCode, String), (StatusCode, String)> {
    if !form.email.contains('@') {
        return Err((StatusCode::UNPROCESSABLE_ENTITY, "this is no e-mail address".to_owned()));
    }
    let user = User { name: form.name, email: form.email };
    match announce(&app, &user).await {
        Ok(()) => Ok((StatusCode::CREATED, format!("welcome, {}\n", user.name))),
        // Nothing was lost: the visitor is told to try again.
        Err(error) => Err((StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}

/// Sends the four tasks, all at once. Each is confirmed by the broker, or this fails.
async fn announce(app: &App, user: &User) -> Result<(), SendError> {
    let mail = tasks::welcome_mail(user.clone()).priority(5);
    let hello = tasks::push(user.name.clone(), "Good to have you here".to_owned());
    tokio::try_join!(
        mail.send(app),
        tasks::avatar(user.name.clone()).send(app),
        hello.send(app),
        tasks::analytics("registered".to_owned(), None).send(app),
    )?;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::from_env().await?;
    // In production the worker is a program of its own; the tasks are in a crate that both share.
    let outbox = Outbox::in_folder(std::env::temp_dir().join("celeriac-registration"))?;
    let worker = Worker::new(&app).with(tasks::all()).state(outbox);

    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let routes = axum::Router::new().route("/users", post(register)).with_state(app.clone());

    let stop = CancelToken::new();
    let server =
        axum::serve(listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
    let signal = async {
        tokio::signal::ctrl_c().await?;
        stop.cancel();
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
