//! Schedules whose runs must not overlap, with real programs that take longer than they should.

use std::path::Path;

use super::people::{scheduler, stop};
use crate::rig::{Process, Rig, eventually};

#[tokio::test]
async fn a_run_is_left_out_while_the_one_before_has_not_ended() {
    let rig = Rig::start().await;
    let slow = r#"
[schedules.slow]
task = "slow"
every = "500ms"
overlap = "skip"
[tasks.slow]
exec = ["sh", "-c", "echo begins >> log; sleep 1.2; echo ends >> log"]
"#;
    let mut scheduler = scheduler(&rig, slow).await;
    let worker = Process::celeriac(&["worker", "-c", "celeriac.toml"], rig.folder());
    let log = rig.folder().join("log");
    let lines = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("three runs, one after the other", async || lines().lines().count() >= 6).await;
    scheduler.until("left out, the run before has not ended").await;
    stop(scheduler).await;
    stop(worker).await;
    let lines = lines();
    let pairs: Vec<&str> = lines.lines().collect();
    assert!(pairs.as_chunks().0.iter().all(|pair| *pair == ["begins", "ends"]), "{lines}");
}

const STOPPED: &str = r#"
[schedules.slow]
task = "slow"
every = "1s"
overlap = "cancel_previous"
[tasks.slow]
exec = ["sh", "-c", "echo $$ >> log; sleep 600"]
[worker]
concurrency = 8
drain_timeout = "100ms"
"#;

/// The programs that were started, in order.
fn started(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Those of them that still run.
fn alive(pids: &[String]) -> Vec<&String> {
    let runs = |pid: &&String| Path::new("/proc").join(pid).exists();
    pids.iter().filter(runs).collect()
}

#[tokio::test]
async fn the_run_before_is_stopped_over_the_loss_of_the_leader() {
    let rig = Rig::start().await;
    let mut first = scheduler(&rig, STOPPED).await;
    let worker = Process::celeriac(&["worker", "-c", "celeriac.toml"], rig.folder());
    let log = rig.folder().join("log");
    eventually("three runs begin", async || started(&log).len() >= 3).await;
    first.until("the run before is stopped").await;
    first.kill().await;
    let before = started(&log).len();
    let mut second = scheduler(&rig, STOPPED).await;
    second.until("the run before is stopped").await;
    eventually("two more begin", async || started(&log).len() >= before + 2).await;
    stop(second).await;
    // On a busy machine two may say in another order that they began.
    eventually("only the last runs", async || alive(&started(&log)).len() == 1).await;
    stop(worker).await;
    assert_eq!(rig.ready("default").await, 1, "the last goes to another worker");
}
