//! Running programs, and looking for what is left of them.

use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::fs;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// How often something is looked at that tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(50);

/// Runs a program to its end and gives what it printed.
pub async fn output(
    program: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        bail!("{program}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Looks again and again until something holds, but not for longer than `limit`. Whether it does.
pub async fn comes_true(limit: Duration, mut holds: impl AsyncFnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !holds().await {
        if Instant::now() > end {
            return false;
        }
        sleep(LOOK).await;
    }
    true
}

/// Whether any process of a group still runs. What has ended and was not collected does not.
pub fn is_alive(group: i32) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    let stats =
        processes.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    stats.into_iter().any(|stat| {
        // The name, in parentheses, may hold spaces; state, parent and group come after it.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next();
        fields.nth(1).and_then(|field| field.parse().ok()) == Some(group)
            && !matches!(state, Some("Z" | "X"))
    })
}
