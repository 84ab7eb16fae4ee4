//! Garbage by the hundred: every header of every type, random bytes, mutilated tasks, and bodies made
//! to exhaust memory. The real worker takes it all: each message runs or is archived with a reason
//! and its whole body, and a good task sent last still runs.

use std::collections::{BTreeMap, BTreeSet};

use celeriac::protocol::Compression;
use celeriac::topology::QueueKind;
use fastrand::Rng;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, DecimalValue, FieldArray, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Confirmation};

use super::accounts::{Letter, letters, until_empty};
use super::process::{client, file, runs, stop, worker};
use crate::rig::{Process, Rig, eventually};

const JSON: &str = "application/json";
const MESSAGEPACK: &str = "application/x-msgpack";
const BODY: &[u8] = b"[[], {}, null]";

/// Every header that somebody reads: Celery's, ours, the broker's own.
const HEADERS: [&str; 31] = [
    "lang",
    "task",
    "id",
    "shadow",
    "eta",
    "expires",
    "group",
    "group_index",
    "retries",
    "timelimit",
    "root_id",
    "parent_id",
    "argsrepr",
    "kwargsrepr",
    "origin",
    "ignore_result",
    "replaced_task_nesting",
    "stamped_headers",
    "stamps",
    "compression",
    "celeriac-retry",
    "celeriac-attempts",
    "celeriac-deliveries",
    "celeriac-snoozes",
    "celeriac-unknown-since",
    "celeriac-dead-reason",
    "celeriac-dead-headers",
    "x-death",
    "x-delivery-count",
    "x-first-death-queue",
    "mine",
];

/// One value of each type that AMQP has, and the odd ones of some. Not a number and infinity are
/// missing: RabbitMQ itself closes the connection of who sends them.
fn values() -> Vec<AMQPValue> {
    let table = FieldTable::from(BTreeMap::from([("k".into(), AMQPValue::LongInt(1))]));
    let odd = vec![
        AMQPValue::Void,
        AMQPValue::Double(f64::MAX),
        AMQPValue::DecimalValue(DecimalValue { scale: 200, value: 5 }),
        AMQPValue::FieldTable(table.clone()),
    ];
    vec![
        AMQPValue::Boolean(true),
        AMQPValue::ShortShortInt(-1),
        AMQPValue::ShortShortUInt(200),
        AMQPValue::ShortInt(-300),
        AMQPValue::ShortUInt(300),
        AMQPValue::LongInt(-70_000),
        AMQPValue::LongUInt(4_000_000_000),
        AMQPValue::LongLongInt(i64::MIN),
        AMQPValue::Float(f32::MAX),
        AMQPValue::Double(-0.0),
        AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 314 }),
        AMQPValue::LongString(LongString::from("")),
        AMQPValue::LongString(LongString::from("nonsense")),
        AMQPValue::LongString(LongString::from(vec![0xff, 0, 0xc3])),
        AMQPValue::Timestamp(u64::MAX),
        AMQPValue::ByteArray([0_u8, 255].as_slice().into()),
        AMQPValue::FieldArray(FieldArray::from(odd)),
        AMQPValue::FieldTable(table),
        AMQPValue::Void,
    ]
}

/// What was sent, by the name of its case.
type Sent = BTreeMap<String, Vec<u8>>;

/// A task that would run, with the name of its case as id.
fn headers(case: &str) -> FieldTable {
    let mut headers = FieldTable::default();
    let mut set = |name: &str, text: &str| {
        headers.insert(name.into(), AMQPValue::LongString(text.into()));
    };
    set("case", case);
    set("task", "step");
    set("id", case);
    headers
}

fn with(content_type: &str, headers: FieldTable) -> BasicProperties {
    BasicProperties::default().with_content_type(content_type.into()).with_headers(headers)
}

/// Publishes one message and waits until the queue has it.
async fn publish(
    channel: &Channel,
    sent: &mut Sent,
    case: String,
    properties: BasicProperties,
    body: Vec<u8>,
) {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties = properties.with_delivery_mode(2);
    let key = "default".into();
    let publishing = channel.basic_publish("".into(), key, options, &body, properties).await;
    let confirm = publishing.unwrap().await;
    assert!(matches!(confirm, Ok(Confirmation::Ack(None))), "{case}: {confirm:?}");
    sent.insert(case, body);
}

/// A queue with a worker on it, and a channel to it.
struct Ground {
    rig: Rig,
    worker: Process,
    _connection: lapin::Connection,
    channel: Channel,
}

impl Ground {
    async fn new(kind: QueueKind, limits: &str) -> Self {
        let rig = Rig::start().await;
        let file = format!("{}\n[limits]\n{limits}", file(kind, 20));
        let worker = worker(&rig, &file).await;
        let (connection, channel) = rig.channel().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { rig, worker, _connection: connection, channel }
    }

    /// Awaits that each case is accounted for: it ran, or it is in the archive with its body.
    async fn settled(self, sent: Sent) -> BTreeMap<String, Letter> {
        let Self { rig, worker, channel, .. } = self;
        let app = client(&rig, QueueKind::Quorum, 20).await;
        let mut good = Sent::new();
        publish(&channel, &mut good, "good".into(), with(JSON, headers("good")), BODY.into()).await;
        let ran = || runs(&rig).into_iter().collect::<BTreeSet<_>>();
        eventually("a good task sent last runs", async || ran().contains("good")).await;
        until_empty_but_for_consumer(&rig).await;

        let strangers = |id: &String| id != "good" && !sent.contains_key(id);
        let ran = ran();
        let unknown_runs = ran.iter().filter(|id| strangers(id)).count();
        let rest = sent.len() - ran.iter().filter(|id| sent.contains_key(*id)).count();
        let buried = letters(&rig, rest - unknown_runs).await;
        let buried: BTreeMap<_, _> = buried
            .into_iter()
            .map(|letter| (letter.text("case").expect("its case is kept"), letter))
            .collect();
        for (case, body) in &sent {
            match buried.get(case) {
                Some(letter) => {
                    assert!(letter.body == *body, "the body of {case} is kept whole");
                    assert!(!letter.reason().is_empty(), "{case} has a reason");
                }
                None => assert!(unknown_runs > 0 || ran.contains(case), "{case} is nowhere"),
            }
        }
        eprintln!("{} sent, {} archived, {} ran", sent.len(), buried.len(), ran.len() - 1);
        stop(worker).await;
        until_empty(&rig, "default").await;
        app.close().await;
        buried
    }
}

/// As [`until_empty`], while the worker is there.
async fn until_empty_but_for_consumer(rig: &Rig) {
    for queue in ["default", "celeriac.dead.in"] {
        let what = format!("queue {queue} is empty");
        eventually(&what, async || {
            rig.ready(queue).await == 0
                && rig.queue(queue).await.is_some_and(|it| it.ready + it.unacknowledged == 0)
        })
        .await;
    }
}

#[tokio::test]
async fn every_header_of_every_type_runs_or_is_archived() {
    let ground = Ground::new(QueueKind::Quorum, "").await;
    let mut sent = Sent::new();
    for name in HEADERS {
        for (number, value) in values().into_iter().enumerate() {
            let case = format!("{name}-{number}");
            let mut headers = headers(&case);
            headers.insert(name.into(), value);
            publish(&ground.channel, &mut sent, case, with(JSON, headers), BODY.into()).await;
        }
    }
    ground.settled(sent).await;
}

#[tokio::test]
async fn random_bytes_and_mutilated_tasks_run_or_are_archived() {
    let ground = Ground::new(QueueKind::Classic, "").await;
    let mut sent = Sent::new();
    let mut random = Rng::with_seed(11);
    let msgpack =
        b"\x93\x92\x01\xa5hello\x81\xa1k\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00\x80".to_vec();
    let json = br#"[[1, "hello"], {"k": 0.5}, {"callbacks": null}]"#.to_vec();
    for number in 0..300 {
        let case = format!("random-{number}");
        let (content_type, mut body) = match number % 3 {
            0 => (JSON, json.clone()),
            1 => (MESSAGEPACK, msgpack.clone()),
            _ => {
                let kinds = [JSON, MESSAGEPACK, "application/x-gzip", "", "\u{1}/\u{2}"];
                (
                    kinds[random.usize(0..5)],
                    (0..random.usize(0..200)).map(|_| random.u8(..)).collect(),
                )
            }
        };
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..=body.len());
            match random.u8(0..3) {
                0 if at < body.len() => body[at] = random.u8(..),
                1 => body.truncate(at),
                _ => body.insert(at, random.u8(..)),
            }
        }
        let properties = with(content_type, headers(&case));
        publish(&ground.channel, &mut sent, case, properties, body).await;
    }
    ground.settled(sent).await;
}

#[tokio::test]
async fn what_is_made_to_exhaust_memory_does_not() {
    const MOST: u64 = 200 << 20;
    let limits = "max_body = \"10MB\"\nmax_decompressed = \"8MB\"";
    let ground = Ground::new(QueueKind::Quorum, limits).await;
    let mut sent = Sent::new();
    // RabbitMQ itself refuses more than 16 MiB since 4.0.
    let large = vec![b' '; 15 << 20];
    publish(&ground.channel, &mut sent, "large".into(), with(JSON, headers("large")), large).await;
    let zeros = vec![0; 64 << 20];
    for (name, compression) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        let mut headers = headers(name);
        headers.insert("compression".into(), AMQPValue::LongString(name.into()));
        let body = compression.compress(&zeros);
        publish(&ground.channel, &mut sent, name.into(), with(JSON, headers), body).await;
    }
    let declared: [(&str, &[u8]); 4] = [
        ("array", b"\x93\xdd\xff\xff\xff\xff"),
        ("map", b"\x93\x90\xdf\xff\xff\xff\xff"),
        ("text", b"\x93\x91\xdb\xff\xff\xff\xff"),
        ("binary", b"\x93\x91\xc6\xff\xff\xff\xff"),
    ];
    for (name, body) in declared {
        let properties = with(MESSAGEPACK, headers(name));
        publish(&ground.channel, &mut sent, name.into(), properties, body.into()).await;
    }
    for (name, content_type, level) in
        [("brackets", JSON, b'['), ("braces", JSON, b'{'), ("lists", MESSAGEPACK, 0x91)]
    {
        let properties = with(content_type, headers(name));
        publish(&ground.channel, &mut sent, name.into(), properties, vec![level; 100_000]).await;
    }
    let mut wide = headers("wide");
    wide.insert("mine".into(), AMQPValue::LongString("x".repeat(130_900).into()));
    publish(&ground.channel, &mut sent, "wide".into(), with("text/plain", wide), b"x".into()).await;

    let count = sent.len();
    let archived = async || ground.rig.ready("celeriac.dead").await as usize >= count;
    eventually("all are archived", archived).await;
    let peak = ground.worker.peak_memory();
    eprintln!("the worker had at most {} MB", peak >> 20);
    assert!(peak < MOST, "{peak} bytes");
    let buried = ground.settled(sent).await;
    assert_eq!(buried.len(), count, "none of them ran");
    assert!(buried.values().all(|letter| letter.reason() == "unreadable"));
    assert!(buried["wide"].headers.contains_key("celeriac-dead-in-body"), "its header is kept");
}
