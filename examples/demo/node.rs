//! A RabbitMQ of the demo's own, gone when the demo is.

use crate::folder;
use anyhow::{Context, bail};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdout;

/// A running broker. Dropping it wipes it.
///
/// `node.sh hold` does so when its standard input ends, which the kernel sees to at the latest.
#[derive(Debug)]
pub struct Node {
    holder: Child,
}

impl Node {
    /// Starts a broker and gives it with its URL.
    pub async fn start() -> anyhow::Result<(Self, String)> {
        // Its own process group: Ctrl-C is for the demo, and the holder is to outlive it.
        let mut holder = script("hold")?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("starting rabbitmq/node.sh")?;
        let printed = holder.stdout.take().context("node.sh has no output")?;
        let node = Self { holder };
        let mut lines = BufReader::new(ChildStdout::from_std(printed)?).lines();
        while let Some(line) = lines.next_line().await? {
            if let Some(url) = line.strip_prefix("AMQP_URL=") {
                return Ok((node, url.to_owned()));
            }
        }
        bail!("RabbitMQ did not start, see above; rabbitmq/install.sh installs it")
    }

    /// Makes sure that no other demo runs here: it would lose its broker and its files.
    pub fn refuse_another() -> anyhow::Result<()> {
        let name = folder::NAME;
        if !Path::new(name).join("broker").exists() {
            return Ok(());
        }
        let status = script("status")?.stdout(Stdio::null()).status();
        if status.context("running rabbitmq/node.sh")?.success() {
            bail!(
                "another demo runs in ./{name}/; end it with Ctrl-C, or, if it is gone: \
                 CELERIAC_WORK={name} rabbitmq/node.sh wipe broker"
            );
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // It wipes the broker; nothing is to be done about it if it cannot.
        let _ = self.holder.wait();
    }
}

fn script(command: &str) -> anyhow::Result<Command> {
    let work = std::path::absolute(folder::NAME).context("finding the demo's folder")?;
    let mut script = Command::new("rabbitmq/node.sh");
    script.args([command, "broker"]).env("CELERIAC_WORK", work).env("NODE_PLUGINS", "");
    Ok(script)
}
