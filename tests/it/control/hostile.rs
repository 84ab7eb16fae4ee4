//! Commands that are none, from whoever may publish into the virtual host.

use super::OURS;
use crate::rig::{Rig, Running, config};
use celeriac::broker::{Broker, StreamStart};
use celeriac::control::{Arguments, Caller, Recipients};
use celeriac::topology::QueueKind;
use lapin::options::{BasicPublishOptions, ExchangeDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, ExchangeKind};
use serde_json::json;
use std::time::Duration;

async fn send(channel: &Channel, content_type: &str, body: &[u8]) {
    let mut headers = FieldTable::default();
    headers.insert("clock".into(), AMQPValue::LongString(LongString::from("late")));
    let properties =
        BasicProperties::default().with_content_type(content_type.into()).with_headers(headers);
    let options = BasicPublishOptions::default();
    channel
        .basic_publish("celery.pidbox".into(), "".into(), options, body, properties)
        .await
        .unwrap();
}

async fn pings(broker: &Broker) -> bool {
    let mut caller = Caller::open(broker).await.unwrap();
    let to = Recipients::Named(vec![OURS.to_owned()]);
    let patience = Duration::from_secs(20);
    let answers = caller.ask("ping", Arguments::new(), to, patience).await.unwrap();
    caller.close().await;
    answers.replies.contains_key(OURS)
}

#[tokio::test]
async fn no_message_stops_a_worker_or_what_answers_for_it() {
    let rig = Rig::start().await;
    let mut running = super::start(&rig, QueueKind::Classic).await;
    super::listens(&rig).await;
    let (_connection, channel) = rig.channel().await;
    let deep = format!(r#"{{"method": "ping", "arguments": {{"a": {}"#, "[".repeat(200_000));
    let long = format!(r#"{{"method": "{}"}}"#, "a".repeat(9 << 20));
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "\"ping\"",
        r#"{"method": null}"#,
        r#"{"method": "active", "arguments": []}"#,
        r#"{"method": "revoke", "arguments": {"task_id": {"a": 1}}}"#,
        r#"{"method": "revoke", "arguments": {"task_id": [1, 2]}}"#,
        r#"{"method": "hello", "arguments": {"from_node": 1, "revoked": "x"}}"#,
        r#"{"method": "pool_grow", "arguments": {"n": 99999999999999999999}}"#,
        r#"{"method": "autoscale", "arguments": {"max": 0, "min": 7}}"#,
        r#"{"method": "rate_limit", "arguments": {"task_name": "t.add", "rate_limit": "1e999/s"}}"#,
        r#"{"method": "time_limit", "arguments": {"task_name": "t.add", "hard": 1e300}}"#,
        &deep,
        &long,
    ] {
        send(&channel, "application/json", body.as_bytes()).await;
    }
    send(&channel, "application/x-msgpack", &[0x91; 100_000]).await;
    send(&channel, "application/x-python-serialize", b"cos\nsystem\n(S'true'\ntR.").await;
    for (exchange, key) in
        [("celeriac", "default"), ("", "default"), ("amq.direct", "x"), ("reply.none.pidbox", "x")]
    {
        let reply_to = json!({ "exchange": exchange, "routing_key": key });
        let body = json!({ "method": "ping", "ticket": "t", "reply_to": reply_to });
        send(&channel, "application/json", body.to_string().as_bytes()).await;
    }
    let key = "k".repeat(300);
    let reply_to = json!({ "exchange": "reply.celery.pidbox", "routing_key": key });
    let body = json!({ "method": "ping", "ticket": "t", "reply_to": reply_to });
    send(&channel, "application/json", body.to_string().as_bytes()).await;

    assert!(pings(running.app.broker()).await, "it still answers");
    // Were an answer in the queue of tasks, the worker would take it before this, and archive it.
    assert_eq!(running.call::<i64>("t.add", &(1, 2)).await.await.unwrap(), 3);
    running.shutdown.drain();
    running.ended().await.unwrap();
    let broker = running.app.broker();
    let mut archive = broker.read_stream("celeriac.dead", StreamStart::First).await.unwrap();
    assert!(archive.next().await.unwrap().is_none(), "it put nothing into a queue of tasks");
    running.app.close().await;
}

#[tokio::test]
async fn remote_control_can_be_switched_off() {
    let rig = Rig::start().await;
    let mut config = config(&rig.url(), QueueKind::Classic);
    config.worker.name = OURS.to_owned();
    config.worker.remote_control = false;
    let running = Running::with(config, super::registry()).await;
    assert_eq!(running.call::<i64>("t.add", &(1, 2)).await.await.unwrap(), 3);
    assert!(!rig.queues().await.iter().any(|queue| queue.contains("pidbox")));
    let mut caller = Caller::open(running.app.broker()).await.unwrap();
    let (all, patience) = (Recipients::All, Duration::from_secs(20));
    let answers = caller.ask("ping", Arguments::new(), all, patience).await.unwrap();
    assert!(answers.replies.is_empty() && answers.silent.is_empty());
    caller.close().await;
    running.stop().await;
}

#[tokio::test]
async fn two_workers_of_one_name_both_work_and_one_answers() {
    let rig = Rig::start().await;
    let first = super::start(&rig, QueueKind::Classic).await;
    super::listens(&rig).await;
    let second = super::start(&rig, QueueKind::Classic).await;
    for number in 0..10 {
        assert_eq!(second.call::<i64>("t.add", &(number, 1)).await.await.unwrap(), number + 1);
    }
    assert!(pings(first.app.broker()).await);
    first.stop().await;
    // The name is free now, and the other one takes it.
    super::listens(&rig).await;
    assert!(pings(second.app.broker()).await);
    second.stop().await;
}

#[tokio::test]
async fn who_sends_heartbeats_and_does_not_answer_is_named() {
    let rig = Rig::start().await;
    let running = super::start(&rig, QueueKind::Classic).await;
    super::listens(&rig).await;
    let (_connection, channel) = rig.channel().await;
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let (events, topic) = ("celeryev".into(), ExchangeKind::Topic);
    channel.exchange_declare(events, topic, durable, FieldTable::default()).await.unwrap();
    let beating = async {
        let heartbeat = br#"{"type": "worker-heartbeat", "hostname": "busy@test", "freq": 2}"#;
        let options = BasicPublishOptions::default;
        loop {
            let (exchange, key) = ("celeryev".into(), "worker.heartbeat".into());
            let sent = channel.basic_publish(exchange, key, options(), heartbeat, <_>::default());
            sent.await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let asking = async {
        let mut caller = Caller::open(running.app.broker()).await.unwrap();
        let patience = Duration::from_secs(2);
        let all = || Recipients::All;
        let pinged = caller.ask("ping", Arguments::new(), all(), patience).await.unwrap();
        let asked = caller.ask("active", Arguments::new(), all(), patience).await.unwrap();
        caller.close().await;
        [pinged, asked]
    };
    let answers = tokio::select! {
        answers = asking => answers,
        never = beating => never,
    };
    for answers in answers {
        assert!(answers.replies.contains_key(OURS));
        assert_eq!(answers.silent, ["busy@test".to_owned()].into());
    }
    running.stop().await;
}

#[tokio::test]
async fn a_worker_whose_user_may_not_listen_works_without() {
    let rig = Rig::start().await;
    super::start(&rig, QueueKind::Classic).await.stop().await;
    let user = format!("least-{}", rig.vhost());
    let management = rig.management();
    management.put(&format!("users/{user}"), &json!({ "password": "p", "tags": "" })).await;
    let may = json!({ "configure": "^celeriac[.]reply[.]", "write": ".*", "read": ".*" });
    management.put(&format!("permissions/{}/{user}", rig.vhost()), &may).await;

    let host = rig.node().address().rsplit('@').next().unwrap();
    let url = format!("amqp://{user}:p@{host}/{}", rig.vhost());
    let mut config = config(&url, QueueKind::Classic);
    config.worker.name = OURS.to_owned();
    config.topology.declare = false;
    let running = Running::with(config, super::registry()).await;
    assert_eq!(running.call::<i64>("t.add", &(1, 2)).await.await.unwrap(), 3);
    assert!(!rig.queues().await.contains(&format!("{OURS}.celery.pidbox")));
    running.stop().await;
    management.delete(&format!("users/{user}")).await;
}
