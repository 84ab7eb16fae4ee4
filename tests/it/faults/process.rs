//! The worker's own process: killed, told to stop, told twice, killed by what it runs.
//!
//! The real program with tasks from its file. Each run appends its id to a file, which is where the
//! counts come from.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use celeriac::app::App;
use celeriac::client::NamedCall;
use celeriac::publisher::SendOptions;
use celeriac::topology::{QueueKind, QueueTable};
use futures::StreamExt;

use super::accounts::{Letter, archived, letters, until_empty};
use crate::rig::{PATIENCE, Process, Rig, Signal, config, eventually};

/// `{kind}` and `{limit}` are put in before it is written.
const FILE: &str = r#"
[broker]
url = "{url}"

[worker]
concurrency = 4
prefetch = 10
drain_timeout = "20s"

[queues.default]
type = "{kind}"
delivery_limit = {limit}

[tasks.step]
exec = ["sh", "-c", "echo $CELERIAC_TASK_ID >> runs"]

[tasks.slow]
exec = ["sh", "-c", "sleep 0.5; echo $CELERIAC_TASK_ID >> runs"]

[tasks.long]
exec = ["sh", "-c", "echo $CELERIAC_TASK_ID >> runs; echo $$ >> pids; exec sleep 600"]

[tasks.deadly]
exec = ["sh", "-c", "echo $CELERIAC_TASK_ID >> runs; kill -9 $PPID; exec sleep 600"]
"#;

pub(super) fn file(kind: QueueKind, limit: u32) -> String {
    let kind = match kind {
        QueueKind::Quorum => "quorum",
        QueueKind::Classic => "classic",
    };
    FILE.replace("{kind}", kind).replace("{limit}", &limit.to_string())
}

pub(super) async fn client(rig: &Rig, kind: QueueKind, limit: u32) -> App {
    let mut config = config(&rig.url(), kind);
    let table =
        QueueTable { kind: Some(kind), delivery_limit: Some(limit), ..QueueTable::default() };
    config.queues.insert("default", table);
    App::connect(config).await.unwrap()
}

/// Sends `count` steps; each must be accepted.
async fn send_steps(app: &App, count: usize) -> BTreeSet<String> {
    let calls = (0..count).map(|number| NamedCall {
        task: "step".to_owned(),
        args: (),
        kwargs: (),
        options: SendOptions::default().id(number.to_string()),
    });
    let sent = app.client().send_all(calls);
    sent.map(|sent| sent.unwrap().id.to_string()).collect().await
}

/// The ids that have run, each as often as it ran.
pub(super) fn runs(rig: &Rig) -> Vec<String> {
    let runs = std::fs::read_to_string(rig.folder().join("runs")).unwrap_or_default();
    runs.lines().map(str::to_owned).collect()
}

async fn until_more_runs(rig: &Rig, more: usize) {
    let goal = runs(rig).len() + more;
    eventually("tasks go on running", async || runs(rig).len() >= goal).await;
}

async fn until_all_ran(rig: &Rig, ids: &BTreeSet<String>) {
    let all = async || runs(rig).into_iter().collect::<BTreeSet<_>>().is_superset(ids);
    eventually("every accepted task runs", all).await;
}

pub(super) async fn worker(rig: &Rig, file: &str) -> Process {
    let mut worker = rig.celeriac(&["worker", "-c", "celeriac.toml"], file).await;
    worker.until("worker: ready").await;
    worker
}

pub(super) async fn stop(mut worker: Process) {
    worker.signal(Signal::TERM);
    let status = worker.ended(PATIENCE).await;
    assert!(status.success(), "{status}: {}", worker.output());
}

async fn a_worker_killed_again_and_again_loses_nothing(kind: QueueKind) {
    const KILLS: usize = 5;
    let rig = Rig::start().await;
    let app = client(&rig, kind, 20).await;
    let ids = send_steps(&app, 1_000).await;
    let file = file(kind, 20);
    let mut takeovers = Vec::new();
    let mut running = worker(&rig, &file).await;
    for _ in 0..KILLS {
        until_more_runs(&rig, 60).await;
        running.kill().await;
        let killed = Instant::now();
        running = worker(&rig, &file).await;
        until_more_runs(&rig, 1).await;
        takeovers.push(killed.elapsed().as_millis());
    }
    until_all_ran(&rig, &ids).await;
    stop(running).await;
    until_empty(&rig, "default").await;
    assert!(archived(&rig).await.is_empty());
    let ran = runs(&rig);
    let repeated = ran.len() - ids.len();
    eprintln!(
        "{kind:?}: {KILLS} kills, {repeated} runs repeated; running again after {takeovers:?} ms"
    );
    assert_eq!(ran.into_iter().collect::<BTreeSet<_>>(), ids);
    assert!(repeated <= KILLS * 10, "{repeated} repeated with a prefetch of 10");
    app.close().await;
}

#[tokio::test]
async fn a_worker_killed_again_and_again_loses_nothing_of_a_quorum_queue() {
    a_worker_killed_again_and_again_loses_nothing(QueueKind::Quorum).await;
}

#[tokio::test]
async fn a_worker_killed_again_and_again_loses_nothing_of_a_classic_queue() {
    a_worker_killed_again_and_again_loses_nothing(QueueKind::Classic).await;
}

/// What a rolling deploy does.
#[tokio::test]
async fn workers_told_to_stop_under_load_finish_what_runs() {
    let rig = Rig::start().await;
    let app = client(&rig, QueueKind::Quorum, 20).await;
    let ids = send_steps(&app, 1_000).await;
    let file = file(QueueKind::Quorum, 20);
    let mut running = worker(&rig, &file).await;
    let mut stops = Vec::new();
    for _ in 0..3 {
        until_more_runs(&rig, 60).await;
        let next = worker(&rig, &file).await;
        let told = Instant::now();
        stop(running).await;
        stops.push(told.elapsed().as_millis());
        running = next;
    }
    until_all_ran(&rig, &ids).await;
    stop(running).await;
    until_empty(&rig, "default").await;
    let ran = runs(&rig);
    eprintln!("stopped under load within {stops:?} ms");
    assert_eq!(ran.len(), ids.len(), "some ran twice");
    assert!(archived(&rig).await.is_empty());
    app.close().await;
}

#[tokio::test]
async fn a_second_signal_stops_what_runs_and_gives_it_back() {
    let rig = Rig::start().await;
    let app = client(&rig, QueueKind::Quorum, 20).await;
    for number in 0..6 {
        let options = SendOptions::default().id(number.to_string());
        app.client().send("long", &(), &(), options).await.unwrap();
    }
    let mut running = worker(&rig, &file(QueueKind::Quorum, 20)).await;
    eventually("four run", async || runs(&rig).len() == 4).await;
    running.signal(Signal::TERM);
    running.until("stopping").await;
    eventually("the two that did not begin are given back", async || {
        rig.ready("default").await == 2
    })
    .await;
    let told = Instant::now();
    running.signal(Signal::TERM);
    let status = running.ended(PATIENCE).await;
    eprintln!("stopped {:?} after the second signal", told.elapsed());
    assert!(told.elapsed() < Duration::from_secs(15), "{:?}", told.elapsed());
    assert!(status.success(), "{status}: {}", running.output());
    eventually("all six wait again", async || rig.ready("default").await == 6).await;
    let pids = std::fs::read_to_string(rig.folder().join("pids")).unwrap();
    for pid in pids.lines() {
        assert!(!std::path::Path::new("/proc").join(pid).exists(), "process {pid} was left behind");
    }
    app.close().await;
}

/// The task kills its worker each time. Somebody starts the worker again each time.
async fn a_task_that_kills_its_worker_ends_in_the_archive(kind: QueueKind) {
    const LIMIT: u32 = 3;
    let rig = Rig::start().await;
    let app = client(&rig, kind, LIMIT).await;
    let file = file(kind, LIMIT).replace("concurrency = 4", "concurrency = 1");
    let file = file.replace("prefetch = 10", "prefetch = 1");
    let poison = SendOptions::default().id("poison").header("keep", "this");
    app.client().send("deadly", &("whole",), &(), poison).await.unwrap();
    let ids = send_steps(&app, 20).await;
    let mut deaths = 0;
    let (survivor, letter) = loop {
        let mut running = worker(&rig, &file).await;
        tokio::select! {
            _ = running.ended(PATIENCE) => deaths += 1,
            letters = letters(&rig, 1) => break (running, letters[0].clone()),
        }
    };
    until_all_ran(&rig, &ids).await;
    stop(survivor).await;
    until_empty(&rig, "default").await;
    assert_eq!(letter.reason(), "poison");
    assert_eq!(letter.correlation_id.as_deref(), Some("poison"));
    assert_eq!(letter.text("keep").as_deref(), Some("this"));
    assert!(String::from_utf8_lossy(&letter.body).contains("whole"));
    let ran = runs(&rig);
    let poisoned = ran.iter().filter(|id| *id == "poison").count();
    eprintln!("{kind:?}: {deaths} deaths, poison ran {poisoned} times with a limit of {LIMIT}");
    assert_eq!((deaths, poisoned), (LIMIT as usize + 1, LIMIT as usize + 1));
    assert_eq!(ran.len() - poisoned, ids.len(), "the others ran once");
    assert_eq!(archived(&rig).await.len(), 1);
    app.close().await;
}

#[tokio::test]
async fn a_task_that_kills_its_worker_ends_in_the_archive_from_a_quorum_queue() {
    a_task_that_kills_its_worker_ends_in_the_archive(QueueKind::Quorum).await;
}

#[tokio::test]
async fn a_task_that_kills_its_worker_ends_in_the_archive_from_a_classic_queue() {
    a_task_that_kills_its_worker_ends_in_the_archive(QueueKind::Classic).await;
}

/// Ten tasks stand right behind the deadly one, so that a worker takes them together. They have to
/// outlive it: their deliveries are counted as well when the worker dies.
async fn neighbours_of_a_deadly_task_live(kind: QueueKind) {
    const LIMIT: u32 = 4;
    let rig = Rig::start().await;
    let app = client(&rig, kind, LIMIT).await;
    let file = file(kind, LIMIT);
    let poison = SendOptions::default().id("poison");
    app.client().send("deadly", &(), &(), poison).await.unwrap();
    let mut ids = BTreeSet::new();
    for number in 0..10 {
        let options = SendOptions::default().id(format!("neighbour-{number}"));
        let sent = app.client().send("slow", &(), &(), options).await.unwrap();
        ids.insert(sent.id.to_string());
    }
    let settled = async || {
        until_all_ran(&rig, &ids).await;
        letters(&rig, 1).await;
        eventually("nothing is left", async || rig.ready("default").await == 0).await;
    };
    let survivor = loop {
        let mut running = worker(&rig, &file).await;
        tokio::select! {
            _ = running.ended(PATIENCE) => {}
            () = settled() => break running,
        }
    };
    stop(survivor).await;
    until_empty(&rig, "default").await;
    let archived = archived(&rig).await;
    let deaths = runs(&rig).iter().filter(|id| *id == "poison").count();
    eprintln!("{kind:?}: {deaths} deaths, {} times in the archive", archived.len());
    let is_poison = |letter: &Letter| letter.correlation_id.as_deref() == Some("poison");
    assert!(!archived.is_empty() && archived.iter().all(is_poison), "{archived:?}");
    app.close().await;
}

#[tokio::test]
async fn neighbours_of_a_deadly_task_live_in_a_quorum_queue() {
    neighbours_of_a_deadly_task_live(QueueKind::Quorum).await;
}

#[tokio::test]
async fn neighbours_of_a_deadly_task_live_in_a_classic_queue() {
    neighbours_of_a_deadly_task_live(QueueKind::Classic).await;
}
