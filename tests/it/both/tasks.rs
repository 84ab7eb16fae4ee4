//! Whole tasks, from the call to what is left of it.

use super::stage::{Stage, message};
use crate::rig::add;
use celeriac::archive::{Archive, Filter, Reason};
use celeriac::client::ResultError;
use celeriac::clock::SystemClock;
use celeriac::config::Config;
use celeriac::handler::{Failure, Output, Registry, TaskContext, TaskError};
use celeriac::protocol::TaskState;
use celeriac::publisher::{SendError, SendOptions};
use celeriac::task::RetryPolicy;
use celeriac::topology::{QueueKind, QueueTable};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

super::both!(
    a_result_comes_back,
    a_countdown_comes_due,
    a_failed_task_is_tried_again_until_it_succeeds,
    what_fails_too_often_is_archived_with_its_history,
    what_has_expired_is_archived_and_told,
    what_the_task_refuses_or_discards_ends_at_once,
    what_nobody_knows_is_put_off_and_then_archived,
    what_is_no_task_is_archived,
    a_task_that_puts_itself_off_counts_no_attempt,
    a_task_for_a_queue_that_nobody_defined_comes_back,
    urgent_tasks_go_first,
);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What ran, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Tasks that note each attempt and end as `end` says.
fn tasks(
    log: &Log,
    end: impl Fn(&TaskContext) -> Result<Output, Failure> + Clone + Send + Sync + 'static,
) -> Registry {
    let mut registry = Registry::new();
    for name in ["a", "b", "c"] {
        let (log, end) = (log.clone(), end.clone());
        add(&mut registry, name, move |cx, _| {
            log.note(format!("{name} {}", cx.attempt()));
            let ended = end(&cx);
            Box::pin(async move { ended })
        });
    }
    registry
}

fn retries(max: u32) -> SendOptions {
    let mut policy = RetryPolicy { max_retries: Some(max), ..RetryPolicy::default() };
    policy.backoff.first = millis(125);
    policy.backoff.jitter = 0.0;
    SendOptions::default().retry(policy)
}

fn error(text: &str) -> TaskError {
    TaskError::new("Broken", text)
}

async fn letters(stage: &Stage, count: usize) -> Vec<(String, Reason, Option<String>)> {
    let dead = stage.app().config().dead.clone();
    let archive = Archive::new(stage.broker().clone(), dead, Arc::new(SystemClock));
    let filter = Filter::parse("", SystemTime::now()).unwrap();
    let found = Mutex::new(Vec::new());
    stage
        .until("letters in the archive", async || {
            let letters = archive.survey(&filter).await.unwrap();
            *found.lock().unwrap() = letters;
            found.lock().unwrap().len() >= count
        })
        .await;
    let letters = found.into_inner().unwrap();
    let letter =
        |it: celeriac::archive::DeadLetter| (it.task.unwrap_or_default(), it.reason, it.error);
    letters.into_iter().map(letter).collect()
}

async fn a_result_comes_back(mut stage: Stage) {
    let log = Log::default();
    stage.work(Config::default(), tasks(&log, |_| Ok(Output::new(5)))).await;
    let mut call =
        stage.app().client().call::<i64>("a", &(), &(), SendOptions::default()).await.unwrap();
    stage.until("it has ended", async || call.state().is_ready()).await;
    assert_eq!(call.state(), TaskState::Success);
    let document = call.next().await;
    assert_eq!(document.state, TaskState::Success);
    stage.end().await;
}

async fn a_countdown_comes_due(mut stage: Stage) {
    let log = Log::default();
    stage.work(Config::default(), tasks(&log, |_| Ok(Output::new(())))).await;
    let client = stage.app().client();
    let later = |wait| SendOptions::default().countdown(millis(wait));
    client.send("a", &(), &(), later(1_030)).await.unwrap();
    client.send("b", &(), &(), later(400)).await.unwrap();
    client.send("c", &(), &(), later(40)).await.unwrap();
    stage.until("all have run", async || log.lines().len() == 3).await;
    assert_eq!(log.lines(), ["c 1", "b 1", "a 1"]);
    stage.end().await;
}

async fn a_failed_task_is_tried_again_until_it_succeeds(mut stage: Stage) {
    let log = Log::default();
    let registry = tasks(&log, |cx| match cx.attempt() {
        3 => Ok(Output::new(())),
        _ => Err(Failure::Error(error("not yet"))),
    });
    stage.work(Config::default(), registry).await;
    let client = stage.app().client();
    let call = client.call::<()>("a", &(), &(), retries(5)).await.unwrap();
    stage.until("it has ended", async || call.state().is_ready()).await;
    assert_eq!(call.state(), TaskState::Success);
    assert_eq!(log.lines(), ["a 1", "a 2", "a 3"]);
    stage.end().await;
}

async fn what_fails_too_often_is_archived_with_its_history(mut stage: Stage) {
    let log = Log::default();
    let registry =
        tasks(&log, |cx| Err(Failure::Error(error(&format!("attempt {}", cx.attempt())))));
    stage.work(Config::default(), registry).await;
    let call = stage.app().client().call::<()>("a", &(), &(), retries(2)).await.unwrap();
    let letters = letters(&stage, 1).await;
    assert_eq!(letters[0].0, "a");
    assert_eq!(letters[0].1, Reason::Exhausted);
    assert!(letters[0].2.as_ref().unwrap().contains("attempt 3"), "{letters:?}");
    stage.until("it is told", async || call.state().is_ready()).await;
    let ResultError::Failed { state, .. } = call.result().await.unwrap_err() else { panic!() };
    assert_eq!(state, TaskState::Failure);
    assert_eq!(log.lines(), ["a 1", "a 2", "a 3"]);
    stage.end().await;
}

async fn what_has_expired_is_archived_and_told(mut stage: Stage) {
    let log = Log::default();
    stage.work(Config::default(), tasks(&log, |_| Ok(Output::new(())))).await;
    let options = SendOptions::default().countdown(millis(500)).expires_in(millis(250));
    let call = stage.app().client().call::<()>("a", &(), &(), options).await.unwrap();
    assert_eq!(letters(&stage, 1).await[0].1, Reason::Expired);
    stage.until("it is told", async || call.state().is_ready()).await;
    assert_eq!(call.state(), TaskState::Revoked);
    assert_eq!(log.lines(), [""; 0], "it was not begun");
    stage.end().await;
}

async fn what_the_task_refuses_or_discards_ends_at_once(mut stage: Stage) {
    let log = Log::default();
    let registry = tasks(&log, |cx| match cx.headers.task.as_str() {
        "a" => Err(Failure::Discard(error("never mind"))),
        _ => Err(Failure::Reject(error("cannot be"))),
    });
    stage.work(Config::default(), registry).await;
    let client = stage.app().client();
    let discarded = client.call::<()>("a", &(), &(), retries(5)).await.unwrap();
    let refused = client.call::<()>("b", &(), &(), retries(5)).await.unwrap();
    let both = [&discarded, &refused];
    stage.until("both have ended", async || both.iter().all(|call| call.state().is_ready())).await;
    assert!(both.iter().all(|call| call.state() == TaskState::Failure));
    let letters = letters(&stage, 1).await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!((letters[0].0.as_str(), letters[0].1), ("b", Reason::Rejected));
    assert_eq!(log.lines(), ["a 1", "b 1"]);
    stage.end().await;
}

async fn what_nobody_knows_is_put_off_and_then_archived(mut stage: Stage) {
    let mut config = Config::default();
    config.worker.unknown_grace = millis(1_000);
    stage.work(config, Registry::new()).await;
    let client = stage.app().client();
    client.send("stranger", &(), &(), SendOptions::default()).await.unwrap();
    let letters = letters(&stage, 1).await;
    assert_eq!((letters[0].0.as_str(), letters[0].1), ("stranger", Reason::Unknown));
    stage.end().await;
}

async fn what_is_no_task_is_archived(mut stage: Stage) {
    stage.work(Config::default(), Registry::new()).await;
    stage.publish(message("", "default", "gibberish")).await.unwrap();
    assert_eq!(letters(&stage, 1).await[0].1, Reason::Unreadable);
    stage.end().await;
}

async fn a_task_that_puts_itself_off_counts_no_attempt(mut stage: Stage) {
    let log = Log::default();
    let times = Arc::new(Mutex::new(0));
    let registry = tasks(&log, move |_| {
        let mut times = times.lock().unwrap();
        *times += 1;
        match *times {
            1..3 => Err(Failure::Snooze { after: millis(250) }),
            _ => Ok(Output::new(())),
        }
    });
    stage.work(Config::default(), registry).await;
    let call = stage.app().client().call::<()>("a", &(), &(), retries(0)).await.unwrap();
    stage.until("it has ended", async || call.state().is_ready()).await;
    assert_eq!(call.state(), TaskState::Success);
    assert_eq!(log.lines(), ["a 1", "a 1", "a 1"]);
    stage.end().await;
}

async fn a_task_for_a_queue_that_nobody_defined_comes_back(mut stage: Stage) {
    stage.work(Config::default(), Registry::new()).await;
    for options in [SendOptions::default(), SendOptions::default().countdown(millis(500))] {
        let sent = stage.app().client().send("a", &(), &(), options.queue("nowhere")).await;
        let Err(SendError::Publish(celeriac::broker::PublishError::Unroutable {
            routing_key, ..
        })) = sent
        else {
            panic!("{sent:?}")
        };
        assert_eq!(routing_key, "nowhere");
    }
    stage.end().await;
}

/// The first holds the only slot; of those behind it the urgent one is next.
async fn urgent_tasks_go_first(mut stage: Stage) {
    let mut config = Config::default();
    config.worker.concurrency = 1.into();
    let table = QueueTable {
        kind: Some(QueueKind::Classic),
        max_priority: Some(9),
        ..QueueTable::default()
    };
    config.queues.insert("default", table);
    let log = Log::default();
    let (noted, gate) = (log.clone(), Arc::new(tokio::sync::Notify::new()));
    let opened = Arc::clone(&gate);
    let mut registry = Registry::new();
    for name in ["first", "a", "b", "c"] {
        let (log, gate) = (log.clone(), Arc::clone(&gate));
        add(&mut registry, name, move |_, _| {
            log.note(name.to_owned());
            let gate = Arc::clone(&gate);
            Box::pin(async move {
                if name == "first" {
                    gate.notified().await;
                }
                Ok(Output::new(()))
            })
        });
    }
    stage.work(config, registry).await;
    let client = stage.app().client();
    client.send("first", &(), &(), SendOptions::default()).await.unwrap();
    while noted.lines().is_empty() {
        tokio::task::yield_now().await;
    }
    for (name, priority) in [("a", 1), ("b", 9), ("c", 5)] {
        client.send(name, &(), &(), SendOptions::default().priority(priority)).await.unwrap();
    }
    opened.notify_one();
    stage.until("all have run", async || noted.lines().len() == 4).await;
    assert_eq!(noted.lines()[0], "first");
    assert_eq!(noted.lines()[1..], ["b", "c", "a"]);
    stage.end().await;
}
