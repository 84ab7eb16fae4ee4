//! Tasks that are programs and HTTP calls, from a configuration alone, by the real program.

use crate::rig::{PATIENCE, Process, Rig, Signal, eventually};
use axum::Router;
use axum::routing::post;
use std::path::Path;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A configuration with these tasks.
fn config(tasks: &str) -> String {
    format!(
        "[broker]\nurl = \"{{url}}\"\n[results]\nbackend = \"rpc\"\n[ops]\nlisten = \"\"\n\
         [queues.default]\n[worker]\nqueues = [\"default\"]\n{tasks}"
    )
}

async fn worker(rig: &Rig, tasks: &str) -> Process {
    let mut worker = rig.celeriac(&["worker"], &config(tasks)).await;
    worker.until("ready").await;
    worker
}

/// What a command prints that ends well.
async fn said(rig: &Rig, arguments: &[&str]) -> String {
    let mut command = Process::celeriac(arguments, rig.folder());
    let status = command.ended(PATIENCE).await;
    assert!(status.success(), "{}", command.output());
    command.output()
}

/// Calls a task from the command line, to its result.
async fn call(rig: &Rig, arguments: &[&str]) -> String {
    said(rig, &[&["call"], arguments].concat()).await
}

#[tokio::test]
async fn a_table_in_the_configuration_is_a_task() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/push/ann", post(|| async { "pushed" }));
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, routes).await.unwrap() });

    let rig = Rig::start().await;
    let _worker = worker(
        &rig,
        &format!(
            "[tasks.greet]\nexec = [\"printf\", \"hello %s\", \"{{name}}\"]\n\
             [tasks.push]\nhttp.url = \"http://{address}/push/{{name}}\"\n"
        ),
    )
    .await;
    let named = ["--kwargs", r#"{"name": "ann"}"#];
    assert!(call(&rig, &[&["greet"], &named[..]].concat()).await.contains("hello ann"));
    assert!(call(&rig, &[&["push"], &named[..]].concat()).await.contains("pushed"));
}

#[tokio::test]
async fn a_worker_says_how_it_treats_a_task_and_who_said_so() {
    let rig = Rig::start().await;
    let tasks = "[tasks]\nretries = 5\nrate = \"10/s\"\n\
                 [tasks.greet]\nexec = [\"echo\"]\ntime_limit = \"1m\"\n";
    let _worker = worker(&rig, tasks).await;
    let policy = ["inspect", "policy", "greet"];
    let before = said(&rig, &policy).await;
    for line in [
        "greet.retries = 5 ([tasks])",
        "greet.rate = 10/s ([tasks])",
        "greet.time_limit = 1m ([tasks.\"greet\"])",
        "greet.ack = late (default)",
    ] {
        assert!(before.contains(line), "{line} is not in\n{before}");
    }
    said(&rig, &["control", "rate_limit", "greet", "90/m"]).await;
    said(&rig, &["control", "time_limit", "greet", "5", "60"]).await;
    let after = said(&rig, &policy).await;
    for line in [
        "greet.rate = 90/m (remote control)",
        "greet.soft_limit = 5s (remote control)",
        "greet.time_limit = 1m ([tasks.\"greet\"])",
    ] {
        assert!(after.contains(line), "{line} is not in\n{after}");
    }
    let mut unknown = Process::celeriac(&["inspect", "policy", "grete"], rig.folder());
    assert_eq!(unknown.ended(PATIENCE).await.code(), Some(3));
    assert!(unknown.output().contains("no task grete is registered here"), "{}", unknown.output());
}

#[tokio::test]
async fn a_worker_whose_log_nobody_reads_works_on() {
    let rig = Rig::start().await;
    let mut worker = worker(&rig, "[tasks.greet]\nexec = [\"echo\", \"hello\"]\n").await;
    worker.stop_reading().await;
    for _ in 0..3 {
        assert!(call(&rig, &["greet"]).await.contains("hello"));
    }
    worker.signal(Signal::TERM);
    assert!(worker.ended(PATIENCE).await.success());
}

#[tokio::test]
async fn a_program_ends_with_its_killed_worker_and_another_worker_runs_it_again() {
    let rig = Rig::start().await;
    let tasks = r#"
        [tasks.work]
        exec = ["sh", "-c", "mkdir first || exec echo again; echo $$ > new; mv new pid; sleep 100000"]
    "#;
    let mut first = worker(&rig, tasks).await;
    let mut caller = Process::celeriac(&["call", "work"], rig.folder());
    let pid_file = rig.folder().join("pid");
    eventually("the program to start", || async { pid_file.exists() }).await;
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    let process = Path::new("/proc").join(pid.trim());
    assert!(process.exists());

    first.kill().await;
    eventually("the program to end with its worker", || async { !process.exists() }).await;

    let _second = worker(&rig, tasks).await;
    assert!(caller.ended(PATIENCE).await.success(), "{}", caller.output());
    assert!(caller.output().contains("again"), "{}", caller.output());
}
