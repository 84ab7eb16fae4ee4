//! Each form gives the value that it should, and each error goes where it should.

use super::{call, math, plus, running, value};
use crate::results::Store;
use crate::rig::{PATIENCE, Rig, Running, add, config, eventually};
use celeriac::canvas::{Canvas, chain, chord, chunks, group, map, starmap};
use celeriac::client::ResultError;
use celeriac::handler::{Output, TaskContext};
use celeriac::protocol::{Signature, TaskState};
use celeriac::results::Backend;
use celeriac::topology::QueueKind;
use serde_json::json;
use std::sync::{Arc, Mutex};

fn sum() -> Canvas {
    Signature::new("math.sum").into()
}

#[tokio::test]
async fn every_form_gives_its_value() {
    let rig = Rig::start().await;
    let running = running(&rig).await;
    let one = || call("math.add", (1, 2));
    let items = |range: std::ops::Range<i64>| range.map(|item| vec![item.into(), item.into()]);
    let cases = [
        ("a chain", chain([one(), plus(10), plus(100)]), json!(113)),
        ("a group", group([one(), plus(7)]), json!([3, 7])),
        ("a chord", chord([one(), plus(7)], sum()), json!(10)),
        ("one member", chord([one()], sum()), json!(3)),
        ("no member", chord([] as [Canvas; 0], sum()), json!(0)),
        (
            "a group in a chain",
            chain([one(), group([plus(1), plus(2)]), sum(), plus(1)]),
            json!(10),
        ),
        ("a group at the end", chain([one(), group([plus(1), plus(2)])]), json!([4, 5])),
        ("two groups", chain([group([plus(1), plus(2)]), group([sum(), sum()])]), json!([3, 3])),
        (
            "a chord of chords",
            chord([chord([plus(1), plus(2)], sum()), chord([plus(3), plus(4)], sum())], sum()),
            json!(10),
        ),
        (
            "a member that ends in a group",
            chord([chain([one(), group([plus(1), plus(2)])]), one()], Signature::new("echo")),
            json!([[[4, 5], 3]]),
        ),
        (
            "three deep",
            chain([
                one(),
                group([chain([plus(1), group([plus(1), plus(2)]), sum()]), plus(5)]),
                sum(),
                chord([plus(1), plus(2)], chain([sum(), plus(1000)])),
            ]),
            json!(1000 + 2 * 19 + 3),
        ),
        (
            "a step that is given nothing",
            chain([one(), Signature::call("math.add", &(5,)).unwrap().immutable().into()]),
            json!(5),
        ),
        ("a map", map(&Signature::new("math.sum"), [vec![1, 2], vec![3]].map(list)), json!([3, 3])),
        ("a starmap", starmap(&Signature::new("math.add"), items(0..3)), json!([0, 2, 4])),
        (
            "chunks",
            chunks(&Signature::new("math.add"), items(0..5), 2),
            json!([[0, 2], [4, 6], [8]]),
        ),
    ];
    for (name, canvas, expected) in cases {
        assert_eq!(value(&running, canvas).await, expected, "{name}");
    }
    let left = rig.queues().await;
    let left: Vec<_> = left.iter().filter(|queue| queue.contains("celeriac.chord")).collect();
    assert!(left.is_empty(), "{left:?}");
    running.stop().await;
}

fn list(numbers: Vec<i64>) -> celeriac::protocol::Value {
    numbers.into_iter().map(celeriac::protocol::Value::from).collect::<Vec<_>>().into()
}

/// Every call of task `note`, with its first argument.
fn noting(registry: &mut celeriac::handler::Registry) -> Arc<Mutex<Vec<serde_json::Value>>> {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&notes);
    add(registry, "note", move |_, body| {
        let args = body.args_json().unwrap();
        kept.lock().unwrap().push(args[0].clone());
        Box::pin(async { Ok(Output::none()) })
    });
    notes
}

#[tokio::test]
async fn callbacks_are_given_the_result_and_errbacks_the_id() {
    let rig = Rig::start().await;
    let mut registry = math();
    let notes = noting(&mut registry);
    let running = Running::start(&rig, QueueKind::Quorum, registry).await;
    let note = Signature::new("note");
    let linked = call("math.add", (1, 2)).link(&note).link(&note);
    assert_eq!(value(&running, linked).await, json!(3));
    eventually("two callbacks", async || notes.lock().unwrap().len() == 2).await;
    assert_eq!(*notes.lock().unwrap(), [json!(3), json!(3)]);

    let failing = chain([call("math.fail", ()), plus(1), plus(2)]).link_error(&note);
    let handle = running.app.client().apply::<i64>(failing).await.unwrap();
    let first = handle.shape().parent().unwrap().parent().unwrap().last()[0].clone();
    let error = handle.timeout(PATIENCE).await.unwrap_err();
    let ResultError::Failed { state, exception, .. } = error else { panic!("{error}") };
    assert_eq!((state, exception.kind.as_str()), (TaskState::Failure, "ValueError"));
    eventually("one errback", async || notes.lock().unwrap().len() == 3).await;
    assert_eq!(notes.lock().unwrap()[2], json!(first.as_str()));
    running.stop().await;
}

/// Over rpc they come once, to who sent the chain; a store is asked.
async fn the_steps_of_a_chain_tell_their_own_results(backend: Backend) {
    let Some(store) = Store::start(backend).await else { return };
    let rig = Rig::start().await;
    let mut config = config(&rig.url(), QueueKind::Quorum);
    store.configure(&mut config);
    let running = Running::with(config, math()).await;
    let canvas = chain([call("math.add", (1, 2)), plus(10), plus(100)]);
    let handle = running.app.client().apply::<i64>(canvas).await.unwrap();
    let second = handle.shape().parent().unwrap();
    let first = second.parent().unwrap();
    let [first, second] = [first, second].map(|step| handle.task::<i64>(step.last()[0]));
    assert_eq!(handle.timeout(PATIENCE).await.unwrap(), 113);
    assert_eq!(second.timeout(PATIENCE).await.unwrap(), 13);
    assert_eq!(first.timeout(PATIENCE).await.unwrap(), 3);
    running.stop().await;
}

#[tokio::test]
async fn the_steps_of_a_chain_tell_their_own_results_over_rpc() {
    the_steps_of_a_chain_tell_their_own_results(Backend::Rpc).await;
}

#[tokio::test]
async fn the_steps_of_a_chain_tell_their_own_results_over_redis() {
    the_steps_of_a_chain_tell_their_own_results(Backend::Redis).await;
}

#[tokio::test]
async fn the_steps_of_a_chain_tell_their_own_results_over_sqlite() {
    the_steps_of_a_chain_tell_their_own_results(Backend::Sqlite).await;
}

#[tokio::test]
async fn a_failed_member_fails_the_body_and_whatever_waits_for_it() {
    let rig = Rig::start().await;
    let mut registry = math();
    let notes = noting(&mut registry);
    let running = Running::start(&rig, QueueKind::Quorum, registry).await;
    let body = sum().link_error(&Signature::new("note"));
    let inner = chord([plus(1), call("math.fail", ())], body);
    let outer = chain([chord([inner, plus(2)], sum()), plus(1)]);
    let handle = running.app.client().apply::<i64>(outer).await.unwrap();
    let error = handle.timeout(PATIENCE).await.unwrap_err();
    let ResultError::Failed { exception, .. } = error else { panic!("{error}") };
    assert_eq!(exception.kind, "ChordError");
    assert!(exception.text().starts_with("Dependency "), "{}", exception.text());
    assert!(exception.text().contains("ChordError"), "the inner body: {}", exception.text());
    eventually("the inner body's errback", async || notes.lock().unwrap().len() == 1).await;
    running.stop().await;
}

#[tokio::test]
async fn a_task_is_replaced_by_a_workflow_and_keeps_its_place() {
    let rig = Rig::start().await;
    let mut registry = math();
    add(&mut registry, "spread", |cx: TaskContext, body| {
        Box::pin(async move {
            let (number,): (i64,) = body.args().unwrap();
            let each = (0..number).map(|item| call("math.add", (item,)));
            cx.replace(group(each))
        })
    });
    add(&mut registry, "again", |cx: TaskContext, body| {
        Box::pin(async move {
            let (left,): (i64,) = body.args().unwrap();
            match left {
                0 => Ok(Output::new(cx.headers.replaced_task_nesting)),
                _ => cx.replace(Signature::call("again", &(left - 1,)).unwrap()),
            }
        })
    });
    let running = Running::start(&rig, QueueKind::Quorum, registry).await;
    let cases = [
        ("alone", call("spread", (4,)), json!([0, 1, 2, 3])),
        ("in a chain", chain([plus(4), call("spread", ()), sum(), plus(1)]), json!(7)),
        (
            "in a chord",
            chord([call("spread", (3,)), call("spread", (2,))], Signature::new("echo")),
            json!([[[0, 1, 2], [0, 1]]]),
        ),
        ("again and again", call("again", (3,)), json!(3)),
    ];
    for (name, canvas, expected) in cases {
        assert_eq!(value(&running, canvas).await, expected, "{name}");
    }
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_follow_fails_the_task_and_the_rest() {
    let rig = Rig::start().await;
    let running = running(&rig).await;
    let lost = Signature::new("math.add").queue("nowhere");
    let handle = chain([call("math.add", (1,)), lost.into(), plus(1)]);
    let handle = running.app.client().apply::<i64>(handle).await.unwrap();
    let error = handle.timeout(PATIENCE).await.unwrap_err();
    let ResultError::Failed { exception, .. } = error else { panic!("{error}") };
    assert_eq!(exception.kind, "PublishError");
    assert!(exception.text().contains("math.add cannot follow"), "{}", exception.text());
    eventually("the task in the archive", async || rig.ready("celeriac.dead").await == 1).await;
    running.stop().await;
}
