//! A program that brings its own tasks: it runs a worker, sends it a task, and waits for the result.
//!
//! Needs a RabbitMQ; `CELERIAC_BROKER_URL` says where, else the one on this machine is used.
//!
//! ```sh
//! eval "$(make broker-up)" && CELERIAC_BROKER_URL=$AMQP_URL cargo run --example embed
//! ```

#![expect(clippy::print_stdout, reason = "a program may print")]

use celeriac::app::App;
use celeriac::config::Loader;
use celeriac::handler::{Registry, TaskContext};
use celeriac::publisher::SendOptions;
use celeriac::shutdown::Shutdown;
use celeriac::task::TaskOptions;
use std::time::Duration;

async fn add(_: TaskContext, (a, b): (i64, i64)) -> anyhow::Result<i64> {
    anyhow::ensure!(a >= 0, "only natural numbers"); // an error is retried as the options say
    Ok(a + b)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Loader::new().environment(std::env::vars()).load()?.config;
    let app = App::connect(config).await?;

    let mut registry = Registry::new();
    registry.add_async("shop.add", TaskOptions::default(), add)?;
    let shutdown = Shutdown::new();
    let worker = app.worker(registry).run(shutdown.clone());

    let caller = async {
        let options = SendOptions::default().countdown(Duration::from_millis(500));
        let call = app.client().call("shop.add", &(2, 3), &(), options).await?;
        let sum: i64 = call.timeout(Duration::from_secs(30)).await?;
        println!("2 + 3 = {sum}");
        shutdown.drain(); // the worker finishes what it has and ends
        anyhow::Ok(())
    };
    let (worked, called) = tokio::join!(worker, caller);
    app.close().await;
    worked?;
    called
}
