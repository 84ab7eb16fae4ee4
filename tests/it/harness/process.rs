//! The process wrapper, on shell scripts.

use std::time::Duration;

use tokio::process::Command;

use crate::rig::{PATIENCE, Process, Signal};

fn shell(script: &str) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Process::spawn(command)
}

#[tokio::test]
async fn lines_are_awaited_in_order_from_both_streams() {
    let mut process =
        shell("echo one; echo two 1>&2; read -r line < /dev/null; sleep 0.2; echo three");
    process.until("three").await;
    assert_eq!(process.output().lines().count(), 3);
}

#[tokio::test]
#[should_panic(expected = "the last line")]
async fn a_program_that_ends_first_shows_what_it_printed() {
    shell("echo the last line").until("never printed").await;
}

#[tokio::test]
async fn signals_arrive_and_the_status_comes_back() {
    let mut process =
        shell("trap 'echo told; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
    process.until("ready").await;
    process.signal(Signal::TERM);
    process.until("told").await;
    assert_eq!(process.ended(PATIENCE).await.code(), Some(7));
}

#[tokio::test]
async fn memory_and_processor_time_are_those_of_the_program() {
    let mut process =
        shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo counted; kill -STOP $$");
    process.until("counted").await;
    assert!(process.processor_time() > Duration::from_millis(10), "{:?}", process.processor_time());
    assert!(process.memory() > 100_000, "{}", process.memory());
    assert!(process.open_files() >= 3);
    process.kill().await;
}
