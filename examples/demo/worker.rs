//! The worker: the stock program in a process of its own, and other commands of the same program.

use crate::folder::Folder;
use crate::tools::comes_true;
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// The configuration that all share.
const CONFIG: &str = "examples/demo/celeriac.toml";

/// How long a worker may take to be ready, or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running worker. It is killed when this is dropped.
#[derive(Debug)]
pub struct Worker(Child);

impl Worker {
    /// Starts a worker and waits until it consumes.
    pub async fn start(folder: &Folder) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(folder.log());
        let log = log.with_context(|| format!("opening {}", folder.log().display()))?;
        let ready = folder.logged(" ready ");
        let mut command = celeriac(folder, &["worker"])?;
        // Its own process group: Ctrl-C is for the demo, which stops its worker itself.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        let mut child = command.kill_on_drop(true).spawn().context("starting the worker")?;
        let mut ended = None;
        let is_ready = comes_true(PATIENCE, async || {
            ended = child.try_wait().ok().flatten();
            ended.is_some() || folder.logged(" ready ") > ready
        });
        if !is_ready.await || ended.is_some() {
            bail!("the worker did not start; its log is {}", folder.log().display());
        }
        Ok(Self(child))
    }

    /// `kill -9`: nothing is finished, nothing is said.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.0.kill().await.context("killing the worker")
    }

    /// Stops it in order.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(pid) = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed())) else {
            bail!("the worker ended by itself");
        };
        kill_process(pid, Signal::TERM).context("stopping the worker")?;
        let ended = tokio::time::timeout(PATIENCE, self.0.wait()).await;
        let status = ended.context("the worker does not stop")?.context("stopping the worker")?;
        if !status.success() {
            bail!("the worker ended with {status}");
        }
        Ok(())
    }
}

/// Runs a command of `celeriac` to its end.
pub async fn run(folder: &Folder, arguments: &[&str]) -> anyhow::Result<()> {
    let output = celeriac(folder, arguments)?.kill_on_drop(true).output().await?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("celeriac {}: {}: {complaint}", arguments.join(" "), output.status);
    }
    Ok(())
}

/// How a user would write the options that name the configuration.
pub fn configuration(folder: &Folder) -> String {
    format!("-c {CONFIG} -c {}", folder.here().display())
}

/// A command of the program, with the configuration of the demo.
pub fn celeriac(folder: &Folder, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(program()?);
    command.args(arguments).args(["-c", CONFIG, "-c"]).arg(folder.here());
    Ok(command)
}

/// `target/debug/celeriac`, seen from `target/debug/examples/demo`.
fn program() -> anyhow::Result<PathBuf> {
    let demo = std::env::current_exe().context("finding this program")?;
    let program = demo.ancestors().nth(2).map(|folder| folder.join("celeriac"));
    program
        .filter(|program| program.exists())
        .context("celeriac is not built; `make demo` builds it, or: cargo build --bin celeriac")
}

/// The files of the configuration.
pub fn files(folder: &Folder) -> [PathBuf; 2] {
    [CONFIG.into(), folder.here()]
}
