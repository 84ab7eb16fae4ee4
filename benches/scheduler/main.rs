//! What the scheduler costs, and how punctual it is, beside `celery beat` with the same entries.
//!
//! Both run in turn against one private RabbitMQ, each with ten thousand entries: far away ones for
//! what idleness costs, and ones whose periods lie between 30 and 90 seconds for punctuality.
//! `docs/schedules.md` says what came out.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod arrivals;
#[path = "../runner/broker.rs"]
#[allow(dead_code, reason = "shared with another bench")]
mod broker;
#[path = "../runner/python.rs"]
mod python;
mod side;
#[path = "../runner/usage.rs"]
#[allow(dead_code, reason = "shared with another bench")]
mod usage;

use anyhow::Result;
use arrivals::Arrivals;
use broker::Broker;
use clap::Parser;
use side::{Entries, Side};
use std::time::Duration;

/// Measures `celeriac scheduler` beside `celery beat`, against a private RabbitMQ (or `AMQP_URL`).
#[derive(Debug, Parser)]
struct Options {
    /// Entries of each side.
    #[arg(long, default_value_t = 10_000)]
    entries: usize,
    /// Seconds of idleness.
    #[arg(long, default_value_t = 20)]
    idle: u64,
    /// Seconds of work.
    #[arg(long, default_value_t = 150)]
    busy: u64,
    /// A smoke test. Its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What was measured of one side.
#[derive(Debug)]
struct Figures {
    start: Duration,
    idle: f64,
    memory: u64,
    busy: f64,
    late: Vec<Duration>,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.quick {
        options = Options { entries: 100, idle: 1, busy: 95, ..options };
    }
    let broker = Broker::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("| | start | idle CPU | MiB | busy CPU | runs | late p50 | p99 | most |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for side in [Side::Celeriac, Side::Celery] {
        let figures = runtime.block_on(measure(side, &options, &broker))?;
        println!("{}", figures.row(side.name()));
    }
    Ok(())
}

async fn measure(side: Side, options: &Options, broker: &Broker) -> Result<Figures> {
    let arrivals = Arrivals::consume(&broker.url).await?;
    let mut idle = side.start(Entries::Daily, options.entries, &broker.url).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle_share = idle.share_of_a_core(Duration::from_secs(options.idle)).await?;
    let memory = idle.memory()?;
    let start = idle.started;
    idle.stop().await?;
    arrivals.forget();
    let mut busy = side.start(Entries::Spread, options.entries, &broker.url).await?;
    let busy_share = busy.share_of_a_core(Duration::from_secs(options.busy)).await?;
    busy.stop().await?;
    let mut late = arrivals.lateness();
    late.sort();
    Ok(Figures { start, idle: idle_share, memory, busy: busy_share, late })
}

impl Figures {
    fn row(&self, name: &str) -> String {
        let late = |share: f64| {
            let place = (self.late.len() as f64 * share) as usize;
            let late = self.late.get(place.min(self.late.len().saturating_sub(1)));
            late.map_or("-".to_owned(), |late| format!("{:.1} ms", late.as_secs_f64() * 1000.0))
        };
        format!(
            "| {name} | {:.2} s | {:.2} % | {} | {:.1} % | {} | {} | {} | {} |",
            self.start.as_secs_f64(),
            self.idle * 100.0,
            self.memory / 1024,
            self.busy * 100.0,
            self.late.len(),
            late(0.5),
            late(0.99),
            late(1.0),
        )
    }
}
