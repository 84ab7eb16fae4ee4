//! Messages that no sender should send: none stops a worker, and each is kept with its reason.

use std::sync::Arc;
use std::time::SystemTime;

use celeriac::archive::{Archive, DeadLetter, Filter, Reason};
use celeriac::clock::SystemClock;
use celeriac::handler::{Failure, Output, Registry, TaskError};
use celeriac::topology::QueueKind;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};

use crate::rig::{PATIENCE, RawAmqp, Rig, Running, add, eventually};

const JSON: &str = "application/json";
const MESSAGEPACK: &str = "application/x-msgpack";
/// As Celery signs: signer, signature, content type, encoding and body, base64 of all.
const SIGNED: &[u8] = b"WTJFZ01RPT0AAWMybG4AAWFwcGxpY2F0aW9uL2pzb24AAXV0Zi04AAFbW10se30se31d";
const EMPTY: &[u8] = b"[[],{},{}]";

/// A message and what the archive must say about it.
struct Hostile {
    properties: BasicProperties,
    body: Vec<u8>,
    reason: Reason,
    error: &'static str,
}

fn hostile(properties: BasicProperties, body: &[u8], error: &'static str) -> Hostile {
    Hostile { properties, body: body.to_vec(), reason: Reason::Unreadable, error }
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn list(items: Vec<AMQPValue>) -> AMQPValue {
    AMQPValue::FieldArray(items.into())
}

fn nested(levels: usize) -> AMQPValue {
    (0..levels).fold(AMQPValue::Void, |inside, _| list(vec![inside]))
}

fn headers<const N: usize>(headers: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert(name.into(), value);
    }
    table
}

/// A task `count`, but for one header.
fn task_with(name: &str, value: AMQPValue) -> BasicProperties {
    let mut table = headers([("task", text("count")), ("id", text("hostile"))]);
    table.insert(name.into(), value);
    BasicProperties::default().with_content_type(JSON.into()).with_headers(table)
}

fn task(content_type: &str) -> BasicProperties {
    task_with("id", text("hostile")).with_content_type(content_type.into())
}

/// What a Celery worker dies of, and worse.
fn zoo() -> Vec<Hostile> {
    let json = |body: &[u8], error| hostile(task(JSON), body, error);
    let msgpack = |body: &[u8], error| hostile(task(MESSAGEPACK), body, error);
    let header = |name, value, error| hostile(task_with(name, value), EMPTY, error);
    let nameless = BasicProperties::default()
        .with_headers(headers([("task", text("count")), ("id", text("hostile"))]));
    let without_id = BasicProperties::default()
        .with_content_type(JSON.into())
        .with_headers(headers([("task", text("count"))]));
    let bare = BasicProperties::default().with_content_type(JSON.into());
    // With what the archive adds, longer than a frame may be.
    let too_long = task_with("long", text(&"x".repeat(130_700))).with_content_type("a/b".into());
    let deep = "[".repeat(100_000);
    vec![
        hostile(nameless, EMPTY, "no content type"),
        hostile(without_id, EMPTY, "header `id`: expected text, found nothing"),
        hostile(bare.clone(), EMPTY, "no header `task`"),
        hostile(bare, br#"{"task": "count"}"#, "it has no `id`"),
        hostile(BasicProperties::default(), b"", "no content type"),
        hostile(task("application/x-python-serialize"), b"\x80\x02K\x01.", "(pickle)"),
        hostile(task("application/x-yaml"), b"[[], {}, null]", "(yaml)"),
        hostile(task("application/data"), SIGNED, "(signed by Celery's `auth` serializer"),
        hostile(task("text/plain"), EMPTY, "(raw text)"),
        json(b"", "expected a value at byte 0"),
        json(b"\xff\xfe[]", "expected UTF-8 at byte 0"),
        json(b"[[],{}]", "found a list of 2"),
        json(b"[[],{},{},1]", "found a longer list"),
        json(b"7", "found a number"),
        json(b"[{},{},{}]", "args: expected a list, found a map"),
        json(b"[[],[],{}]", "kwargs: expected a map, found a list"),
        json(b"[[1,2", "args is not json"),
        json(deep.as_bytes(), "nested deeper than 100 levels"),
        msgpack(b"\x93\xdd\xff\xff\xff\xff", "a list or map that ends within the body"),
        msgpack(b"\x93\x91\xdb\xff\xff\xff\xff", "a value that ends within the body"),
        msgpack(&[0x91; 100_000], "nested deeper than 100 levels"),
        msgpack(b"\xc1", "a type that exists"),
        header("timelimit", list(vec![AMQPValue::LongInt(1)]), "found a list of 1"),
        header("timelimit", list(vec![text("1"), AMQPValue::Void]), "a list with text \"1\""),
        header("retries", AMQPValue::LongInt(-1), "header `retries`"),
        header("eta", text("tomorrow"), "header `eta`: expected an ISO 8601 time"),
        header("expires", AMQPValue::Boolean(true), "header `expires`"),
        header("task", AMQPValue::LongInt(1), "header `task`: expected text, found number 1"),
        header("id", list(vec![]), "header `id`: expected text, found a list of 0"),
        header("stamps", text("x"), "header `stamps`"),
        header("compression", text("application/x-brotli"), "compression `application/x-brotli`"),
        header("compression", text("gzip"), "body is not gzip"),
        header("mine", nested(100), "header `mine`: expected less nesting"),
        hostile(too_long, EMPTY, "content type `a/b`"),
    ]
}

async fn publish(channel: &Channel, message: &Hostile) {
    let properties = message.properties.clone().with_delivery_mode(2);
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let sent =
        channel.basic_publish("".into(), "default".into(), options, &message.body, properties);
    assert_eq!(sent.await.unwrap().await.unwrap(), Confirmation::Ack(None), "it has a queue");
}

fn counting(registry: &mut Registry) {
    add(registry, "count", |_, body| {
        Box::pin(async move {
            let args: Vec<u8> = body.args().map_err(|error| {
                Failure::Reject(TaskError::new("ArgumentError", error.to_string()))
            })?;
            Ok(Output::new(args.len()))
        })
    });
}

async fn letters(archive: &Archive) -> Vec<DeadLetter> {
    archive.collect_now().await;
    archive.survey(&Filter::parse("", SystemTime::now()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn what_kills_other_workers_is_archived_with_its_reason() {
    let rig = Rig::start().await;
    let mut registry = Registry::new();
    counting(&mut registry);
    let running = Running::start(&rig, QueueKind::Quorum, registry).await;
    // Its queue exists when the first task is through.
    assert_eq!(running.call::<usize>("count", &()).await.timeout(PATIENCE).await.unwrap(), 0);
    let (_connection, channel) = rig.channel().await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let zoo = zoo();
    for message in &zoo {
        publish(&channel, message).await;
    }

    let call = running.call::<usize>("count", &(1, 2, 3)).await;
    assert_eq!(call.timeout(PATIENCE).await.unwrap(), 3, "the worker goes on");
    let dead = running.app.config().topology().dead.clone();
    let archive = Archive::new(running.app.broker().clone(), dead, Arc::new(SystemClock));
    let all = async || letters(&archive).await;
    eventually("all are archived", async || all().await.len() == zoo.len()).await;
    let mut letters = all().await;
    for message in &zoo {
        let kept = |letter: &DeadLetter| {
            let error = letter.error.as_deref().unwrap_or_default();
            letter.reason == message.reason
                && error.contains(message.error)
                && letter.size == message.body.len()
        };
        let found = letters.iter().position(kept);
        let found = found.unwrap_or_else(|| panic!("no {:?} in {letters:#?}", message.error));
        let letter = letters.swap_remove(found);
        assert_eq!(letter.queue.as_deref(), Some("default"));
    }
    assert_eq!(rig.ready("default").await, 0);
    running.stop().await;
}

/// A header `x` of lists in lists, as bytes: a table with `task`, `id` and that.
fn bottomless(levels: usize) -> Vec<u8> {
    let mut table = b"\x04taskS\0\0\0\x05count\x02idS\0\0\0\x01i\x01x".to_vec();
    for level in (0..levels).rev() {
        table.push(b'A');
        table.extend_from_slice(&(5 * level as u32 + 1).to_be_bytes());
    }
    table.push(b'V');
    table
}

const PROGRAM: &str = r#"
broker.url = "{url}"

[queues.default]
type = "classic"

[tasks.count]
exec = ["echo", "3"]
"#;

#[tokio::test]
async fn headers_nested_as_deep_as_a_frame_allows_do_not_end_the_program() {
    let rig = Rig::start().await;
    let mut worker = rig.celeriac(&["worker"], PROGRAM).await;
    worker.until("ready worker=").await;
    let address = rig.node().address();
    let host = address.rsplit('@').next().unwrap();
    let mut raw = RawAmqp::connect(host, rig.vhost()).await;
    raw.publish("default", JSON, &bottomless(26_000), EMPTY).await;
    worker.until("unreadable, kept in the archive").await;
    eventually("it is archived", async || rig.ready("celeriac.dead").await == 1).await;
    assert_eq!(rig.ready("default").await, 0);
}
