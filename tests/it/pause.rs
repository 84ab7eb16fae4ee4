//! Queues that are paused, and stay so.

use crate::rig::{PATIENCE, Process, Rig, Running, Signal, add, config, eventually};
use celeriac::control::{Caller, Heeded, Pause, PauseError, Told, pause, pauses, resume};
use celeriac::handler::{Output, Registry};
use celeriac::topology::QueueKind;
use serde_json::Value;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;
use tokio::process::Command;
use tokio::sync::Semaphore;

/// The tasks `count`, which counts its runs, and `held`, which also waits to be let go.
#[derive(Clone)]
struct Counted {
    runs: Arc<AtomicU32>,
    held: Arc<Semaphore>,
}

impl Counted {
    fn new() -> Self {
        Self { runs: Arc::default(), held: Arc::new(Semaphore::new(0)) }
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::new();
        for name in ["count", "held"] {
            let it = self.clone();
            add(&mut registry, name, move |_, _| {
                let it = it.clone();
                Box::pin(async move {
                    it.runs.fetch_add(1, Ordering::SeqCst);
                    if name == "held" {
                        it.held.acquire().await.unwrap().forget();
                    }
                    Ok(Output::new(1))
                })
            });
        }
        registry
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
}

fn said(reason: &str) -> Pause {
    Pause::new("ana", SystemTime::now(), reason)
}

/// A worker that answers.
async fn worker(rig: &Rig, counted: &Counted, name: &str) -> Running {
    let mut config = config(&rig.url(), QueueKind::Quorum);
    config.worker.name = name.to_owned();
    let worker = Box::pin(Running::with(config, counted.registry())).await;
    answers(&worker, name).await;
    worker
}

async fn answers(worker: &Running, name: &str) {
    let mut caller = Caller::open(worker.app.broker()).await.unwrap();
    let caller = tokio::sync::Mutex::new(&mut caller);
    eventually("the worker to answer", async || caller.lock().await.is_there(name).await.unwrap())
        .await;
}

async fn paused(worker: &Running, queue: &str) -> Told {
    let mut caller = Caller::open(worker.app.broker()).await.unwrap();
    let told = pause(&mut caller, queue, said("smtp down"), PATIENCE).await.unwrap();
    caller.close().await;
    told
}

async fn resumed(worker: &Running, queue: &str) -> Result<Told, PauseError> {
    let mut caller = Caller::open(worker.app.broker()).await.unwrap();
    let told = resume(&mut caller, queue, said(""), PATIENCE).await;
    caller.close().await;
    told
}

#[tokio::test]
async fn a_paused_queue_is_consumed_by_nobody_until_it_is_resumed() {
    let (rig, counted) = (Rig::start().await, Counted::new());
    let first = worker(&rig, &counted, "one@test").await;
    let told = paused(&first, "default").await;
    let heeded = &told.workers["one@test"];
    assert!(matches!(heeded, Heeded::Done(said) if said == "does not consume default"), "{told:?}");
    assert_eq!((told.unknown_consumers, told.was_paused), (0, false));
    assert_eq!(rig.consumers("default").await, Some(0));
    let calls = [first.call::<i64>("count", &()).await, first.call("count", &()).await];

    // Who comes later obeys, too, and says so; what is paused is paused once.
    let second = worker(&rig, &counted, "two@test").await;
    eventually("the queue to be known as paused", async || {
        second.status.paused().contains("default")
    })
    .await;
    assert!(second.status.queues().is_empty() && second.status.is_consuming());
    let again = paused(&second, "default").await;
    assert!(again.was_paused && again.pause.by == "ana", "{again:?}");
    assert_eq!((rig.ready("default").await, counted.runs()), (2, 0));
    assert_eq!(pauses(first.app.broker()).await.unwrap().of("default").unwrap(), &again.pause);

    let told = resumed(&first, "default").await.unwrap();
    let done = Heeded::Done("consumes default".to_owned());
    assert_eq!(told.workers.values().collect::<Vec<_>>(), [&done, &done], "{told:?}");
    for call in calls {
        assert_eq!(call.timeout(PATIENCE).await.unwrap(), 1);
    }
    assert!(matches!(resumed(&first, "default").await, Err(PauseError::NotPaused(_))));
    assert!(pauses(first.app.broker()).await.unwrap().is_empty());
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn what_runs_ends_and_what_has_not_begun_goes_back() {
    let (rig, counted) = (Rig::start().await, Counted::new());
    let worker = worker(&rig, &counted, "one@test").await;
    let mut calls = Vec::new();
    for _ in 0..12 {
        calls.push(worker.call::<i64>("held", &()).await);
    }
    eventually("its four slots to be busy", async || counted.runs() == 4).await;
    let told = paused(&worker, "default").await;
    let expected = Heeded::Done("does not consume default; 4 tasks of it still run".to_owned());
    assert_eq!(told.workers["one@test"], expected);
    eventually("the others to be back", async || rig.ready("default").await == 8).await;
    counted.held.add_permits(4);
    for call in calls.drain(..4) {
        assert_eq!(call.timeout(PATIENCE).await.unwrap(), 1);
    }
    assert_eq!((rig.ready("default").await, counted.runs()), (8, 4));
    counted.held.add_permits(8);
    resumed(&worker, "default").await.unwrap();
    for call in calls {
        assert_eq!(call.timeout(PATIENCE).await.unwrap(), 1);
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_pause_is_obeyed_that_came_while_the_worker_was_cut_off() {
    let (rig, counted) = (Rig::start().await, Counted::new());
    let proxy = rig.proxy().await;
    let mut settings = config(&rig.url_through(&proxy), QueueKind::Quorum);
    settings.worker.name = "one@test".to_owned();
    let cut_off = Box::pin(Running::with(settings, counted.registry())).await;
    answers(&cut_off, "one@test").await;
    let other = worker(&rig, &Counted::new(), "two@test").await;
    proxy.refuse();
    proxy.cut();
    eventually("the worker to be gone", async || rig.consumers("default").await == Some(1)).await;
    let told = paused(&other, "default").await;
    assert_eq!(told.workers.keys().collect::<Vec<_>>(), ["two@test"]);
    let call = other.call::<i64>("count", &()).await;
    proxy.admit();
    eventually("the worker to know", async || cut_off.status.paused().contains("default")).await;
    eventually("its consumer to be gone", async || {
        rig.consumers("default").await == Some(0) && rig.ready("default").await == 1
    })
    .await;
    assert_eq!(counted.runs(), 0);
    resumed(&other, "default").await.unwrap();
    assert_eq!(call.timeout(PATIENCE).await.unwrap(), 1);
    other.stop().await;
    cut_off.stop().await;
}

#[tokio::test]
async fn a_paused_queue_is_not_added_and_one_of_many_is_paused_alone() {
    let (rig, counted) = (Rig::start().await, Counted::new());
    let worker = worker(&rig, &counted, "one@test").await;
    paused(&worker, "email").await;
    let mut caller = Caller::open(worker.app.broker()).await.unwrap();
    let email = || serde_json::Map::from_iter([("queue".to_owned(), "email".into())]);
    let to = || celeriac::control::Recipients::Named(vec!["one@test".to_owned()]);
    let answers = caller.ask("add_consumer", email(), to(), PATIENCE).await.unwrap();
    let refused = answers.replies["one@test"].error().unwrap().to_owned();
    assert!(refused.contains("email is paused by ana since 20"), "{refused}");
    assert!(refused.ends_with("(smtp down); resume it first"), "{refused}");
    assert_eq!(worker.call::<i64>("count", &()).await.timeout(PATIENCE).await.unwrap(), 1);
    resumed(&worker, "email").await.unwrap();
    let answers = caller.ask("add_consumer", email(), to(), PATIENCE).await.unwrap();
    assert_eq!(answers.replies["one@test"].value["ok"], "add consumer email");
    caller.close().await;
    worker.stop().await;
}

const PROGRAM: &str = r#"
[broker]
url = "{url}"
[ops]
listen = ""
socket = ""
[queues.email]
[worker]
name = "w@test"
queues = ["email"]
[tasks.mail]
exec = ["true"]
queue = "email"
"#;

async fn run(rig: &Rig, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
    command.args(arguments).current_dir(rig.folder()).env("CELERIAC_USER", "ana");
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    let both = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&both).into_owned())
}

async fn json(rig: &Rig, arguments: &[&str]) -> Value {
    let (_, out) = run(rig, &[arguments, &["-o", "json"]].concat()).await;
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}"))
}

#[tokio::test]
async fn a_pause_outlives_killed_workers_and_the_broker() {
    let rig = Rig::alone().await;
    let mut first = rig.celeriac(&["worker"], PROGRAM).await;
    first.until("ready").await;
    let (code, out) = run(&rig, &["queue", "pause", "email", "--reason", "smtp down"]).await;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("w@test") && out.contains("does not consume email"), "{out}");
    let (code, out) = run(&rig, &["send", "mail"]).await;
    assert_eq!(code, Some(0), "{out}");
    first.kill().await;
    rig.node().restart().await;
    for queue in ["email", "celeriac.dead", "celeriac.revoked", "celeriac.paused"] {
        eventually(queue, async || rig.consumers(queue).await.is_some()).await;
    }

    let mut second = Process::celeriac(&["worker"], rig.folder());
    second.until("paused, not consumed until it is resumed").await;
    let queue = json(&rig, &["queue", "show", "email"]).await;
    assert_eq!((&queue["state"], &queue["ready"]), (&"paused".into(), &1.into()), "{queue}");
    assert_eq!(queue["paused"]["reason"], "smtp down");
    let (code, out) = run(&rig, &["status", "--check"]).await;
    assert!(code == Some(0) && out.contains("paused by ana since"), "{out}");
    let (code, out) = run(&rig, &["queue", "resume", "email"]).await;
    assert_eq!(code, Some(0), "{out}");
    second.until("resumed").await;
    second.until("succeeded").await;
    assert_eq!(json(&rig, &["queue", "list"]).await[0]["state"], "running");
    let (code, out) = run(&rig, &["queue", "resume", "email"]).await;
    assert!(code == Some(1) && out.contains("email is not paused"), "{out}");
    second.signal(Signal::TERM);
    assert!(second.ended(PATIENCE).await.success());
}
