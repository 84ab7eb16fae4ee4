//! Twenty thousand tasks that do nothing, drained by Celery's own worker and by ours: the same
//! producer (Celery's), the same broker, the same run, in JSON and in MessagePack.
//!
//! `make bench` prints it. Celery's worker has its prefork pool, with as many processes as drained
//! fastest. Each worker is a process of its own; its processor time is that of all its processes,
//! from when it is ready until the queue is empty.

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "../runner/broker.rs"]
#[allow(dead_code, reason = "the other benchmark reads more of it")]
mod broker;
#[path = "../runner/python.rs"]
mod python;
#[path = "../runner/usage.rs"]
#[allow(dead_code, reason = "the other benchmark reads more of it")]
mod usage;
mod workers;

use anyhow::{Context, Result, ensure};
use broker::Broker;
use celeriac::prelude::*;
use std::time::{Duration, Instant};
use workers::{Python, Running};

const COUNT: usize = 20_000;
const QUEUE: &str = "bench";

/// Processes that Celery's pool is tried with, on two cores.
const POOLS: [usize; 3] = [1, 2, 4];

/// One drain.
#[derive(Clone, Copy)]
struct Drain {
    per_second: f64,
    /// Microseconds of processor time.
    per_task: f64,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("worker") {
        return workers::run(&arguments.next().context("a URL")?).await;
    }
    let python = Python::find()?;
    let broker = Broker::start()?;
    let app = App::connect(workers::config(&broker.url)).await?;
    println!(
        "{:<28}{:>10}{:>12}{:>14}{:>9}",
        "20,000 tasks, drained by", "", "tasks/s", "µs/task", ""
    );
    let mut best = POOLS[0];
    for serializer in ["json", "msgpack"] {
        let mut celery: Option<Drain> = None;
        let pools = if serializer == "json" { &POOLS[..] } else { &[best] };
        for pool in pools {
            let drain = drain(&app, &python, &broker, serializer, Some(*pool)).await?;
            print(&format!("celery, {pool} processes"), serializer, drain, None);
            if celery.is_none_or(|celery| drain.per_second > celery.per_second) {
                (celery, best) = (Some(drain), *pool);
            }
        }
        let ours = drain(&app, &python, &broker, serializer, None).await?;
        print("celeriac", serializer, ours, celery);
    }
    app.close().await;
    Ok(())
}

/// Fills the queue, starts a worker (Celery's with so many processes, or ours) and watches it.
async fn drain(
    app: &App,
    python: &Python,
    broker: &Broker,
    serializer: &str,
    pool: Option<usize>,
) -> Result<Drain> {
    python.produce(&broker.url, COUNT, serializer)?;
    let depth =
        async || anyhow::Ok(app.broker().depth(QUEUE).await?.map_or(0, |depth| depth.ready));
    filled(&depth).await?;
    let began = Instant::now();
    let worker = match pool {
        Some(processes) => python.worker(&broker.url, processes)?,
        None => Running::ours(&broker.url)?,
    };
    // Until it takes the first, it is starting.
    let mut started = (began, worker.time()?);
    loop {
        let ready = depth().await?;
        if ready as usize == COUNT {
            started = (Instant::now(), worker.time()?);
        }
        if ready == 0 {
            break;
        }
        ensure!(began.elapsed() < Duration::from_secs(300), "{ready} are left after five minutes");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = started.0.elapsed().as_secs_f64();
    // What it has prefetched is still being run.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let spent = worker.time()?.saturating_sub(started.1).as_secs_f64();
    worker.stop()?;
    Ok(Drain { per_second: COUNT as f64 / took, per_task: spent / COUNT as f64 * 1e6 })
}

/// Waits until the broker has all: Celery's producer ends without waiting for confirms.
async fn filled(depth: &impl AsyncFn() -> Result<u32>) -> Result<()> {
    let began = Instant::now();
    loop {
        let ready = depth().await?;
        if ready as usize == COUNT {
            return Ok(());
        }
        ensure!(began.elapsed() < Duration::from_secs(30), "the producer has sent {ready}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn print(who: &str, serializer: &str, drain: Drain, beside: Option<Drain>) {
    let Drain { per_second, per_task } = drain;
    let mut line = format!("{who:<28}{serializer:>10}{per_second:>12.0}{per_task:>14.1}");
    if let Some(celery) = beside {
        let (faster, cheaper) = (per_second / celery.per_second, celery.per_task / per_task);
        line += &format!("   {faster:.1} × the rate, {cheaper:.1} × less processor time");
    }
    println!("{line}");
}
