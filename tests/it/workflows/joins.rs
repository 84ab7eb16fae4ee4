//! Chords on RabbitMQ alone: large ones, members that come twice or late, and whoever dies.

use super::{call, math, plus, running, value};
use crate::rig::{PATIENCE, Process, Rig, Running, add, config, eventually};
use celeriac::app::App;
use celeriac::canvas::{Canvas, Chord, Ids, Origin, Plan, chord, plan};
use celeriac::client::ResultError;
use celeriac::handler::Output;
use celeriac::protocol::Signature;
use celeriac::publisher::Publisher;
use celeriac::topology::{QueueKind, names};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_members_are_joined_and_so_are_chords_of_chords() {
    let rig = Rig::start().await;
    let running = running(&rig).await;
    let sum = || Signature::new("math.sum");
    let thousand = chord((0..1_000).map(plus), sum());
    assert_eq!(value(&running, thousand).await, json!(499_500));
    let inner = |from: i64| chord((from..from + 20).map(plus), sum());
    let of_chords = chord((0..20).map(|row| inner(row * 20)), sum());
    assert_eq!(value(&running, of_chords).await, json!((0..400).sum::<i64>()));
    running.stop().await;
}

/// A chord whose messages the test sends itself.
async fn planned(running: &Running, members: i64, body: &str) -> (String, Plan) {
    let header = (0..members).map(plus).collect();
    let id = "a-chord".to_owned();
    let body = Box::new(Signature::new(body).into());
    let chord = Canvas::Chord(Chord { id: Some(id.clone()), header, body });
    let plan = plan(chord, None, Origin::default(), Ids::Random).unwrap();
    let chords = running.app.client().results().chords().unwrap();
    let group_id = id.clone();
    let members = plan.chords[0].members;
    let chord = celeriac::results::NewChord { group_id, members };
    chords.begin(&chord).await.unwrap();
    (names::chord(&id), plan)
}

/// A task `total` that counts how often it runs and keeps its last sum.
#[derive(Clone, Default)]
struct Total {
    runs: Arc<AtomicI64>,
    sum: Arc<AtomicI64>,
}

impl Total {
    fn register(&self, registry: &mut celeriac::handler::Registry) {
        let this = self.clone();
        add(registry, "total", move |_, body| {
            let (numbers,): (Vec<i64>,) = body.args().unwrap();
            this.sum.store(numbers.iter().sum(), Ordering::SeqCst);
            this.runs.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Ok(Output::none()) })
        });
    }

    fn runs(&self) -> i64 {
        self.runs.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_member_that_comes_twice_counts_once_and_a_late_one_not_at_all() {
    let rig = Rig::start().await;
    let total = Total::default();
    let mut registry = math();
    total.register(&mut registry);
    let running = Running::start(&rig, QueueKind::Quorum, registry).await;
    let (queue, plan) = planned(&running, 3, "total").await;
    let publisher = running.app.client().publisher();
    let send = async |publisher: &Publisher, member: usize| {
        publisher.send_planned(&plan.messages[member], None, None).await.unwrap();
    };
    let parts = async |count: u32| {
        let name = format!("{count} results in the queue");
        eventually(&name, async || rig.ready(&queue).await == count).await;
    };
    send(publisher, 0).await;
    parts(1).await;
    send(publisher, 0).await;
    parts(2).await;
    // The third message that comes completes the number, and not the chord.
    send(publisher, 1).await;
    parts(2).await;
    assert_eq!(total.runs(), 0);
    send(publisher, 2).await;
    eventually("the body", async || total.runs() == 1).await;
    assert_eq!(total.sum.load(Ordering::SeqCst), 3);
    eventually("the queue is gone", async || rig.consumers(&queue).await.is_none()).await;

    send(publisher, 1).await;
    eventually("the late one is done with", async || {
        rig.queue("default").await.is_some_and(|queue| queue.ready + queue.unacknowledged == 0)
    })
    .await;
    assert!(rig.consumers(&queue).await.is_none(), "a late member makes no queue");
    assert_eq!(total.runs(), 1);
    running.stop().await;
}

#[tokio::test]
async fn results_that_do_not_fit_fail_the_chord() {
    let rig = Rig::start().await;
    let mut registry = math();
    add(&mut registry, "large", |_, _| Box::pin(async { Ok(Output::new("x".repeat(4_000))) }));
    let mut config = config(&rig.url(), QueueKind::Quorum);
    config.publisher.max_message = 10_000;
    let running = Running::with(config, registry).await;
    let large = || chord((0..5).map(|_| call("large", ())), Signature::new("echo"));
    let failure = async |canvas| {
        let handle = running.app.client().apply::<serde_json::Value>(canvas).await.unwrap();
        match handle.timeout(PATIENCE).await.unwrap_err() {
            ResultError::Failed { exception, .. } => (exception.kind.clone(), exception.text()),
            other => panic!("{other}"),
        }
    };
    let (kind, text) = failure(large()).await;
    assert_eq!(kind, "ChordError");
    assert!(text.contains("publisher.max_message"), "{text}");

    // A queue that is full, as that of a chord is at 64 MB.
    let (_connection, channel) = rig.channel().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length-bytes".into(), 2_000_i32.into());
    arguments
        .insert("x-overflow".into(), lapin::types::AMQPValue::LongString("reject-publish".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let queue = names::chord("full");
    channel.queue_declare(queue.as_str().into(), options, arguments).await.unwrap();
    let Canvas::Chord(mut full) = large() else { unreachable!() };
    full.id = Some("full".to_owned());
    let (kind, text) = failure(Canvas::Chord(full)).await;
    assert_eq!(kind, "ChordError");
    assert!(text.contains("ResultsTooLarge"), "{text}");
    eventually("the queue is gone", async || rig.consumers(&queue).await.is_none()).await;
    running.stop().await;
}

const FILE: &str = r#"
[broker]
url = "{url}"

[worker]
concurrency = 4

[tasks.member]
exec = ["sh", "-c", "echo $CELERIAC_TASK_ID >> members; echo 1"]

[tasks.body]
exec = ["sh", "-c", "cat >> bodies; echo >> bodies; echo 7"]
"#;

async fn worker(rig: &Rig) -> Process {
    let mut worker = rig.celeriac(&["worker", "-c", "celeriac.toml"], FILE).await;
    worker.until("worker: ready").await;
    worker
}

fn lines(rig: &Rig, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(rig.folder().join(file)).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_worker_killed_again_and_again_in_the_middle_of_a_chord_joins_it_all_the_same() {
    const MEMBERS: usize = 150;
    const KILLS: usize = 5;
    let rig = Rig::start().await;
    let mut running = worker(&rig).await;
    let app = App::connect(config(&rig.url(), QueueKind::Quorum)).await.unwrap();
    let header = (0..MEMBERS).map(|_| call("member", ()));
    let handle = app.client().apply::<i64>(chord(header, Signature::new("body"))).await.unwrap();
    for kill in 1..=KILLS {
        let goal = kill * MEMBERS / (KILLS + 1);
        eventually("members go on", async || lines(&rig, "members").len() >= goal).await;
        running.kill().await;
        running = worker(&rig).await;
    }
    assert_eq!(handle.timeout(PATIENCE * 2).await.unwrap(), 7);
    let members: std::collections::BTreeSet<_> = lines(&rig, "members").into_iter().collect();
    assert_eq!(members.len(), MEMBERS, "each member has run");
    let bodies = lines(&rig, "bodies");
    for body in &bodies {
        let call: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(call["args"], json!([vec![1; MEMBERS]]), "each body has every result once");
    }
    eprintln!(
        "{KILLS} kills: {MEMBERS} members ran {} times, the body {} times",
        lines(&rig, "members").len(),
        bodies.len()
    );
    running.kill().await;
    app.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_in_the_middle_of_a_chord_loses_no_member() {
    const MEMBERS: i64 = 300;
    let rig = Rig::alone().await;
    let total = Total::default();
    let mut registry = math();
    total.register(&mut registry);
    let ran = Arc::new(AtomicI64::new(0));
    let count = Arc::clone(&ran);
    add(&mut registry, "one", move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            // Long enough for the broker to die in the middle.
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(Output::new(1))
        })
    });
    let mut config = config(&rig.url(), QueueKind::Quorum);
    config.broker.reconnect.max = Duration::from_millis(500);
    let running = Running::with(config, registry).await;
    let header = (0..MEMBERS).map(|_| call("one", ()));
    let handle = running.app.client().apply::<()>(chord(header, Signature::new("total"))).await;
    drop(handle.unwrap());
    eventually("half of the members", async || ran.load(Ordering::SeqCst) > MEMBERS / 2).await;
    rig.node().kill().await;
    rig.node().start().await;
    eventually("the body", async || total.runs() > 0).await;
    assert_eq!(total.sum.load(Ordering::SeqCst), MEMBERS);
    let runs = ran.load(Ordering::SeqCst);
    eprintln!("{MEMBERS} members ran {runs} times, the body {} times", total.runs());
    running.stop().await;
}
