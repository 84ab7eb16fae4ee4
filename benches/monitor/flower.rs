//! Flower, told of the same tasks and asked for the same list.

use crate::lists::Times;
use crate::monitor::{Monitor, free};
use crate::python::python;
use crate::telling::{EVENTS, Teller};
use crate::usage;
use anyhow::{Context, Result, ensure};
use reqwest::Url;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take until it knows all.
const PATIENCE: Duration = Duration::from_secs(900);

/// So often each list is asked for.
const TIMES: usize = 100;

/// The same fifty rows of both: the newest of all, and of one name.
const LISTS: [(&str, &str, &str); 2] = [
    ("the newest 50", "", "/api/v1/tasks?limit=50"),
    ("the newest 50 of a name", "task:shop.task3", "/api/v1/tasks?limit=50&q=name:shop.task3"),
];

/// A Flower that runs.
struct Flower {
    process: Child,
    address: String,
    client: reqwest::Client,
}

/// Tells both of so many tasks, asks both in turn, and prints what each took.
pub(crate) async fn compare(
    monitor: &Monitor,
    teller: &mut Teller,
    url: &str,
    tasks: u64,
) -> Result<()> {
    let flower = Flower::start(url).await?;
    let began = Instant::now();
    let cost = (monitor.time()?, usage::time_of(flower.process.id())?);
    teller.tell(tasks).await?;
    monitor.has(teller.tasks()).await?;
    let ours = began.elapsed();
    flower.has(tasks).await?;
    let theirs = began.elapsed();
    let each = |time: Duration| time.as_secs_f64() * 1e6 / (tasks as f64 * EVENTS as f64);
    println!("| {tasks} tasks, in turn | Celeriac | Flower |\n| --- | --- | --- |");
    println!(
        "| all are known after | {:.1} s | {:.1} s |",
        ours.as_secs_f64(),
        theirs.as_secs_f64()
    );
    println!(
        "| CPU per event | {:.1} µs | {:.1} µs |",
        each(monitor.time()?.saturating_sub(cost.0)),
        each(usage::time_of(flower.process.id())?.saturating_sub(cost.1)),
    );
    for (what, search, path) in LISTS {
        let (mut ours, mut theirs) = (Times::default(), Times::default());
        for _ in 0..TIMES {
            ours.note(monitor.get(path)).await?;
            theirs.note(flower.list(search)).await?;
        }
        println!(
            "| {what}, p50 / p99 / most, {TIMES} times | {} | {} |",
            ours.sorted(),
            theirs.sorted()
        );
    }
    let theirs = usage::memory_of(flower.process.id())?.0 >> 10;
    println!("| memory | {} MiB | {theirs} MiB |\n", monitor.memory()?);
    Ok(())
}

impl Flower {
    async fn start(url: &str) -> Result<Self> {
        let address = free()?;
        let port = address.rsplit(':').next().context("a port")?;
        let process = Command::new(python()?)
            .args(["-m", "celery", "-A", "app", "flower", "--address=127.0.0.1"])
            .args([&format!("--port={port}"), "--max_tasks=1000000", "--logging=error"])
            .env("AMQP_URL", url)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/monitor"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let flower = Self { process, address, client: reqwest::Client::new() };
        let began = Instant::now();
        while flower.list("").await.is_err() {
            ensure!(began.elapsed() < Duration::from_secs(60), "Flower does not answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(flower)
    }

    /// What the script of its page asks for.
    async fn list(&self, search: &str) -> Result<String> {
        let address = format!("http://{}/tasks/datatable", self.address);
        let query = [
            ("draw", "1"),
            ("start", "0"),
            ("length", "50"),
            ("search[value]", search),
            ("order[0][column]", "0"),
            ("order[0][dir]", "desc"),
            ("columns[0][data]", "received"),
        ];
        let asked = self.client.get(Url::parse_with_params(&address, query)?).send().await?;
        Ok(asked.error_for_status()?.text().await?)
    }

    /// Waits until it knows so many tasks.
    async fn has(&self, tasks: u64) -> Result<()> {
        let began = Instant::now();
        loop {
            let list: serde_json::Value = serde_json::from_str(&self.list("").await?)?;
            let known = list["recordsTotal"].as_u64().context("no number of tasks")?;
            if known == tasks && list["data"][0]["state"] == "SUCCESS" {
                return Ok(());
            }
            ensure!(began.elapsed() < PATIENCE, "Flower knows {known} tasks of {tasks}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

impl Drop for Flower {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
