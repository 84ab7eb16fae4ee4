//! What a person does to schedules, and what workers make of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use celeriac::app::App;
use celeriac::config::Config;
use celeriac::shutdown::Shutdown;
use celeriac::topology::QueueTable;
use serde_json::Value;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::runs::{account, take};
use crate::rig::{Celery, PATIENCE, Process, Rig, Signal, eventually};

const FILE: &str = r#"
[broker]
url = "{url}"
[ops]
listen = ""
socket = "{folder}/health.sock"
[scheduler]
watch = "100ms"
[queues.default]
"#;

const TICK: &str = r#"
[schedules.tick]
task = "tick"
every = "500ms"
missed = "all"
missed_within = "10m"
"#;

fn file(rig: &Rig, schedules: &str) -> String {
    let folder = rig.folder().display().to_string();
    FILE.replace("{url}", &rig.url()).replace("{folder}", &folder) + schedules
}

async fn write(rig: &Rig, schedules: &str) {
    tokio::fs::write(rig.folder().join("celeriac.toml"), file(rig, schedules)).await.unwrap();
}

pub(super) async fn scheduler(rig: &Rig, schedules: &str) -> Process {
    write(rig, schedules).await;
    let mut scheduler = Process::celeriac(&["scheduler", "-c", "celeriac.toml"], rig.folder());
    scheduler.until(": leading").await;
    scheduler
}

pub(super) async fn stop(mut process: Process) {
    process.signal(Signal::TERM);
    let status = process.ended(PATIENCE).await;
    assert!(status.success(), "{status}: {}", process.output());
}

/// Runs `celeriac schedule ARGUMENTS`.
async fn schedule(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
    command.args(["schedule"]).args(arguments).args(["-c", "celeriac.toml"]);
    command.current_dir(folder).output().await.unwrap()
}

/// What a command that must succeed says, as JSON.
async fn answer(rig: &Rig, arguments: &[&str]) -> Value {
    let output = schedule(rig.folder(), &[arguments, &["-o", "json"]].concat()).await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The row of a schedule in the list.
async fn listed(rig: &Rig, name: &str) -> Value {
    let rows = answer(rig, &["list"]).await;
    rows.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone()
}

async fn until_ready(rig: &Rig, more: u32) {
    let there = async || rig.consumers("default").await.is_some();
    let before = if there().await { rig.ready("default").await } else { 0 };
    eventually("runs arrive", async || {
        there().await && rig.ready("default").await >= before + more
    })
    .await;
}

#[tokio::test]
async fn what_a_person_changes_outlives_the_leader() {
    let rig = Rig::start().await;
    let mut first = scheduler(&rig, TICK).await;
    assert_eq!(listed(&rig, "tick").await["state"], "on");
    until_ready(&rig, 1).await;
    answer(&rig, &["pause", "tick", "--reason", "moving"]).await;
    let paused = listed(&rig, "tick").await;
    assert!(paused["state"].as_str().unwrap().ends_with(": moving"), "{paused}");
    assert_eq!(paused["next"], Value::Null);

    first.kill().await;
    let second = scheduler(&rig, TICK).await;
    assert!(listed(&rig, "tick").await["state"].as_str().unwrap().starts_with("paused"));
    let before = rig.ready("default").await;
    answer(&rig, &["edit", "tick", "every = \"5m\"", "expires = \"10m\""]).await;
    answer(&rig, &["resume", "tick"]).await;
    let edited = answer(&rig, &["show", "tick"]).await;
    assert_eq!((&edited["words"], &edited["expires"]), (&"every 5m".into(), &"10m".into()));
    // Paused, and then some minutes away: nothing came.
    assert!(rig.ready("default").await <= before + 1);
    answer(&rig, &["edit", "tick", "--reset"]).await;
    assert_eq!(listed(&rig, "tick").await["words"], "every 500ms");
    until_ready(&rig, 2).await;

    let wrong = schedule(rig.folder(), &["edit", "tick", "cron = \"61 * * * *\""]).await;
    assert_eq!(wrong.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("minute 61 does not exist"));
    assert_eq!(schedule(rig.folder(), &["pause", "tock"]).await.status.code(), Some(4));
    stop(second).await;
    let nobody = schedule(rig.folder(), &["pause", "tick"]).await;
    assert_eq!(nobody.status.code(), Some(75), "{}", String::from_utf8_lossy(&nobody.stderr));
}

#[tokio::test]
async fn a_changed_file_is_taken_over_without_a_gap_or_a_double() {
    let rig = Rig::start().await;
    let mut scheduler = scheduler(&rig, TICK).await;
    until_ready(&rig, 2).await;
    let more = format!("{TICK}[schedules.other]\ntask = \"other\"\nevery = \"1s\"\n");
    write(&rig, &more).await;
    scheduler.until("schedules reloaded").await;
    until_ready(&rig, 3).await;
    write(&rig, "[schedules.tick]\ntask = \"tick\"\ncron = \"61 * * * *\"\n").await;
    scheduler.until("going on as before").await;
    until_ready(&rig, 3).await;
    write(&rig, TICK).await;
    scheduler.until("schedules reloaded").await;
    scheduler.signal(Signal::HUP);
    scheduler.until("as told").await;
    until_ready(&rig, 3).await;
    stop(scheduler).await;
    let arrived = take(&rig).await;
    assert!(arrived.iter().any(|run| run.schedule == "other"));
    let ticks: Vec<_> = arrived.into_iter().filter(|run| run.schedule == "tick").collect();
    assert_eq!(account(&ticks, Duration::from_millis(500)), (vec![], 0));
}

#[tokio::test]
async fn what_is_sent_by_hand_and_later_is_told_apart() {
    let rig = Rig::start().await;
    write(&rig, "[schedules.hourly]\ntask = \"t\"\ncron = \"0 * * * *\"\n").await;
    let span = ["--from", "2026-03-01T00:30:00Z", "--to", "2026-03-01T05:00:00Z"];
    let dry = answer(&rig, &[&["backfill", "hourly", "--dry-run"], &span[..]].concat()).await;
    let sent = answer(&rig, &[&["backfill", "hourly"], &span[..]].concat()).await;
    assert_eq!(dry, sent);
    let by_hand = answer(&rig, &["run", "hourly"]).await;
    let ids: BTreeSet<String> = take(&rig).await.into_iter().map(|run| run.id).collect();
    assert_eq!(ids.len(), 6);
    assert!(ids.contains(by_hand["id"].as_str().unwrap()));
    let next = ["next", "hourly", "-n", "1", "--after", "2026-03-01T00:30:00Z"];
    let next = answer(&rig, &next).await;
    assert_eq!(next[0]["due"], "2026-03-01T01:00:00+00:00");
    assert!(ids.contains(next[0]["id"].as_str().unwrap()));
}

#[tokio::test]
async fn a_schedule_that_leads_nowhere_stops_no_other() {
    let rig = Rig::start().await;
    let nowhere = format!(
        "{TICK}[schedules.nowhere]\ntask = \"t\"\nevery = \"1s\"\nqueue = \"gone\"\n\
         [queues.gone]\ndeclare = false\n"
    );
    let mut scheduler = scheduler(&rig, &nowhere).await;
    let complaint = scheduler.until("this run cannot be sent").await;
    assert!(complaint.contains("nowhere"), "{complaint}");
    until_ready(&rig, 3).await;
    stop(scheduler).await;
    let arrived = take(&rig).await;
    assert_eq!(account(&arrived, Duration::from_millis(500)), (vec![], 0));
}

#[tokio::test]
async fn a_program_has_schedules_of_its_own() {
    let rig = Rig::start().await;
    let mut config = Config::from(rig.url().as_str());
    config.queues.insert("default", QueueTable::default());
    let app = App::connect(config).await.unwrap();
    let scheduler = app.scheduler().unwrap();
    let shutdown = Shutdown::new();
    let mut running = JoinSet::new();
    running.spawn(scheduler.run(shutdown.clone()));
    // It is taken in by a scheduler that runs already.
    let often = Duration::from_millis(200);
    app.schedule("often").every(often).queue("default").call("t", &(1,), &()).unwrap();
    until_ready(&rig, 3).await;
    shutdown.drain();
    running.join_next().await.unwrap().unwrap().unwrap();
    assert!(take(&rig).await.iter().all(|run| run.schedule == "often"));
    app.close().await;
}

const APP: &str = r#"
import os
from celery import Celery
from kombu import Queue

app = Celery("app", broker=os.environ["AMQP_URL"], backend="rpc://")
app.conf.task_queues = [Queue("celery")]

@app.task(bind=True, name="shop.add")
def add(self, a, b=0):
    request = self.request
    print(f"SUM {a + b} {request.celery_beat_task} {request.periodic_task_name}")
"#;

#[tokio::test]
async fn a_celery_worker_runs_what_is_scheduled() {
    let Some(celery) = Celery::find() else { return };
    let rig = Rig::start().await;
    let file = r#"
[queues.celery]
type = "classic"
dead_letter = false
exchange = "celery"
bindings = ["celery"]
[exchanges.celery]
type = "direct"
[publisher]
serializer = "json"
[schedules.sum]
task = "shop.add"
every = "1s"
args = [40]
kwargs = { b = 2 }
queue = "celery"
overlap = "skip"
expires = "1m"
"#;
    let arguments = ["worker", "--pool=solo", "--loglevel=INFO"];
    let mut worker = celery.celery(APP, &arguments, &rig.url(), rig.folder());
    worker.until("ready.").await;
    let scheduler = scheduler(&rig, file).await;
    let ran = worker.until("SUM 42").await;
    assert!(ran.ends_with("True sum"), "{ran}");
    // The second comes when Celery has told the end of the first.
    worker.until("SUM 42").await;
    stop(scheduler).await;
    worker.signal(Signal::TERM);
    assert_eq!(worker.ended(PATIENCE).await.code(), Some(0));
}
