//! What a worker and a scheduler count, asked as Prometheus asks.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::Command;

use crate::rig::{Process, Rig, eventually};

/// What a program of this name says at `/metrics`; empty while nobody answers.
async fn metrics(folder: &Path, program: &str) -> String {
    let Ok(mut stream) = UnixStream::connect(folder.join(format!("{program}.sock"))).await else {
        return String::new();
    };
    stream.write_all(b"GET /metrics HTTP/1.0\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200") && head.contains("openmetrics-text"), "{head}");
    assert!(body.ends_with("# EOF\n"), "{body}");
    body.to_owned()
}

/// The value of a series.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line?.parse().ok()
}

async fn start(rig: &Rig, program: &str, more: &str) -> Process {
    let url = rig.url();
    let file = format!(
        "[broker]\nurl = \"{url}\"\n[ops]\nlisten = \"\"\nsocket = \"{program}.sock\"\n\
         [queues.default]\n[tasks.tick]\nexec = [\"true\"]\n{more}"
    );
    let name = format!("{program}.toml");
    tokio::fs::write(rig.folder().join(&name), file).await.unwrap();
    Process::celeriac(&[program, "-c", &name], rig.folder())
}

#[tokio::test]
async fn prometheus_sees_who_leads_what_was_sent_and_what_was_run() {
    let rig = Rig::start().await;
    let folder = rig.folder();
    let _worker = start(&rig, "worker", "").await;
    let tick = "[schedules.tick]\ntask = \"tick\"\nevery = \"500ms\"\n";
    let _scheduler = start(&rig, "scheduler", tick).await;
    eventually("three runs are counted", async || {
        let worker = metrics(folder, "worker").await;
        value(&worker, "celeriac_worker_attempts_total").is_some_and(|number| number >= 3.0)
    })
    .await;

    eventually("it is seen that the queue is consumed", async || {
        let worker = metrics(folder, "worker").await;
        value(&worker, "celeriac_worker_consuming{queue=\"default\"}") == Some(1.0)
    })
    .await;
    let worker = metrics(folder, "worker").await;
    assert_eq!(value(&worker, "celeriac_broker_up"), Some(1.0));
    assert_eq!(value(&worker, "celeriac_broker_reconnects_total"), Some(0.0));
    let version = format!("celeriac_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(value(&worker, &version), Some(1.0));

    let scheduler = metrics(folder, "scheduler").await;
    let of = |series: &str| value(&scheduler, series).unwrap_or_default();
    assert_eq!((of("celeriac_scheduler_leader"), of("celeriac_scheduler_entries")), (1.0, 1.0));
    let sent = "celeriac_schedule_runs_total{schedule=\"tick\",outcome=\"sent\"}";
    assert!(of(sent) >= 3.0 && of(sent) == of("celeriac_schedule_late_seconds_count"));
    let last = of("celeriac_schedule_last_timestamp_seconds{schedule=\"tick\"}");
    assert!(of("celeriac_scheduler_next_timestamp_seconds") > last && last > 1.7e9);
}

#[tokio::test]
async fn prometheus_sees_a_lost_connection() {
    let rig = Rig::start().await;
    let proxy = rig.proxy().await;
    let mut worker = {
        let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
        let socket = "[ops]\nlisten = \"\"\nsocket = \"worker.sock\"\n[queues.default]\n";
        tokio::fs::write(rig.folder().join("celeriac.toml"), socket).await.unwrap();
        command.args(["worker", "-c", "celeriac.toml", "--broker", &rig.url_through(&proxy)]);
        command.current_dir(rig.folder());
        Process::spawn(command)
    };
    worker.until("ready").await;
    proxy.cut();
    eventually("the connection is made again", async || {
        let told = metrics(rig.folder(), "worker").await;
        value(&told, "celeriac_broker_reconnects_total").is_some_and(|number| number >= 1.0)
            && value(&told, "celeriac_broker_up") == Some(1.0)
    })
    .await;
}
