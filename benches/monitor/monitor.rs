//! The program `celeriac monitor`, measured from outside.

use crate::usage;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A monitor that runs.
pub(crate) struct Monitor {
    process: Child,
    address: String,
    ops: String,
    folder: PathBuf,
    client: reqwest::Client,
    /// How long it took until it was ready.
    pub(crate) started: Duration,
}

impl Monitor {
    pub(crate) async fn start(url: &str, folder: &Path) -> Result<Self> {
        let (address, ops) = (free()?, free()?);
        let began = Instant::now();
        let process = Command::new(env!("CARGO_BIN_EXE_celeriac"))
            .args(["monitor", "--log-level", "warn", "--listen", &address])
            .arg("--data-dir")
            .arg(folder)
            .env("CELERIAC_BROKER_URL", url)
            .env("CELERIAC__OPS__LISTEN", &ops)
            .env("CELERIAC__OPS__SOCKET", "")
            .stdin(Stdio::null())
            .spawn()?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let folder = folder.to_owned();
        let started = Duration::ZERO;
        let mut monitor = Self { process, address, ops, folder, client, started };
        while !monitor.is_ready().await {
            ensure!(began.elapsed() < Duration::from_secs(30), "the monitor is not ready");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        monitor.started = began.elapsed();
        Ok(monitor)
    }

    async fn is_ready(&self) -> bool {
        let asked = self.client.get(format!("http://{}/readyz", self.ops)).send().await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }

    /// The body at `path`.
    pub(crate) async fn get(&self, path: &str) -> Result<String> {
        let asked = self.client.get(format!("http://{}{path}", self.address)).send().await?;
        Ok(asked.error_for_status()?.text().await?)
    }

    /// Waits until so many tasks have succeeded.
    pub(crate) async fn has(&self, tasks: u64) -> Result<()> {
        loop {
            let states: serde_json::Value =
                serde_json::from_str(&self.get("/api/v1/states").await?)?;
            let succeeded = states["SUCCESS"].as_u64().unwrap_or_default();
            ensure!(succeeded <= tasks, "{succeeded} tasks of {tasks}");
            if succeeded == tasks {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn time(&self) -> Result<Duration> {
        usage::time_of(self.process.id())
    }

    /// What it holds in memory, in MiB.
    pub(crate) fn memory(&self) -> Result<u64> {
        Ok(usage::memory_of(self.process.id())?.0 >> 10)
    }

    /// What it holds on the disk, in MiB.
    pub(crate) fn disk(&self) -> Result<u64> {
        let sizes = std::fs::read_dir(&self.folder)?.map(|file| Ok(file?.metadata()?.len()));
        Ok(sizes.sum::<Result<u64>>()? >> 20)
    }

    /// Kills it as it is.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Stops it in order; how long that took.
    pub(crate) async fn stop(mut self) -> Result<Duration> {
        let began = Instant::now();
        kill_process(Pid::from_child(&self.process), Signal::TERM)?;
        while self.process.try_wait()?.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(began.elapsed())
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // It may have been stopped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An address that is free.
pub(crate) fn free() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("a free port")?;
    Ok(listener.local_addr()?.to_string())
}
