//! The monitor: what somebody sees in a browser meanwhile, killed on the way and asked at the end.

use crate::folder::Folder;
use crate::tools::comes_true;
use crate::worker;
use anyhow::{Context, bail};
use std::fs::File;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Child;

/// How long the monitor may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running monitor. It is killed when this is dropped.
#[derive(Debug)]
pub struct Watch {
    folder: Folder,
    address: String,
    monitor: Child,
    client: reqwest::Client,
}

impl Watch {
    /// Starts it, and waits until it answers.
    pub async fn start(folder: &Folder) -> anyhow::Result<Self> {
        let free = TcpListener::bind("127.0.0.1:0").context("a free port")?.local_addr()?;
        let address = free.to_string();
        let monitor = spawn(folder, &address)?;
        // The client of the demo's own broker may have chosen it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let mut watch = Self { folder: folder.clone(), address, monitor, client };
        watch.until_it_answers().await?;
        Ok(watch)
    }

    /// What to open in a browser.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// `kill -9`: nothing is written, nothing is said.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.monitor.kill().await.context("killing the monitor")
    }

    /// Starts it again, where it was.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.monitor = spawn(&self.folder, &self.address)?;
        self.until_it_answers().await
    }

    /// How many notifications it says were taken, once that is `expected` or does not become so.
    pub async fn notifications(&self, expected: usize) -> usize {
        let mut told = 0;
        comes_true(PATIENCE, async || {
            told = self.succeeded("follower.notify").await.unwrap_or(told);
            told >= expected
        })
        .await;
        told
    }

    async fn succeeded(&self, name: &str) -> anyhow::Result<usize> {
        let path = format!("{}api/v1/names/{name}?range=6h", self.url());
        let answer = self.client.get(path).send().await?.error_for_status()?;
        let answer: serde_json::Value = answer.json().await?;
        Ok(usize::try_from(answer["succeeded"].as_u64().unwrap_or_default())?)
    }

    async fn until_it_answers(&mut self) -> anyhow::Result<()> {
        let path = format!("{}api/v1/about", self.url());
        let mut ended = None;
        let answers = comes_true(PATIENCE, async || {
            ended = self.monitor.try_wait().ok().flatten();
            let asked = self.client.get(&path).send().await;
            ended.is_some() || asked.is_ok_and(|answer| answer.status().is_success())
        });
        if !answers.await || ended.is_some() {
            bail!("the monitor did not start; its log is {}", self.folder.monitor_log().display());
        }
        Ok(())
    }
}

fn spawn(folder: &Folder, address: &str) -> anyhow::Result<Child> {
    let path = folder.monitor_log();
    let log = File::options().create(true).append(true).open(&path);
    let log = log.with_context(|| format!("opening {}", path.display()))?;
    let mut command = worker::celeriac(folder, &["monitor", "--listen", address])?;
    command.arg("--data-dir").arg(folder.index());
    // Its own process group: Ctrl-C is for the demo.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
    command.kill_on_drop(true).spawn().context("starting the monitor")
}
