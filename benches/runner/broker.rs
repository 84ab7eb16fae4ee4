//! The broker that is measured against: a private node, or the one that `AMQP_URL` names.

use crate::usage;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A broker, and where its processor time can be read.
pub(crate) struct Broker {
    pub(crate) url: String,
    /// Its Erlang VM; unknown for a broker that is not ours.
    pid: Option<u32>,
    holder: Option<Child>,
}

impl Broker {
    pub(crate) fn start() -> Result<Self> {
        if let Ok(url) = std::env::var("AMQP_URL") {
            return Ok(Self { url, pid: None, holder: None });
        }
        let name = format!("bench-{}", std::process::id());
        // The node lives as long as the standard input of its holder, that is, as long as we do.
        let mut holder = script()
            .args(["hold", &name])
            .env("NODE_PLUGINS", "")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("running rabbitmq/node.sh")?;
        let mut line = String::new();
        let printed = holder.stdout.take().context("the holder has no output")?;
        BufReader::new(printed).read_line(&mut line)?;
        let Some(url) = line.trim().strip_prefix("AMQP_URL=") else {
            bail!("no RabbitMQ to measure: rabbitmq/install.sh installs it, or set AMQP_URL");
        };
        let pid = script().args(["pid", &name]).output()?.stdout;
        let pid = String::from_utf8(pid)?.trim().parse().context("the pid of the node")?;
        Ok(Self { url: url.to_owned(), pid: Some(pid), holder: Some(holder) })
    }

    /// Processor time so far; `None` for a broker that is not ours.
    pub(crate) fn time(&self) -> Option<Duration> {
        self.pid.and_then(|pid| usage::time_of(pid).ok())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            drop(holder.stdin.take());
            // It wipes the node; nothing is to be done about it if it cannot.
            let _ = holder.wait();
        }
    }
}

fn script() -> Command {
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("rabbitmq/node.sh"));
    script.env("CELERIAC_WORK", concat!(env!("CARGO_TARGET_TMPDIR"), "/rabbitmq"));
    script
}
