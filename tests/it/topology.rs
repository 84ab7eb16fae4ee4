//! The broker agrees with the topology, or says where not; and messages wait in it.

use std::sync::Arc;
use std::time::Duration;

use celeriac::broker::{AckPolicy, Broker, Consume, DeclareError, Deliveries, PublishError};
use celeriac::broker::{RawMessage, Settings as BrokerSettings};
use celeriac::ids::TaskId;
use celeriac::protocol::{Envelope, HeaderValue, Headers, Properties};
use celeriac::topology::{
    Delay, Destination, Finding, QueueKind, QueueTable, Router, Settings, Target, Topology, names,
};
use futures::StreamExt;
use lapin::options::{ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use tokio::time::{Instant, timeout};

use crate::rig::{PATIENCE, Rig, eventually};

/// How late a message may be on a machine that runs other tests and compilers beside: still before
/// a level more could have been visited.
fn late(wait: Duration) -> Duration {
    2 * wait + Duration::from_secs(5)
}

pub(crate) async fn connect(rig: &Rig) -> Broker {
    let settings = BrokerSettings { url: rig.url().as_str().into(), ..BrokerSettings::default() };
    Broker::connect(&settings, 100).await.unwrap()
}

pub(crate) fn settings(kind: QueueKind) -> Settings {
    let mut settings = Settings::default();
    settings.delay.queue_type = kind;
    settings.queues.insert("mail", QueueTable { kind: Some(kind), ..QueueTable::default() });
    settings
}

pub(crate) async fn declared(rig: &Rig, settings: &Settings) -> Broker {
    let broker = connect(rig).await;
    broker.declare(&Topology::whole(settings, &[])).await.unwrap();
    broker
}

pub(crate) fn envelope(task: &str, bcc: Vec<String>) -> Envelope {
    let mut headers = Headers::new(task, TaskId::random());
    if !bcc.is_empty() {
        let keys = bcc.into_iter().map(HeaderValue::Text).collect();
        headers.extra.insert("BCC".to_owned(), HeaderValue::List(keys));
    }
    let properties = Properties { persistent: true, ..Properties::default() };
    Envelope { properties, headers, body: b"[[],{},{}]".as_slice().into() }
}

pub(crate) async fn send(
    broker: &Broker,
    to: &Destination,
    wait: Duration,
) -> Result<(), PublishError> {
    let delay = Delay::new(wait).unwrap();
    let exchange = delay.as_ref().map_or(to.route.exchange.clone(), Delay::entry);
    let bcc = delay.as_ref().map_or(Vec::new(), |delay| delay.bcc(to));
    let task = format!("{wait:?}");
    // On the way to a queue the key names the queue, as the publisher has it.
    let key = match (&delay, &to.queue) {
        (Some(_), Some(_)) => to.exit_key(),
        _ => to.route.routing_key.clone(),
    };
    let message = RawMessage::try_new(exchange, key, &envelope(&task, bcc));
    broker.publish(Arc::new(message.unwrap()), PATIENCE).await
}

pub(crate) fn consume(broker: &Broker, queue: &str) -> Deliveries {
    broker.consume(Consume {
        queue: queue.to_owned(),
        stream: None,
        declare: None,
        repair: None,
        prefetch: 10,
        acks: AckPolicy { every: 1, within: Duration::from_millis(10) },
        tag: "test".to_owned(),
    })
}

/// The name of the next task.
pub(crate) async fn next(deliveries: &mut Deliveries) -> String {
    let delivery = timeout(PATIENCE, deliveries.next()).await.unwrap().unwrap();
    let name = delivery.envelope(&Default::default()).unwrap().headers.task;
    delivery.settle.ack();
    name
}

async fn messages_wait_their_time(kind: QueueKind) {
    let rig = Rig::start().await;
    let broker = declared(&rig, &settings(kind)).await;
    let mail = Destination::queue(names::TASKS, "mail");
    let mut deliveries = consume(&broker, "mail");
    // One level, three levels, eight levels.
    let waits = [1_000, 875, 31_875].map(Duration::from_millis);
    let start = Instant::now();
    for wait in waits {
        send(&broker, &mail, wait).await.unwrap();
    }
    let mut arrived = Vec::new();
    for _ in waits {
        arrived.push((next(&mut deliveries).await, start.elapsed()));
    }
    for wait in waits {
        let (_, after) = arrived.iter().find(|(task, _)| *task == format!("{wait:?}")).unwrap();
        assert!((wait..late(wait)).contains(after), "{wait:?} took {after:?}");
    }
}

#[tokio::test]
async fn messages_wait_their_time_in_quorum_queues() {
    messages_wait_their_time(QueueKind::Quorum).await;
}

#[tokio::test]
async fn messages_wait_their_time_in_classic_queues() {
    messages_wait_their_time(QueueKind::Classic).await;
}

#[tokio::test]
async fn a_delayed_message_to_an_exchange_is_routed_by_its_own_key_when_its_time_comes() {
    let rig = Rig::start().await;
    let mut settings = settings(QueueKind::Quorum);
    settings.exchanges.insert("films".to_owned(), Default::default());
    let table = QueueTable {
        exchange: Some("films".to_owned()),
        bindings: Some(vec!["video.*".to_owned()]),
        ..QueueTable::default()
    };
    settings.queues.insert("video", table);
    let broker = declared(&rig, &settings).await;
    let films = Destination::exchange("films", "video.hd");
    send(&broker, &films, Duration::from_millis(375)).await.unwrap();
    assert_eq!(next(&mut consume(&broker, "video")).await, "375ms");
    assert_eq!(broker.depth("mail").await.unwrap().unwrap().ready, 0);
}

#[tokio::test]
async fn a_message_whose_queue_is_gone_when_its_time_comes_goes_to_the_archive() {
    let rig = Rig::start().await;
    let broker = declared(&rig, &settings(QueueKind::Quorum)).await;
    let mail = Destination::queue(names::TASKS, "mail");
    let (_connection, channel) = rig.channel().await;
    send(&broker, &mail, Duration::from_secs(2)).await.unwrap();
    channel.queue_delete("mail".into(), QueueDeleteOptions::default()).await.unwrap();
    eventually("the message is in the archive", async || {
        let arrival = names::dead_arrival(names::DEAD);
        broker.depth(&arrival).await.unwrap().unwrap().ready == 1
    })
    .await;
}

#[tokio::test]
async fn a_delayed_message_is_refused_when_there_is_no_ladder() {
    let rig = Rig::start().await;
    let broker = declared(&rig, &settings(QueueKind::Classic)).await;
    let mail = Destination::queue(names::TASKS, "mail");
    let (_connection, channel) = rig.channel().await;

    let options = QueueDeleteOptions::default;
    channel.queue_delete(names::delay_level(3).as_str().into(), options()).await.unwrap();
    let returned = send(&broker, &mail, Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(returned, PublishError::Unroutable { .. }), "{returned}");

    let entry = names::delay_entry(4);
    let options = ExchangeDeleteOptions::default();
    channel.exchange_delete(entry.as_str().into(), options).await.unwrap();
    let refused = send(&broker, &mail, Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(refused, PublishError::NoExchange { exchange: entry });
}

#[tokio::test]
async fn a_celery_producers_countdown_arrives() {
    let rig = Rig::start().await;
    let settings = settings(QueueKind::Quorum);
    let broker = declared(&rig, &settings).await;
    let ladder = Topology::celery_ladder(&settings, &["mail".to_owned()]);
    broker.declare(&ladder).await.unwrap();
    // Three seconds, as Celery writes it: 28 binary digits and the routing key.
    let key = format!("{}1.1.mail", "0.".repeat(26));
    let message = RawMessage::try_new("celery_delayed_27", key, &envelope("capq", Vec::new()));
    let start = Instant::now();
    broker.publish(Arc::new(message.unwrap()), PATIENCE).await.unwrap();
    assert_eq!(next(&mut consume(&broker, "mail")).await, "capq");
    assert!((3..3 + 3).contains(&start.elapsed().as_secs()));
}

#[tokio::test]
async fn where_celery_has_its_ladder_our_queues_are_bound_to_its_end() {
    let rig = Rig::start().await;
    let settings = settings(QueueKind::Quorum);
    let broker = declared(&rig, &settings).await;
    let ends = Topology::celery_ends(&["mail".to_owned()]);
    broker.declare_beside(names::CELERY_DELAY_EXIT, &ends).await.unwrap();
    broker.declare(&Topology::celery_ladder(&settings, &[])).await.unwrap();
    broker.declare_beside(names::CELERY_DELAY_EXIT, &ends).await.unwrap();
    let key = format!("{}1.mail", "0.".repeat(27));
    let message = RawMessage::try_new("celery_delayed_27", key, &envelope("capq", Vec::new()));
    broker.publish(Arc::new(message.unwrap()), PATIENCE).await.unwrap();
    assert_eq!(next(&mut consume(&broker, "mail")).await, "capq");
}

#[tokio::test]
async fn a_routed_task_reaches_the_queue_that_the_settings_name() {
    let rig = Rig::start().await;
    let mut settings = settings(QueueKind::Quorum);
    let rule =
        celeriac::topology::RouteSettings { queue: Some("mail".to_owned()), ..Default::default() };
    settings.routes.0.push(("*.welcome".to_owned(), rule));
    let broker = declared(&rig, &settings).await;
    let router = Router::from_settings(&settings).unwrap();
    let destination = router.route("shop.welcome", None, &Target::default());
    send(&broker, &destination, Duration::ZERO).await.unwrap();
    assert_eq!(next(&mut consume(&broker, "mail")).await, "0ns");
}

#[tokio::test]
async fn a_queue_with_other_arguments_is_told_argument_by_argument() {
    let rig = Rig::start().await;
    let (_connection, channel) = rig.channel().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-message-ttl".into(), 60_000.into());
    arguments.insert("x-max-length".into(), 7.into());
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("mail".into(), options, arguments).await.unwrap();

    let settings = settings(QueueKind::Classic);
    let broker = connect(&rig).await;
    let work = Topology::work(&settings, &["mail".to_owned()]);
    let refused = broker.declare(&Topology::ladder(&settings).and(work.clone())).await;
    let DeclareError::Differs(first) = refused.unwrap_err() else { panic!("another error") };
    assert!(["x-message-ttl", "x-max-length"].contains(&first.argument.as_str()), "{first}");

    let mut findings: Vec<_> =
        broker.differences(&work).await.unwrap().iter().map(Finding::to_string).collect();
    findings.sort();
    assert_eq!(
        findings,
        [
            "queue \"mail\": x-dead-letter-exchange is none in the broker and celeriac.dead.in here",
            "queue \"mail\": x-max-length is 7 in the broker and none here",
            "queue \"mail\": x-message-ttl is 60000 in the broker and none here",
        ]
    );
}

#[tokio::test]
async fn comparing_with_an_empty_broker_finds_everything_missing_and_creates_nothing() {
    let rig = Rig::start().await;
    let broker = connect(&rig).await;
    let whole = Topology::whole(&settings(QueueKind::Quorum), &[]);
    for _ in 0..2 {
        let findings = broker.differences(&whole).await.unwrap();
        assert_eq!(findings.len(), whole.exchanges.len() + whole.queues.len());
        assert!(findings.iter().all(|finding| matches!(finding, Finding::Missing(_))));
    }
    assert!(matches!(broker.verify(&whole).await, Err(DeclareError::Missing(_))));
    broker.declare(&whole).await.unwrap();
    assert_eq!(broker.differences(&whole).await.unwrap(), []);
    broker.verify(&whole).await.unwrap();
    broker.declare(&whole).await.unwrap();
}

#[tokio::test]
async fn an_exchange_of_another_type_is_told() {
    let rig = Rig::start().await;
    let (_connection, channel) = rig.channel().await;
    let kind = lapin::ExchangeKind::Direct;
    channel
        .exchange_declare("celeriac".into(), kind, Default::default(), Default::default())
        .await
        .unwrap();
    let broker = connect(&rig).await;
    let work = Topology::work(&Settings::default(), &[]);
    let findings = broker.differences(&work).await.unwrap();
    let texts: Vec<_> = findings.iter().map(Finding::to_string).collect();
    assert_eq!(
        texts,
        [
            "exchange \"celeriac\": type is direct in the broker and topic here",
            "exchange \"celeriac\": durable is false in the broker and true here",
        ]
    );
}

#[tokio::test]
async fn the_command_line_checks_applies_and_exports() {
    let rig = Rig::start().await;
    let run = async |arguments: &[&str]| crate::dead::celeriac(&rig, arguments).await;
    assert_eq!(run(&["topology", "check"]).await.0, 1);
    assert_eq!(run(&["topology", "apply"]).await.0, 0);
    assert_eq!(run(&["topology", "check", "-o", "json"]).await, (0, "[]\n".to_owned()));

    let classic = "[queues.default]\ntype = \"classic\"\n";
    tokio::fs::write(rig.folder().join("classic.toml"), classic).await.unwrap();
    let (code, text) = run(&["topology", "check", "-c", "classic.toml"]).await;
    assert_eq!(code, 1);
    assert!(text.contains("x-queue-type"), "{text}");
    assert_eq!(run(&["topology", "apply", "-c", "classic.toml"]).await.0, 1);

    let (code, text) = run(&["topology", "export", "-o", "json"]).await;
    let definitions: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, 0);
    assert_eq!(definitions["queues"][0]["vhost"], rig.vhost());
}
