//! What Celeriac costs beside a bare lapin loop that does the same deliveries.
//!
//! Both sides run in turn, in rounds, each in a process of its own, against one private RabbitMQ.
//! Absolute figures belong to the machine and the hour; the ratios within a round are what holds.
//! `docs/performance.md` says what each comparison means and what came out.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bare;
mod broker;
mod messages;
mod ours;
mod report;
mod rounds;
mod side;
mod usage;
mod waiting;

use anyhow::{Context, Result};
use broker::Broker;
use clap::{Parser, ValueEnum};
use report::Report;
use rounds::Bench;
use std::path::PathBuf;

/// Measures Celeriac beside a bare lapin loop, against a private RabbitMQ (or `AMQP_URL`).
#[derive(Debug, Parser)]
struct Options {
    /// Tasks per side and round.
    #[arg(long, default_value_t = 50_000)]
    tasks: usize,
    /// Rounds; each figure is the median over them.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Tasks that wait in the broker at once.
    #[arg(long, default_value_t = 100_000)]
    delayed: usize,
    /// How many seconds most of them wait.
    #[arg(long, default_value_t = 60)]
    delayed_for: u64,
    /// Seconds of idleness.
    #[arg(long, default_value_t = 10)]
    idle: u64,
    /// Threads of each side's runtime; 0 for a runtime without threads of its own.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Only these comparisons.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// A smoke test: everything once, with few tasks. Its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Writes every single measurement into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Publish,
    Drain,
    Events,
    Reply,
    Latency,
    Idle,
    Delayed,
}

impl Options {
    fn quickened(self) -> Self {
        match self.quick {
            true => Self { tasks: 500, rounds: 1, delayed: 400, delayed_for: 2, idle: 1, ..self },
            false => self,
        }
    }

    fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("side") {
        let side = arguments.next().context("which side?")?;
        return serde_json::from_str::<side::Side>(&side)?.run();
    }
    let options = Options::parse().quickened();
    let broker = Broker::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure(&options, &broker))?;
    println!("{report}");
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

async fn measure(options: &Options, broker: &Broker) -> Result<Report> {
    let mut report = Report::default();
    let bench = Bench { options, broker };
    ours::declare(&broker.url).await?;
    bench.empty().await?;
    if options.has(Part::Publish) {
        bench.publish(&mut report).await?;
    }
    if options.has(Part::Drain) {
        bench.drain(&mut report).await?;
    }
    if options.has(Part::Events) {
        bench.events(&mut report).await?;
    }
    if options.has(Part::Reply) {
        bench.reply(&mut report).await?;
    }
    if options.has(Part::Latency) {
        bench.latency(&mut report).await?;
    }
    if options.has(Part::Idle) {
        bench.idle(&mut report).await?;
    }
    if options.has(Part::Delayed) {
        bench.delayed(&mut report).await?;
    }
    Ok(report)
}
