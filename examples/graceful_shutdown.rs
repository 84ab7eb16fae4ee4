//! A worker that is told to stop finishes what it has, and a long task can stop half-way.
//!
//! The first SIGTERM or Ctrl-C drains: nothing new is begun, what runs may finish within
//! `[worker] drain_timeout`. What has not ended by then is asked to stop through its `cancel` token
//! and goes back to its queue. Kill the process with `kill -9` instead, and the task is handed out
//! again as well: it is acknowledged only when it has ended.
//!
//! Needs a RabbitMQ; `CELERIAC_BROKER_URL` says where, else the one on this machine is used.
//!
//! ```sh
//! eval "$(make broker-up)" && CELERIAC_BROKER_URL=$AMQP_URL cargo run --example graceful_shutdown
//! ```

#![expect(clippy::print_stdout, reason = "a program may print")]

use celeriac::prelude::*;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Counts to ten, a fifth of a second each. A second run would begin at one again: what must not
/// be done twice is better kept in a database.
#[task(name = "demo.count", time_limit = "1m")]
async fn count(ctx: Ctx) -> anyhow::Result<u32> {
    for number in 1..=10 {
        println!("counting: {number}");
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
            () = ctx.cancel.cancelled() => {
                println!("asked to stop at {number}");
                anyhow::bail!("stopped at {number}");
            }
        }
    }
    println!("counted to ten");
    Ok(10)
}

/// The library takes no signal: what stops a program is for the program to say.
async fn told_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    println!("told to stop");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::from_env().await?;
    count().send(&app).await?;
    let stop = async {
        if let Err(error) = told_to_stop().await {
            println!("cannot wait for signals: {error}");
        }
    };
    Worker::new(&app).register::<count>().run_until(stop).await?;
    app.close().await;
    println!("stopped");
    Ok(())
}
