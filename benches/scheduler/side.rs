//! The two schedulers, each in a process of its own.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinSet;

use crate::python::python;
use crate::usage;

/// Whose scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Celeriac,
    Celery,
}

/// What is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entries {
    /// Once a day, and not in the next minutes.
    Daily,
    /// At periods from 30 to 90 seconds.
    Spread,
}

/// A scheduler that runs.
pub(crate) struct Running {
    child: Child,
    pid: u32,
    /// How long it took to begin.
    pub(crate) started: Duration,
    _reader: JoinSet<()>,
    _folder: TempDir,
}

/// The period of the task `t.NUMBER.OF`.
pub(crate) fn period_of(task: &str) -> Result<Duration> {
    let mut parts = task.split('.').skip(1);
    let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok());
    let (number, of) = number().zip(number()).context("no task of this bench")?;
    Ok(Duration::from_millis(30_000 + number * 60_000 / of))
}

const CELERY: &str = r#"
import datetime, os
from celery import Celery
from celery.schedules import crontab, schedule

app = Celery("app", broker=os.environ["AMQP_URL"])
count, daily = int(os.environ["ENTRIES"]), os.environ["DAILY"] == "1"
then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=2)
def when(number):
    if daily:
        return crontab(minute=then.minute, hour=then.hour)
    return schedule((30_000 + number * 60_000 // count) / 1000)
app.conf.beat_schedule = {
    f"e{number}": {"task": f"t.{number}.{count}", "schedule": when(number),
                   "options": {"queue": "default"}}
    for number in range(count)
}
"#;

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Celeriac => "celeriac scheduler",
            Self::Celery => "celery beat",
        }
    }

    /// Starts it with so many entries, and awaits that it has begun.
    pub(crate) async fn start(self, entries: Entries, count: usize, url: &str) -> Result<Running> {
        let folder = TempDir::new()?;
        let (mut command, ready) = match self {
            Self::Celeriac => (celeriac(folder.path(), entries, count, url)?, ": leading"),
            Self::Celery => (celery(folder.path(), entries, count, url)?, "beat: Starting"),
        };
        let begun = Instant::now();
        command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().context("starting a scheduler")?;
        let pid = child.id().context("it has ended")?;
        let errors = child.stderr.take().context("its log")?;
        let mut lines = BufReader::new(errors).lines();
        let mut seen = String::new();
        while let Some(line) = lines.next_line().await? {
            if line.contains(ready) {
                let started = begun.elapsed();
                // Somebody has to read on, or it would block.
                let mut reader = JoinSet::new();
                reader.spawn(drain(lines));
                return Ok(Running { child, pid, started, _reader: reader, _folder: folder });
            }
            let _ = writeln!(seen, "{line}");
        }
        bail!("{} did not start:\n{seen}", self.name())
    }
}

async fn drain(mut lines: Lines<BufReader<ChildStderr>>) {
    while let Ok(Some(_)) = lines.next_line().await {}
}

fn celeriac(folder: &Path, entries: Entries, count: usize, url: &str) -> Result<Command> {
    let mut file = format!(
        "[broker]\nurl = \"{url}\"\n[ops]\nlisten = \"\"\nsocket = \"\"\n\
         [queues.default]\ntype = \"classic\"\ndead_letter = false\n[schedules]\nqueue = \"default\"\n"
    );
    let hour = (time_of_day() / 3600 + 22) % 24;
    for number in 0..count {
        let task = format!("t.{number}.{count}");
        let when = match entries {
            Entries::Daily => format!("cron = \"0 {hour} * * *\""),
            Entries::Spread => format!("every = \"{}ms\"", period_of(&task)?.as_millis()),
        };
        writeln!(file, "[schedules.e{number}]\ntask = \"{task}\"\n{when}")?;
    }
    std::fs::write(folder.join("celeriac.toml"), file)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
    command.args(["scheduler", "-c", "celeriac.toml"]);
    Ok(command)
}

fn celery(folder: &Path, entries: Entries, count: usize, url: &str) -> Result<Command> {
    std::fs::write(folder.join("app.py"), CELERY)?;
    let daily = if entries == Entries::Daily { "1" } else { "0" };
    let mut command = Command::new(python()?);
    command.args(["-u", "-m", "celery", "-A", "app", "beat", "--loglevel=INFO"]);
    command.env("AMQP_URL", url).env("ENTRIES", count.to_string()).env("DAILY", daily);
    Ok(command)
}

/// Seconds since midnight, UTC.
fn time_of_day() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() % 86_400)
}

impl Running {
    /// The share of a core that it uses meanwhile.
    pub(crate) async fn share_of_a_core(&self, meanwhile: Duration) -> Result<f64> {
        let (before, begun) = (usage::time_of(self.pid)?, Instant::now());
        tokio::time::sleep(meanwhile).await;
        let used = usage::time_of(self.pid)? - before;
        Ok(used.as_secs_f64() / begun.elapsed().as_secs_f64())
    }

    /// What it holds, in KiB.
    pub(crate) fn memory(&self) -> Result<u64> {
        Ok(usage::memory_of(self.pid)?.0)
    }

    /// Ends it.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.child.kill().await.context("ending a scheduler")
    }
}
