//! Tasks in a process of their own: one is killed at its time limit although it never waits, one is
//! refused more memory than it may have, one crashes; the worker goes on.
//!
//! `make broker-up`, export what it prints, then `cargo run --example isolation`.

#![allow(clippy::print_stdout)]

use celeriac::handler::is_isolated;
use celeriac::prelude::*;
use std::time::Duration;
use tokio::sync::oneshot;

#[task(isolation = "process", time_limit = "1s", max_retries = 0)]
fn forever() -> anyhow::Result<u64> {
    (0..).try_fold(0_u64, |sum, number: u64| Ok(sum ^ number.wrapping_mul(sum | 1)))
}

#[task(isolation = "process", max_memory = "256 MiB", max_retries = 0)]
fn hungry(mebibytes: usize) -> anyhow::Result<usize> {
    let memory = vec![1_u8; mebibytes << 20];
    Ok(memory.iter().map(|byte| usize::from(*byte)).sum())
}

#[task(isolation = "process", max_retries = 0)]
fn crashing() {
    std::process::abort();
}

#[task(isolation = "process")]
async fn counting(ctx: Ctx, to: u32) -> anyhow::Result<(u32, u32)> {
    ctx.progress.share(0.5, "half");
    Ok((to, std::process::id()))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::from_env().await?;
    let worker = Worker::new(&app);
    let worker = worker.register::<forever>().register::<hungry>();
    let worker = worker.register::<crashing>().register::<counting>();
    // In the process of a task this is where the program stops being a program of its own.
    if is_isolated() {
        return Ok(worker.run_until(std::future::pending()).await?);
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let calls = async {
        let (to, process) = counting(3).delay(&app).await?.timeout(Duration::from_secs(30)).await?;
        println!("counted to {to} in another process: {}", process != std::process::id());
        println!("hungry, but not very: {} bytes", hungry(64).delay(&app).await?.await?);
        let refused = hungry(1024).delay(&app).await?.await;
        println!("hungry: {}", refused.expect_err("more than it may have"));
        println!("crashing: {}", crashing().delay(&app).await?.await.expect_err("it aborts"));
        println!("forever: {}", forever().delay(&app).await?.await.expect_err("it never ends"));
        drop(stop);
        anyhow::Ok(())
    };
    let running = worker.run_until(async { drop(stopped.await) });
    let (ran, called) = tokio::join!(running, calls);
    ran?;
    called
}
