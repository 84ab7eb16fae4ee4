//! A RabbitMQ of the demo's own, gone when the demo is.

use crate::folder;
use anyhow::{Context, bail};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
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

    /// Ends a broker that an earlier run could not.
    pub fn forget() -> anyhow::Result<()> {
        if PathBuf::from(folder::NAME).join("broker").exists() {
            script("wipe")?.status().context("running rabbitmq/node.sh")?;
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
