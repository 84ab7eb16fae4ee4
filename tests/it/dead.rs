//! What is given up is kept whole, is found with its reason, and comes back.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use celeriac::archive::{
    Archive, AttemptRecord, Burial, DeadLetter, Done, Filter, Reason, Requeue, RequeueError,
    Retries,
};
use celeriac::broker::{Broker, RawMessage};
use celeriac::clock::SystemClock;
use celeriac::protocol::{HeaderValue, Properties, TimeLimits, header};
use celeriac::topology::{Destination, QueueKind, QueueTable, Settings, Topology, names};
use lapin::options::{
    BasicGetOptions, BasicRejectOptions, ExchangeDeleteOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;

use crate::rig::{PATIENCE, Rig, eventually};
use crate::topology::{consume, declared, envelope, next, send, settings};

fn archive(broker: &Broker, settings: &Settings) -> Archive {
    Archive::new(broker.clone(), settings.dead.clone(), Arc::new(SystemClock))
}

fn requeue() -> Requeue {
    Requeue { rate: None, retries: Retries::Reset, queue: None, by: "ana".to_owned() }
}

async fn find(archive: &Archive, filter: &str) -> Vec<DeadLetter> {
    archive.survey(&Filter::parse(filter, SystemTime::now()).unwrap()).await.unwrap()
}

/// Waits for as many letters as the broker is to give up by itself.
async fn found(archive: &Archive, filter: &str, count: usize) -> Vec<DeadLetter> {
    let all = async || {
        archive.collect_now().await;
        find(archive, filter).await
    };
    eventually("the letters are in the archive", async || all().await.len() == count).await;
    all().await
}

/// Gives up a task as a worker does.
async fn bury(archive: &Archive, task: &str, error: &str) -> RawMessage {
    let attempt = AttemptRecord {
        number: 1,
        at: SystemTime::now(),
        took: Duration::from_millis(5),
        worker: "alpha@test".to_owned(),
        error: error.to_owned(),
    };
    let mut envelope = envelope(task, Vec::new());
    envelope.headers.retries = 3;
    envelope.headers.extra.insert(header::ATTEMPTS.to_owned(), attempt.add_to(&HeaderValue::Null));
    let message = RawMessage::try_new(names::TASKS, "mail", &envelope).unwrap();
    let burial = Burial {
        reason: Reason::Exhausted,
        error: Some(error.to_owned()),
        at: SystemTime::now(),
        queue: "mail".to_owned(),
        worker: "alpha@test".to_owned(),
    };
    archive.bury(message.clone(), &burial, PATIENCE).await.unwrap();
    message
}

async fn requeue_all(archive: &Archive, filter: &str, how: &Requeue) -> Vec<Done> {
    let mut done = Vec::new();
    let letters = find(archive, filter).await;
    archive.requeue(&letters, how, |one| done.push(one)).await.unwrap();
    done
}

#[tokio::test]
async fn what_is_given_up_is_found_and_comes_back_as_it_was_sent() {
    let rig = Rig::start().await;
    let settings = settings(QueueKind::Quorum);
    let broker = declared(&rig, &settings).await;
    let archive = archive(&broker, &settings);
    assert_eq!(find(&archive, "state:all").await, []);
    for (task, error) in [("mail.a", "SMTPTimeout: no answer"), ("mail.b", "KeyError: 'x'")] {
        bury(&archive, task, error).await;
    }

    let letters = find(&archive, "queue:mail error:timeout since:1h").await;
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(letter.task.as_deref(), Some("mail.a"));
    assert_eq!((letter.reason, letter.retries), (Reason::Exhausted, 3));
    assert_eq!(letter.attempts[0].worker, "alpha@test");
    assert_eq!(find(&archive, "task:mail.a").await, letters, "looking changes nothing");

    let done = requeue_all(&archive, "task:mail.a", &requeue()).await;
    assert!(done.iter().all(|one| one.result.is_ok()), "{done:?}");
    let mut deliveries = consume(&broker, "mail");
    let delivery = futures::StreamExt::next(&mut deliveries).await.unwrap();
    let back = delivery.envelope(&Default::default()).unwrap();
    assert_eq!(back.headers.id, letter.id.clone().unwrap());
    assert_eq!((back.headers.retries, back.headers.extra.len()), (0, 0));
    assert_eq!(&back.body[..], b"[[],{},{}]");
    delivery.settle.ack();

    let requeued = find(&archive, "state:requeued").await;
    assert_eq!(requeued[0].state.deed().unwrap().by, "ana");
    assert_eq!(find(&archive, "").await.len(), 1, "the other is still open");

    let others = find(&archive, "").await;
    archive.discard(&others, "ana", |one| one.result.unwrap()).await;
    assert_eq!(find(&archive, "").await, []);
    assert_eq!(find(&archive, "state:discarded").await.len(), 1);
}

#[tokio::test]
async fn dying_between_publishing_and_marking_runs_a_task_twice_and_loses_none() {
    let rig = Rig::start().await;
    let settings = settings(QueueKind::Quorum);
    let broker = declared(&rig, &settings).await;
    let archive = archive(&broker, &settings);
    bury(&archive, "mail.a", "E: e").await;
    let (_connection, channel) = rig.channel().await;
    let options = ExchangeDeleteOptions::default();
    channel.exchange_delete(names::DEAD.into(), options).await.unwrap();

    let done = requeue_all(&archive, "", &requeue()).await;
    assert!(matches!(done[0].result, Err(RequeueError::NotMarked(_))), "{done:?}");
    broker.declare(&Topology::dead(&settings)).await.unwrap();
    assert_eq!(find(&archive, "").await.len(), 1, "nothing tells that it is out");
    let done = requeue_all(&archive, "", &requeue()).await;
    assert!(done[0].result.is_ok(), "{done:?}");
    assert_eq!(find(&archive, "").await, []);
    let mut deliveries = consume(&broker, "mail");
    assert_eq!([next(&mut deliveries).await, next(&mut deliveries).await], ["mail.a", "mail.a"]);
}

#[tokio::test]
async fn a_letter_whose_queue_is_gone_stays_open_and_can_go_elsewhere() {
    let rig = Rig::start().await;
    let settings = settings(QueueKind::Quorum);
    let broker = declared(&rig, &settings).await;
    let archive = archive(&broker, &settings);
    bury(&archive, "mail.a", "E: e").await;
    let (_connection, channel) = rig.channel().await;
    channel.queue_delete("mail".into(), QueueDeleteOptions::default()).await.unwrap();
    let done = requeue_all(&archive, "", &requeue()).await;
    assert!(matches!(done[0].result, Err(RequeueError::NotPublished(_))), "{done:?}");

    broker.declare(&Topology::work(&settings, &["other".to_owned()])).await.unwrap();
    let elsewhere = Requeue { queue: Some("other".to_owned()), ..requeue() };
    let done = requeue_all(&archive, "", &elsewhere).await;
    assert!(done[0].result.is_ok(), "{done:?}");
    assert_eq!(next(&mut consume(&broker, "other")).await, "mail.a");
}

#[tokio::test]
async fn what_the_broker_gives_up_is_listed_with_its_reason() {
    let rig = Rig::start().await;
    let mut settings = settings(QueueKind::Quorum);
    let brief = QueueTable { message_ttl: Some(Duration::from_millis(50)), ..Default::default() };
    settings.queues.insert("brief", brief.clone());
    let classic = QueueTable { kind: Some(QueueKind::Classic), ..brief };
    settings.queues.insert("classic", classic);
    let fragile = QueueTable { delivery_limit: Some(1), ..Default::default() };
    settings.queues.insert("fragile", fragile);
    let broker = declared(&rig, &settings).await;
    let archive = archive(&broker, &settings);
    for queue in ["brief", "classic", "fragile", "mail"] {
        let to = Destination::queue(names::TASKS, queue);
        send(&broker, &to, Duration::ZERO).await.unwrap();
    }
    let (_connection, channel) = rig.channel().await;
    let get = async |queue: &str| {
        let options = BasicGetOptions::default();
        channel.basic_get(queue.into(), options).await.unwrap()
    };
    get("mail").await.unwrap().reject(BasicRejectOptions { requeue: false }).await.unwrap();
    // Its workers die of it, as far as the broker can tell.
    eventually("the limit is reached", async || {
        let Some(message) = get("fragile").await else { return true };
        // Not `nack`, which counts no more since RabbitMQ 4.3.
        message.reject(BasicRejectOptions { requeue: true }).await.unwrap();
        false
    })
    .await;

    let mut letters = found(&archive, "", 4).await;
    letters.sort_by_key(|letter| (letter.reason, letter.queue.clone()));
    let seen: Vec<_> = letters.iter().map(|it| (it.reason, it.queue.as_deref().unwrap())).collect();
    let expected = [
        (Reason::Rejected, "mail"),
        (Reason::Expired, "brief"),
        (Reason::Expired, "classic"),
        (Reason::Poison, "fragile"),
    ];
    assert_eq!(seen, expected);
    assert!(letters.iter().all(|letter| letter.dead_at.is_some()));

    // Back to where it came from, although its headers tell of a death.
    let done = requeue_all(&archive, "queue:mail", &requeue()).await;
    assert!(done[0].result.is_ok(), "{done:?}");
    assert_eq!(next(&mut consume(&broker, "mail")).await, "0ns");
}

#[tokio::test]
async fn nothing_of_a_message_is_lost_in_the_archive() {
    let rig = Rig::start().await;
    let settings = settings(QueueKind::Quorum);
    let broker = declared(&rig, &settings).await;
    let archive = archive(&broker, &settings);
    let mut sent = envelope("mail.a", Vec::new());
    sent.properties = Properties {
        content_type: Some("application/json".to_owned()),
        content_encoding: Some("utf-8".to_owned()),
        priority: Some(7),
        correlation_id: Some(sent.headers.id.to_string()),
        reply_to: Some("replies".to_owned()),
        expiration: None,
        message_id: Some("m".to_owned()),
        timestamp: Some(1_795_612_345),
        kind: Some("kind".to_owned()),
        app_id: Some("shop".to_owned()),
        persistent: true,
    };
    sent.headers.time_limits = TimeLimits { hard: Some(60.0), soft: Some(30.5) };
    sent.headers.stamped_headers = vec!["tenant".to_owned()];
    let acme = HeaderValue::Text("acme".to_owned());
    sent.headers.stamps.insert("tenant".to_owned(), acme.clone());
    let values = [
        HeaderValue::Bool(true),
        HeaderValue::Int(1 << 40),
        HeaderValue::Float(0.5),
        HeaderValue::Bytes(vec![255, 0]),
        HeaderValue::Time(5),
        HeaderValue::Text("a".repeat(50_000)),
        HeaderValue::List(vec![acme, HeaderValue::Null]),
        // With this one there is no room for what the archive adds.
        HeaderValue::Text("b".repeat(60_000)),
    ];
    for (name, value) in ["a", "b", "c", "d", "e", "f", "x-g", "h"].into_iter().zip(values) {
        sent.headers.extra.insert(name.to_owned(), value);
    }
    sent.body = vec![7; 300_000].into();
    let message = RawMessage::try_new(names::TASKS, "mail", &sent).unwrap();
    let burial = Burial {
        reason: Reason::Rejected,
        error: None,
        at: SystemTime::now(),
        queue: "mail".to_owned(),
        worker: "w".to_owned(),
    };
    archive.bury(message, &burial, PATIENCE).await.unwrap();
    requeue_all(&archive, "", &requeue()).await;
    let mut deliveries = consume(&broker, "mail");
    let back = futures::StreamExt::next(&mut deliveries).await.unwrap();
    assert_eq!(back.envelope(&Default::default()).unwrap(), sent);
    back.settle.ack();
}

#[tokio::test]
async fn a_delayed_task_whose_queue_went_away_is_undeliverable_and_comes_back() {
    let rig = Rig::start().await;
    let settings = settings(QueueKind::Quorum);
    let broker = declared(&rig, &settings).await;
    let archive = archive(&broker, &settings);
    let mail = Destination::queue(names::TASKS, "mail");
    let (_connection, channel) = rig.channel().await;
    channel.queue_delete("mail".into(), QueueDeleteOptions::default()).await.unwrap();
    send(&broker, &mail, Duration::from_millis(375)).await.unwrap();
    let letters = found(&archive, "reason:undeliverable", 1).await;
    assert_eq!(letters[0].queue.as_deref(), Some("mail"));
    broker.declare(&Topology::work(&settings, &["mail".to_owned()])).await.unwrap();
    let done = requeue_all(&archive, "", &requeue()).await;
    assert!(done[0].result.is_ok(), "{done:?}");
    assert_eq!(next(&mut consume(&broker, "mail")).await, "375ms");
}

/// As a broker of 3.10 to 4.1 that was killed: its queues are there before its bindings are.
#[tokio::test]
async fn a_delayed_task_whose_queue_was_only_not_bound_goes_on_to_it() {
    let rig = Rig::start().await;
    let settings = settings(QueueKind::Quorum);
    let broker = declared(&rig, &settings).await;
    let archive = archive(&broker, &settings);
    let (_connection, channel) = rig.channel().await;
    let (exit, key) = (names::DELAY_EXIT.into(), names::delay_to_queue("mail").into());
    channel.queue_unbind("mail".into(), exit, key, FieldTable::default()).await.unwrap();
    send(&broker, &Destination::queue(names::TASKS, "mail"), Duration::from_millis(375))
        .await
        .unwrap();
    let arrived = names::dead_arrival(&settings.dead.exchange);
    eventually("it left the ladder", async || rig.ready(&arrived).await == 1).await;
    assert_eq!(archive.collect_now().await, 1);
    assert_eq!(next(&mut consume(&broker, "mail")).await, "375ms");
    assert_eq!(find(&archive, "state:all").await, []);
}

#[tokio::test]
async fn thousands_of_letters_are_read_to_the_last_and_requeued_once_each() {
    let rig = Rig::start().await;
    let settings = settings(QueueKind::Quorum);
    let broker = declared(&rig, &settings).await;
    let archive = archive(&broker, &settings);
    let buried = (0..2_000).map(|_| bury(&archive, "mail.a", "E: e"));
    futures::stream::StreamExt::collect::<Vec<_>>(futures::StreamExt::buffer_unordered(
        futures::stream::iter(buried),
        100,
    ))
    .await;
    let done = requeue_all(&archive, "", &requeue()).await;
    assert_eq!(done.len(), 2_000);
    assert!(done.iter().all(|one| one.result.is_ok()));
    assert_eq!(find(&archive, "").await, []);
    assert_eq!(find(&archive, "state:all").await.len(), 2_000);
    assert_eq!(broker.depth("mail").await.unwrap().unwrap().ready, 2_000);
}

#[tokio::test]
async fn requeueing_keeps_to_its_rate() {
    let rig = Rig::start().await;
    let settings = settings(QueueKind::Quorum);
    let broker = declared(&rig, &settings).await;
    let archive = archive(&broker, &settings);
    for _ in 0..5 {
        bury(&archive, "mail.a", "E: e").await;
    }
    let letters = find(&archive, "").await;
    let start = tokio::time::Instant::now();
    let paced = Requeue { rate: Some(10.0), ..requeue() };
    archive.requeue(&letters, &paced, |one| one.result.unwrap()).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
}

/// Runs the real program; its exit code and what it wrote to standard output.
pub(crate) async fn celeriac(rig: &Rig, arguments: &[&str]) -> (i32, String) {
    let ran = tokio::process::Command::new(env!("CARGO_BIN_EXE_celeriac"))
        .args(arguments)
        .current_dir(rig.folder())
        .env("CELERIAC_BROKER_URL", rig.url())
        .stdin(std::process::Stdio::null())
        .output();
    let ran = ran.await.unwrap();
    let code = ran.status.code().unwrap();
    (code, String::from_utf8(ran.stdout).unwrap())
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn the_command_line_lists_shows_requeues_and_discards() {
    let rig = Rig::start().await;
    let settings = settings(QueueKind::Quorum);
    let broker = declared(&rig, &settings).await;
    let archive = archive(&broker, &settings);
    for task in ["mail.a", "mail.b", "mail.c"] {
        bury(&archive, task, "SMTPTimeout: no answer").await;
    }
    let run = async |arguments: &[&str]| celeriac(&rig, arguments).await;

    let (code, text) = run(&["dead", "list", "-o", "json"]).await;
    let list = json(&text);
    let tasks: Vec<_> = list.as_array().unwrap().iter().map(|it| it["task"].clone()).collect();
    assert_eq!((code, tasks), (0, vec!["mail.c".into(), "mail.b".into(), "mail.a".into()]));
    let id = list[2]["id"].as_str().unwrap();

    let (code, text) = run(&["dead", "show", &id[..8]]).await;
    assert_eq!(code, 0);
    for part in ["mail.a", id, "exhausted", "alpha@test", "SMTPTimeout: no answer", "[[],{},{}]"] {
        assert!(text.contains(part), "{part} is in {text}");
    }
    assert_eq!(run(&["dead", "show", "nobody"]).await.0, 4);
    assert_eq!(run(&["dead", "list", "quue:mail"]).await.0, 65);

    let requeue = ["dead", "requeue", "task:mail.a", "-o", "json"];
    let (code, text) = run(&[&requeue[..], &["--dry-run"]].concat()).await;
    let plan = json(&text);
    assert_eq!((code, plan["matched"].as_u64(), plan["eligible"].as_u64()), (0, Some(1), Some(1)));
    let (code, text) = run(&requeue).await;
    assert_eq!((code, json(&text)["requeued"].as_u64()), (0, Some(1)));
    assert_eq!(next(&mut consume(&broker, "mail")).await, "mail.a");
    assert_eq!(run(&requeue).await.0, 4, "it is not open any more");

    let discard = ["dead", "discard", "task:mail.b"];
    assert_eq!(run(&discard).await.0, 65, "without a terminal it wants --yes");
    assert_eq!(run(&[&discard[..], &["--yes"]].concat()).await.0, 0);
    let (_, text) = run(&["dead", "list", "state:all", "-o", "json"]).await;
    let states: Vec<_> =
        json(&text).as_array().unwrap().iter().map(|it| it["state"].clone()).collect();
    assert_eq!(states, ["open", "discarded", "requeued"]);

    let (_connection, channel) = rig.channel().await;
    channel.queue_delete("mail".into(), QueueDeleteOptions::default()).await.unwrap();
    let (code, text) = run(&["dead", "requeue", "task:mail.c", "-o", "json"]).await;
    assert_eq!((code, json(&text)["skipped"]["queue gone"].as_u64()), (3, Some(1)));
}

#[tokio::test]
async fn letters_leave_one_broker_and_enter_another_whole() {
    let (here, there) = (Rig::start().await, Rig::start().await);
    let settings = settings(QueueKind::Quorum);
    let (from, to) = (declared(&here, &settings).await, declared(&there, &settings).await);
    bury(&archive(&from, &settings), "mail.a", "SMTPTimeout: no answer").await;
    let (code, exported) = celeriac(&here, &["dead", "export"]).await;
    assert_eq!(code, 0);
    let file = there.folder().join("letters.jsonl");
    tokio::fs::write(&file, exported).await.unwrap();
    assert_eq!(celeriac(&there, &["dead", "import", "letters.jsonl"]).await.0, 0);
    let (before, after) = (archive(&from, &settings), archive(&to, &settings));
    let (before, after) = (find(&before, "").await, find(&after, "").await);
    assert_eq!(after, before);
}
