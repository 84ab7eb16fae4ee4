//! `celeriac health`

use super::exit::{Exit, OrExit};
use super::global::Global;
use crate::ops::{Answer, socket_path};
use anyhow::{Context, anyhow};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// Ask a running program on this machine for its health, for probes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac health                   exit code 0 while the program lives
  celeriac health --ready           also: connected to the broker and consuming
  celeriac health --mode worker --ready -o json")]
pub(crate) struct Arguments {
    /// The mode of the program to ask
    #[arg(long, default_value = "worker")]
    mode: String,

    /// Ask whether it does its work, not only whether it lives
    #[arg(long)]
    ready: bool,
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let config = global.load(global.loader())?.config;
    let path = socket_path(&config.ops, &arguments.mode)
        .ok_or_else(|| anyhow!("the socket is switched off; set `socket` in [ops]"))
        .or_exit(Exit::Config)?;
    let question = if arguments.ready { "readyz" } else { "livez" };
    let answer = tokio::time::timeout(PATIENCE, ask(&path, question))
        .await
        .unwrap_or_else(|_| Err(anyhow!("no answer within {PATIENCE:?}")))
        .with_context(|| format!("asking at {}", path.display()))
        .or_exit(Exit::Unreachable)?;
    let failed = answer.checks.iter().filter(|check| !check.ok);
    let failed: Vec<_> = failed.map(|check| format!("{}: {}", check.name, check.detail)).collect();
    let text = if failed.is_empty() { "ok".to_owned() } else { failed.join("\n") };
    global.output.one(&answer, &text)?;
    Ok(if answer.ok { Exit::Done } else { Exit::No })
}

/// One question over the local socket. The oldest HTTP is enough: the answer ends with the
/// connection.
async fn ask(path: &Path, question: &str) -> anyhow::Result<Answer> {
    let mut stream = UnixStream::connect(path).await?;
    let request = format!("GET /{question} HTTP/1.0\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut reply = String::new();
    stream.take(LONGEST).read_to_string(&mut reply).await?;
    let (_, body) = reply.split_once("\r\n\r\n").context("the answer is no HTTP")?;
    serde_json::from_str(body).context("the answer is not that of celeriac")
}
