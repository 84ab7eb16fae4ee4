//! `make demo`: real videos, mails and requests through the whole system, with faults on the way,
//! counted where they land.
//!
//! The demo is an ordinary program that embeds Celeriac's client. The worker is the stock
//! `celeriac` beside it, and all it knows of the tasks is `celeriac.toml` in this folder.

#![allow(unreachable_pub, reason = "a program has no interface, so `pub` says enough")]

mod clock;
mod folder;
mod http;
mod landed;
mod node;
mod score;
mod screen;
mod smtp;
mod stage;
mod story;
mod tools;
mod video;
mod watch;
mod worker;

use anyhow::Context;
use clap::Parser;
use futures::future::select_all;
use score::Score;
use screen::Screen;
use stage::Stage;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Real videos, mails and requests through Celeriac, with faults on the way
#[derive(Debug, Parser)]
struct Arguments {
    /// A video to compress, instead of made ones; may be repeated
    #[arg(long = "video", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// How many videos to make when none is given
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    videos: u16,

    /// Print the score as JSON
    #[arg(long)]
    json: bool,

    /// Leave broker, worker and sinks running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = Arguments::parse();
    for file in &mut arguments.files {
        *file = file.canonicalize().with_context(|| format!("reading {}", file.display()))?;
    }
    // The scripts of the tasks are named from here.
    std::env::set_current_dir(env!("CARGO_MANIFEST_DIR")).context("entering the repository")?;
    let (stage, score) = tokio::select! {
        played = play(&arguments) => played?,
        // Everything that was started ends with what `play` held.
        () = stopped() => return Ok(ExitCode::from(130)),
    };
    let answer = if arguments.json { score.json() } else { score.table() };
    stage.screen.answer(&answer)?;
    if arguments.keep {
        stage.screen.aside(&stage.invitation());
        stopped().await;
    }
    stage.strike().await?;
    Ok(if score.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sets the stage, tells the story, and counts.
async fn play(arguments: &Arguments) -> anyhow::Result<(Stage, Score)> {
    let screen = Arc::new(Screen::new());
    let mut stage = Stage::set(screen, &arguments.files, arguments.videos).await?;
    let facts = story::tell(&mut stage).await?;
    let score = Score::count(&stage, &facts).await?;
    stage.screen.clear();
    Ok((stage, score))
}

/// Completes at Ctrl-C, or when the demo is asked to end, or its terminal is closed.
async fn stopped() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut signals: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
}
