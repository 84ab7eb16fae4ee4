//! `celeriac bundle`

use super::api::At;
use super::doctor;
use super::exit::{Exit, OrExit};
use super::global::Global;
use super::status::Survey;
use crate::app::App;
use crate::bundle::Bundle;
use crate::config::{Loaded, Style};
use crate::telemetry::Target;
use crate::topology::Topology;
use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Collect what is known for a ticket into one file, secrets masked
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac bundle                                 writes celeriac-20261126T101500Z.tar.gz
  celeriac bundle --file /tmp/b.tar.gz --monitor https://ops.example

What cannot be asked is told in the file. A monitor gives its part to an admin only. No arguments,
results, messages of exceptions or tracebacks are in it; look through it before others do.")]
pub(crate) struct Arguments {
    /// The file to write
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    at: At,
}

/// How long workers may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// So much of the end of the log is taken, in bytes.
const LOG: u64 = 256 * 1024;

const ABOUT: &str = "\
What is known where `celeriac bundle` was run, for whoever helps with it.

version.json    version and machine
config.toml     the configuration: secrets, and what tasks are given, are masked
warnings.txt    what is doubtful about it
doctor.json     what `celeriac doctor` finds
topology.json   where the broker differs from the configuration
status.json     broker, workers, queues, scheduler
log.txt         the end of the log, where it goes to a file; without lines about single tasks, which
                may show what they are given and what they say
monitor/        what the monitor knows, if it gave it

Instead of a file that could not be made, one with .txt behind its name says why.
";

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let loaded = global.load(global.loader())?;
    let mut bundle = Bundle::default();
    bundle.text("README.txt", ABOUT);
    bundle.json("version.json", &version());
    bundle.text("config.toml", loaded.config.masked());
    bundle.text("warnings.txt", loaded.report.render(Style::Plain).to_string());
    bundle.json("doctor.json", &doctor::look(&loaded).await);
    ask(&loaded, &mut bundle).await;
    if let Target::File(path) = &loaded.config.log.target {
        let log = log(path).unwrap_or_else(|error| error.to_string());
        bundle.text("log.txt", log);
    }
    monitor(&loaded, arguments, &mut bundle).await;
    let file = arguments.file.clone().unwrap_or_else(name);
    let written = write(&file, &bundle);
    written.with_context(|| format!("writing {}", file.display())).or_exit(Exit::CannotCreate)?;
    let made = Made { file: file.display().to_string() };
    global.output.one(&made, &made.file)?;
    Ok(Exit::Done)
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    file: String,
}

fn version() -> serde_json::Value {
    json!({
        "celeriac": env!("CARGO_PKG_VERSION"),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "at": crate::clock::to_iso(SystemTime::now()),
    })
}

/// Asks the broker, and who is connected to it.
async fn ask(loaded: &Loaded, bundle: &mut Bundle) {
    let app = match App::connect(loaded.config.clone()).await {
        Ok(app) => app,
        Err(error) => return bundle.text("status.json.txt", format!("{error:#}")),
    };
    let config = app.config();
    let topology = Topology::whole(&config.topology(), &config.worker.queues);
    bundle.json_or("topology.json", app.broker().differences(&topology).await);
    bundle.json_or("status.json", Survey::take(&app, None, PATIENCE).await);
    app.close().await;
}

/// Asks a monitor for its part.
async fn monitor(loaded: &Loaded, arguments: &Arguments, bundle: &mut Bundle) {
    let asked = async {
        let packed = arguments.at.open_for(&loaded.config)?.bytes(&["bundle"]).await?;
        anyhow::Ok(bundle.include("monitor", &packed)?)
    };
    let asked = asked.await;
    if let Err(why) = asked {
        bundle.text("monitor.txt", format!("{why:#}"));
    }
}

/// The end of the log, without what may show what tasks are given or say.
fn log(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(LOG)))?;
    let mut end = Vec::new();
    file.take(LOG).read_to_end(&mut end)?;
    const DETAILS: [&str; 4] = ["DEBUG", "TRACE", "task{", "task.id"];
    let is_detail = |line: &&str| DETAILS.iter().any(|detail| line.contains(detail));
    let text = String::from_utf8_lossy(&end);
    // The first line may be the end of one.
    let from = if length > LOG { 1 } else { 0 };
    Ok(text
        .lines()
        .skip(from)
        .filter(|line| !is_detail(line))
        .flat_map(|line| [line, "\n"])
        .collect())
}

/// `celeriac-20261126T101500Z.tar.gz`
fn name() -> PathBuf {
    let digits = |c: &char| c.is_ascii_digit() || *c == 'T';
    let now: String =
        crate::clock::to_iso(SystemTime::now()).chars().filter(digits).take(15).collect();
    format!("celeriac-{now}Z.tar.gz").into()
}

/// For its owner alone.
fn write(file: &Path, bundle: &Bundle) -> io::Result<()> {
    let packed = bundle.to_bytes(SystemTime::now())?;
    let opened = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(file);
    opened?.write_all(&packed)
}
