//! `celeriac run`: worker, scheduler and monitor in one process.

use crate::rig::{PATIENCE, Process, Rig, Signal, eventually};
use std::collections::BTreeSet;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const CONFIG: &str = r#"
[broker]
url = "{url}"
[ops]
listen = ""
socket = "run.sock"
[monitor]
listen = "127.0.0.1:0"
data_dir = "index"
[queues.default]
[tasks.tick]
exec = ["true"]
[schedules.tick]
task = "tick"
every = "200ms"
"#;

/// The body of the answer to `path`; `None` while nobody answers.
async fn ask(folder: &Path, path: &str) -> Option<String> {
    let mut stream = UnixStream::connect(folder.join("run.sock")).await.ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    Some(answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn one_process_sends_runs_and_shows_and_stops_in_order() {
    let rig = Rig::start().await;
    let mut all = rig.celeriac(&["run"], CONFIG).await;
    eventually("all parts do their work", async || {
        let ready = ask(rig.folder(), "/readyz").await.unwrap_or_default();
        let parts = ["worker: broker", "scheduler: scheduler", "monitor: events"];
        ready.starts_with("{\"ok\":true") && parts.iter().all(|part| ready.contains(part))
    })
    .await;
    let mut health = Process::celeriac(&["health", "--mode", "run", "--ready"], rig.folder());
    assert!(health.ended(PATIENCE).await.success(), "{}", health.output());
    eventually("what was sent was run and shown", async || {
        let metrics = ask(rig.folder(), "/metrics").await.unwrap();
        let is_some = |series: &str| {
            let mut values = metrics.lines().filter_map(|line| line.strip_prefix(series));
            values.any(|value| value.trim() != "0")
        };
        [
            "celeriac_schedule_runs_total{schedule=\"tick\",outcome=\"sent\"} ",
            "celeriac_worker_attempts_total ",
            "celeriac_events_total ",
        ]
        .iter()
        .all(|series| is_some(series))
    })
    .await;
    let metrics = ask(rig.folder(), "/metrics").await.unwrap();
    let types: Vec<_> = metrics.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    assert_eq!(types.iter().collect::<BTreeSet<_>>().len(), types.len(), "{types:#?}");

    all.signal(Signal::TERM);
    assert!(all.ended(PATIENCE).await.success(), "{}", all.output());
    all.until("stopped").await;
}

#[tokio::test]
async fn when_one_part_cannot_go_on_all_end_with_its_reason() {
    let rig = Rig::start().await;
    let config = CONFIG.replace("127.0.0.1:0", "192.0.2.1:1");
    let mut all = rig.celeriac(&["run"], &config).await;
    let status = all.ended(PATIENCE).await;
    assert_eq!(status.code(), Some(78), "{}", all.output());
    all.until("error: the monitor has failed").await;
}

#[tokio::test]
async fn only_what_is_named_runs() {
    let rig = Rig::start().await;
    let mut all = rig.celeriac(&["run", "--modes", "scheduler"], CONFIG).await;
    all.until("leading").await;
    let expected = r#"{"ok":true,"checks":[{"name":"scheduler","ok":true,"detail":"leading"}]}"#;
    eventually("it alone is ready", async || {
        ask(rig.folder(), "/readyz").await.is_some_and(|ready| ready == expected)
    })
    .await;
    all.signal(Signal::TERM);
    assert!(all.ended(PATIENCE).await.success());
}
