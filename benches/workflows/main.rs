//! A chain of 100 steps and a chord of 1,000 members, by Celery's own worker and by ours: the same
//! RabbitMQ, the same Redis, one after the other in each round.
//!
//! `make bench-celery` runs it. Celery's client and worker; Celery's client with our worker; our
//! client and worker, also with nothing but RabbitMQ; and, of the chain, a bare lapin client that sends
//! messages of the same sizes to itself. Each time runs from before the first message is sent until
//! the caller has the result; figures are medians.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bare;
#[path = "../runner/broker.rs"]
#[allow(dead_code, reason = "the other benchmark reads more of it")]
mod broker;
#[path = "../runner/python.rs"]
mod python;
#[path = "../runner/usage.rs"]
#[allow(dead_code, reason = "the other benchmark reads more of it")]
mod usage;

use anyhow::{Context, Result, ensure};
use bare::Bare;
use broker::Broker;
use celeriac::canvas::{chain, chord};
use celeriac::config::Config;
use celeriac::handler::TaskContext;
use celeriac::prelude::*;
use celeriac::protocol::Signature;
use celeriac::publisher::Serializer;
use celeriac::results::Backend;
use celeriac::topology::{QueueKind, QueueTable};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

const ROUNDS: usize = 5;
const STEPS: i64 = 100;
const MEMBERS: i64 = 1_000;

/// The row of the bare client.
const FLOOR: &str = "bare lapin, no worker";

/// Seconds by row and form.
type Times = BTreeMap<(&'static str, String), Vec<f64>>;

#[task(name = "bench.add")]
async fn add(_cx: TaskContext, a: i64, b: i64) -> anyhow::Result<i64> {
    Ok(a + b)
}

#[task(name = "bench.sum")]
async fn total(numbers: Vec<i64>) -> anyhow::Result<i64> {
    Ok(numbers.iter().sum())
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let python = python::python()?;
    let broker = Broker::start()?;
    let redis = Redis::start()?;
    let mut times = Times::new();
    {
        let worker = CeleryWorker::start(&python, &broker.url, &redis.url)?;
        produce(&python, &broker.url, &redis.url, "py", "celery", &mut times)?;
        drop(worker);
    }
    for backend in [Backend::Redis, Backend::Rpc] {
        let config = config(&broker.url, &redis.url, backend);
        let app = App::connect(config).await?;
        let done = Notify::new();
        let worker = Worker::new(&app).register::<add>().register::<total>();
        let worker = worker.run_until(done.notified());
        let measured = async {
            if backend == Backend::Redis {
                let (url, redis_url, python) =
                    (broker.url.clone(), redis.url.clone(), python.clone());
                let theirs = tokio::task::spawn_blocking(move || {
                    let mut times = Times::new();
                    produce(
                        &python,
                        &url,
                        &redis_url,
                        "rust",
                        "celery's client, our worker",
                        &mut times,
                    )?;
                    anyhow::Ok(times)
                });
                times.extend(theirs.await??);
            }
            let row = if backend == Backend::Redis { "ours" } else { "ours, RabbitMQ alone" };
            measure(&app, row, &mut times).await?;
            done.notify_one();
            anyhow::Ok(())
        };
        let (worked, measured) = tokio::join!(worker, measured);
        worked?;
        measured?;
        app.close().await;
    }
    let mut bare = Bare::connect(&broker.url).await?;
    for _ in 0..ROUNDS {
        let taken = bare.chain(usize::try_from(STEPS)?).await?.as_secs_f64();
        times.entry((FLOOR, "chain".to_owned())).or_default().push(taken);
    }
    report(&times);
    Ok(())
}

async fn measure(app: &App, row: &'static str, times: &mut Times) -> Result<()> {
    let call = |args: &[i64]| Signature::call("bench.add", args).map(|task| task.queue("rust"));
    for _ in 0..ROUNDS {
        let first = std::iter::once(call(&[0, 1]));
        let steps: Result<Vec<_>, _> = first.chain((1..STEPS).map(|_| call(&[1]))).collect();
        let members: Result<Vec<_>, _> = (0..MEMBERS).map(|n| call(&[n, n])).collect();
        let sum = Signature::new("bench.sum").queue("rust");
        for (form, canvas, expected) in [
            ("chain", chain(steps?), STEPS),
            ("chord", chord(members?, sum), MEMBERS * (MEMBERS - 1)),
        ] {
            let began = Instant::now();
            let handle = app.client().apply::<i64>(canvas).await?;
            let value = handle.timeout(Duration::from_secs(300)).await?;
            ensure!(value == expected, "{form}: {value}");
            let taken = began.elapsed().as_secs_f64();
            times.entry((row, form.to_owned())).or_default().push(taken);
        }
    }
    Ok(())
}

fn config(url: &str, redis: &str, backend: Backend) -> Config {
    let mut config = Config::default();
    config.broker.url = url.into();
    config.results.backend = backend;
    if backend == Backend::Redis {
        config.results.url = redis.into();
    }
    let table = QueueTable {
        kind: Some(QueueKind::Classic),
        dead_letter: Some(false),
        ..QueueTable::default()
    };
    config.queues.insert("rust", table);
    config.worker.queues = vec!["rust".to_owned()];
    config.publisher.serializer = Serializer::Json;
    config
}

/// Celery's client measures and prints: one for the chains, and one for the chords, because it hears
/// of a chord's members until long after the chord.
fn produce(
    python: &Path,
    url: &str,
    redis: &str,
    queue: &str,
    row: &'static str,
    times: &mut Times,
) -> Result<()> {
    for (form, size) in [("chain", STEPS), ("chord", MEMBERS)] {
        let mut command = celery(python, url, redis);
        command.env("QUEUE", queue).args(["app.py", form]);
        command.args([ROUNDS.to_string(), size.to_string()]);
        let output = command.stderr(Stdio::inherit()).output().context("running Python")?;
        ensure!(output.status.success(), "Celery's client failed");
        for line in String::from_utf8(output.stdout)?.lines() {
            let words: Vec<_> = line.split(' ').collect();
            let [form, _, whole] = words[..] else { continue };
            times.entry((row, form.to_owned())).or_default().push(whole.parse()?);
        }
    }
    Ok(())
}

fn celery(python: &Path, url: &str, redis: &str) -> Command {
    let mut command = Command::new(python);
    command.env("AMQP_URL", url).env("REDIS_URL", redis);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/workflows"));
    command
}

/// Celery's worker with its default pool, two processes.
struct CeleryWorker(Child);

impl CeleryWorker {
    fn start(python: &Path, url: &str, redis: &str) -> Result<Self> {
        let mut command = celery(python, url, redis);
        command.args(["-m", "celery", "-A", "app", "worker", "-c", "2", "--loglevel=INFO"]);
        command.args(["--without-gossip", "--without-mingle", "--without-heartbeat"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let log = child.stderr.take().context("piped")?;
        let mut lines = BufReader::new(log).lines();
        for line in &mut lines {
            if line?.contains("ready.") {
                // What it says afterwards is read by nobody, and must not stop it.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(Self(child));
            }
        }
        anyhow::bail!("Celery's worker ended before it was ready")
    }
}

impl Drop for CeleryWorker {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        // Its pool ends with it on TERM, and not on KILL.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

/// A Redis of our own, without a disk.
struct Redis {
    child: Child,
    url: String,
}

impl Redis {
    fn start() -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
        let child = command.stdout(Stdio::null()).spawn().context("running redis-server")?;
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(began.elapsed() < Duration::from_secs(10), "redis-server does not answer");
            std::thread::yield_now();
        }
        Ok(Self { child, url: format!("redis://127.0.0.1:{port}/0") })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn report(times: &Times) {
    let median = |row: &str, form: &str| {
        let found = times.iter().find(|((its, of), _)| *its == row && of == form);
        let mut values = found.map(|(_, values)| values.clone()).unwrap_or_default();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    println!(
        "{:<32}{:>16}{:>9}{:>16}{:>9}",
        "", "chain of 100", "ratio", "chord of 1,000", "ratio"
    );
    let rows = ["celery", "celery's client, our worker", "ours", "ours, RabbitMQ alone", FLOOR];
    for row in rows {
        let mut line = format!("{row:<32}");
        for form in ["chain", "chord"] {
            if let (Some(base), Some(own)) = (median("celery", form), median(row, form)) {
                line += &format!("{:>13.1} ms{:>8.1}x", own * 1_000.0, base / own);
            }
        }
        println!("{line}");
    }
}
