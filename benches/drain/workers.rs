//! The two workers, each a process of its own, and Celery's producer.

use crate::python::python;
use crate::{QUEUE, usage};
use anyhow::{Result, ensure};
use celeriac::config::Config;
use celeriac::prelude::*;
use celeriac::topology::{QueueKind, QueueTable};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[task(name = "bench.nothing", queue = "bench")]
async fn nothing(number: u64, name: String) -> anyhow::Result<()> {
    std::hint::black_box((number, name));
    Ok(())
}

/// The queue, as Celery declares it.
pub(crate) fn config(url: &str) -> Config {
    let mut config = Config::default();
    config.broker.url = url.into();
    let table = QueueTable {
        kind: Some(QueueKind::Classic),
        dead_letter: Some(false),
        ..QueueTable::default()
    };
    config.queues.insert(QUEUE, table);
    config.worker.queues = vec![QUEUE.to_owned()];
    config
}

/// Our worker, until it is told to stop.
pub(crate) async fn run(url: &str) -> Result<()> {
    let app = App::connect(config(url)).await?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    Worker::new(&app).register::<nothing>().run_until(stop).await?;
    Ok(())
}

/// A worker that runs.
pub(crate) struct Running(Child);

impl Running {
    /// Ours: this program, started again.
    pub(crate) fn ours(url: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        Ok(Self(command.args(["worker", url]).spawn()?))
    }

    /// Processor time of all its processes so far.
    pub(crate) fn time(&self) -> Result<Duration> {
        let own = usage::time_of(self.0.id())?;
        let path = format!("/proc/{0}/task/{0}/children", self.0.id());
        let children = std::fs::read_to_string(path)?;
        let children =
            children.split_whitespace().map(|pid| anyhow::Ok(usage::time_of(pid.parse()?)?));
        Ok(own + children.sum::<Result<Duration>>()?)
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.0), Signal::INT)?;
        self.0.wait()?;
        Ok(())
    }
}

/// Python with Celery.
pub(crate) struct Python(PathBuf);

impl Python {
    pub(crate) fn find() -> Result<Self> {
        Ok(Self(python()?))
    }

    /// Sends so many tasks.
    pub(crate) fn produce(&self, url: &str, count: usize, serializer: &str) -> Result<()> {
        let status = self.command(url).args(["app.py", &count.to_string(), serializer]).status()?;
        ensure!(status.success(), "Celery's producer failed");
        Ok(())
    }

    /// Celery's worker with so many processes. It takes a while until it takes tasks.
    pub(crate) fn worker(&self, url: &str, processes: usize) -> Result<Running> {
        let mut command = self.command(url);
        command.args(["-m", "celery", "-A", "app", "worker", "--loglevel=WARNING", "-c"]);
        command.args([&processes.to_string(), "--without-gossip", "--without-mingle"]);
        command.arg("--without-heartbeat").stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Running(command.spawn()?))
    }

    fn command(&self, url: &str) -> Command {
        let mut command = Command::new(&self.0);
        command.env("AMQP_URL", url).env("PYTHONDONTWRITEBYTECODE", "1");
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/drain"));
        command
    }
}
