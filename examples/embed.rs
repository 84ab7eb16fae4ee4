//! A program that brings its own tasks: it runs a worker, sends it a task, and waits for the result.
//!
//! Needs a RabbitMQ; `CELERIAC_BROKER_URL` says where, else the one on this machine is used.
//!
//! ```sh
//! eval "$(make broker-up)" && CELERIAC_BROKER_URL=$AMQP_URL cargo run --example embed
//! ```

#![expect(clippy::print_stdout, reason = "a program may print")]

use celeriac::prelude::*;
use std::time::Duration;

#[task(name = "shop.add", max_retries = 5, backoff = "1s..1m")]
async fn add(a: i64, b: i64) -> anyhow::Result<i64> {
    anyhow::ensure!(a >= 0, "only natural numbers"); // an error is retried as the options say
    Ok(a + b)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::from_env().await?;
    let stop = CancelToken::new();
    let worker = Worker::new(&app).register::<add>().run_until(stop.clone().cancelled_owned());

    let caller = async {
        let call = add(2, 3).countdown(Duration::from_millis(500)).delay(&app).await?;
        println!("2 + 3 = {}", call.timeout(Duration::from_secs(30)).await?);
        stop.cancel(); // the worker finishes what it has and ends
        anyhow::Ok(())
    };
    let (worked, called) = tokio::join!(worker, caller);
    app.close().await;
    worked?;
    called
}
