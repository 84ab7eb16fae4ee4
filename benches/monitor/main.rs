//! What the monitor costs with a long history: a private RabbitMQ, a monitor that takes in what
//! workers would tell, and somebody who looks at its lists meanwhile.
//!
//! `make bench-monitor` first tells it and Flower of a hundred thousand tasks and asks both for the same
//! lists in turn. Then it fills the history with a million tasks (the rate of that is what it takes in
//! when it is behind), then tells it of two thousand a second while each list is asked for again and
//! again, stops it and starts it, and at last kills it and tells of as many for a minute more before it
//! is started again. `docs/performance.md` says what came out.

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "../runner/broker.rs"]
#[allow(dead_code, reason = "shared with another bench")]
mod broker;
mod flower;
mod lists;
mod monitor;
#[path = "../runner/python.rs"]
mod python;
mod telling;
#[path = "../runner/usage.rs"]
#[allow(dead_code, reason = "shared with another bench")]
mod usage;

use anyhow::Result;
use broker::Broker;
use clap::Parser;
use lists::Lists;
use monitor::Monitor;
use std::time::Duration;
use telling::Teller;

/// Measures `celeriac monitor` with a long history, against a private RabbitMQ (or `AMQP_URL`).
#[derive(Debug, Parser)]
struct Options {
    /// Tasks that Flower is told of too; 0 leaves Flower out.
    #[arg(long, default_value_t = 100_000)]
    flower: u64,
    /// Tasks in the history.
    #[arg(long, default_value_t = 1_000_000)]
    tasks: u64,
    /// Tasks told of per second while lists are asked for; three events each.
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
    /// For how many seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// For how many seconds it is away after it was killed, while tasks are told of at the same rate.
    #[arg(long, default_value_t = 60)]
    away: u64,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let broker = Broker::start()?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let monitor = Monitor::start(&broker.url, folder.path()).await?;
    let mut teller = Teller::connect(&broker.url).await?;

    if options.flower > 0 {
        flower::compare(&monitor, &mut teller, &broker.url, options.flower).await?;
    }

    let began = std::time::Instant::now();
    let cost = monitor.time()?;
    let more = options.tasks.saturating_sub(teller.tasks());
    teller.tell(more).await?;
    let told = began.elapsed();
    monitor.has(teller.tasks()).await?;
    let (took, cost) = (began.elapsed(), monitor.time()?.saturating_sub(cost));
    let events = more as f64 * telling::EVENTS as f64;
    println!("| | |\n| --- | --- |");
    println!("| history | {} tasks, {} MiB on the disk |", teller.tasks(), monitor.disk()?);
    println!(
        "| taking in a backlog | {:.0} events/s, {:.1} µs of CPU each (they were told at {:.0}/s) |",
        events / took.as_secs_f64(),
        cost.as_secs_f64() * 1e6 / events,
        events / told.as_secs_f64(),
    );

    let lists = Lists::ask(&monitor, Duration::from_secs(options.seconds));
    let telling = teller.tell_at(options.rate, Duration::from_secs(options.seconds));
    let cost = monitor.time()?;
    let (lists, telling) = tokio::join!(lists, telling);
    let cost = monitor.time()?.saturating_sub(cost);
    telling?;
    for (path, times) in lists?.times() {
        println!("| {path}, p50 / p99 / most, {} times | {times} |", times.count());
    }
    println!(
        "| meanwhile, with {} tasks/s told | {:.0} % of a CPU, {} MiB |",
        options.rate,
        cost.as_secs_f64() * 100.0 / options.seconds as f64,
        monitor.memory()?,
    );
    let stopped = monitor.stop().await?;
    let again = Monitor::start(&broker.url, folder.path()).await?;
    println!(
        "| stop / start to ready | {} ms / {} ms |",
        stopped.as_millis(),
        again.started.as_millis()
    );
    again.has(teller.tasks()).await?;
    println!("| nothing missing after that | {} tasks |", teller.tasks());

    let (before, rate, seconds) = (teller.tasks(), options.rate, options.away);
    // It is told of more while it dies.
    let (killed, telling) =
        tokio::join!(again.kill(), teller.tell_at(rate, Duration::from_secs(seconds)));
    killed.and(telling)?;
    let began = std::time::Instant::now();
    let back = Monitor::start(&broker.url, folder.path()).await?;
    back.has(teller.tasks()).await?;
    let about: serde_json::Value = serde_json::from_str(&back.get("/api/v1/about").await?)?;
    println!(
        "| killed with -9, away for {seconds} s at {rate} tasks/s | {} tasks told meanwhile, {} in all; \
         every one counted {:.1} s after it was started again, {} messages missed |",
        teller.tasks() - before,
        teller.tasks(),
        began.elapsed().as_secs_f64(),
        about["events_missed"],
    );
    Ok(())
}
