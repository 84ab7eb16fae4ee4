//! Our publisher, scheduler and workflows send to Celery's worker; results and errors come back.

use std::time::{Duration, SystemTime};

use celeriac::canvas::{Canvas, chain, chord};
use celeriac::client::ResultError;
use celeriac::protocol::{Format, HeaderValue, Signature, TaskState};
use celeriac::publisher::SendOptions;
use celeriac::shutdown::Shutdown;
use serde_json::{Value, json};

use super::fleet::{Fleets, first_of};
use crate::rig::PATIENCE;

const MINUTE: Duration = Duration::from_secs(60);

/// What a call looks like to a Python task, but for what it says itself.
fn seen(id: &str) -> Value {
    json!({
        "args": [1, "two"], "kwargs": {"named": null}, "id": id, "task": "py.see", "retries": 0,
        "eta": false, "expires": false, "group": null, "root": id, "parent": null,
        "limits": [null, null], "shadow": null, "stamps": {}, "argsrepr": null, "mine": null,
    })
}

#[tokio::test]
async fn every_option_of_ours_reaches_a_celery_worker_and_its_answers_reach_us() {
    let Some(fleets) = Fleets::start().await else { return };
    let client = fleets.ours.app.client();
    let plain = SendOptions::default;
    let cases = [
        ("plain", plain(), json!({})),
        ("msgpack", plain().format(Format::MessagePack), json!({})),
        ("countdown", plain().countdown(Duration::from_millis(700)), json!({"eta": true})),
        ("eta", plain().eta(SystemTime::now() + Duration::from_millis(300)), json!({"eta": true})),
        ("expires", plain().expires_in(MINUTE), json!({"expires": true})),
        ("expires at", plain().expires_at(SystemTime::now() + MINUTE), json!({"expires": true})),
        ("priority", plain().priority(3), json!({})),
        (
            "limits",
            plain().time_limit(MINUTE).soft_limit(MINUTE / 2),
            json!({"limits": [60.0, 30.0]}),
        ),
        ("header", plain().header("mine", HeaderValue::from("yes")), json!({"mine": "yes"})),
    ];
    let calls = cases.map(|(case, options, differs)| async move {
        let options = options.id(case).queue("py");
        let named = json!({"named": null});
        let call = client.call::<Value>("py.see", &(1, "two"), &named, options).await.unwrap();
        let found = call.timeout(PATIENCE).await.unwrap();
        let mut expected = seen(case);
        for (name, value) in differs.as_object().unwrap() {
            expected[name] = value.clone();
        }
        assert_eq!(without_reprs(found), expected, "{case}");
    });
    futures::future::join_all(calls).await;

    // A retry of Celery's goes where the message came from, and that was a delay of ours.
    let late = plain().queue("py").countdown(Duration::from_millis(300));
    let flaky = client.call::<i64>("py.flaky", &(2, 3), &json!({"fails": 2}), late).await.unwrap();
    assert_eq!(flaky.timeout(PATIENCE).await.unwrap(), 5);

    for (kind, text) in [("ValueError", "no: ťapka"), ("KeyError", "size")] {
        let kwargs = json!({"kind": kind, "text": text});
        let options = plain().queue("py");
        let failed = client.call::<()>("py.fail", &(), &kwargs, options).await.unwrap();
        let error = failed.timeout(PATIENCE).await.unwrap_err();
        let ResultError::Failed { state, exception, traceback, .. } = error else {
            panic!("{error}")
        };
        assert_eq!((state, exception.kind.as_str()), (TaskState::Failure, kind));
        assert_eq!(
            (exception.text().as_str(), exception.module.as_deref()),
            (text, Some("builtins"))
        );
        assert!(traceback.unwrap().contains("Traceback (most recent call last)"));
    }
    let unknown = client.call::<()>("py.nobody", &(), &(), plain().queue("py")).await.unwrap();
    let error = unknown.timeout(PATIENCE).await.unwrap_err();
    let ResultError::Failed { exception, .. } = error else { panic!("{error}") };
    assert_eq!(
        (exception.kind.as_str(), exception.text().as_str()),
        ("NotRegistered", "py.nobody")
    );

    scheduled(&fleets).await;

    // Kept by somebody who pickles.
    let redis = redis::Client::open(fleets.redis.url()).unwrap();
    let mut connection = redis.get_multiplexed_async_connection().await.unwrap();
    let mut set = redis::cmd("SET");
    set.arg("celery-task-meta-pickled").arg(&b"\x80\x05pickled"[..]);
    set.query_async::<()>(&mut connection).await.unwrap();
    let error = client.result::<i64>("pickled").timeout(PATIENCE).await.unwrap_err();
    let ResultError::Failed { exception, .. } = error else { panic!("{error}") };
    assert_eq!(exception.kind, "UnreadableResult");

    // Python writes into JSON what JSON does not have.
    let odd = client.call::<Vec<f64>>("py.odd", &("nan",), &(), plain().queue("py")).await.unwrap();
    let error = odd.timeout(PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("NaN is no JSON number"), "{error}");

    let add = |args: &[i64]| Canvas::from(Signature::call("py.add", args).unwrap().queue("py"));
    let list = || Signature::new("py.list").queue("py");
    let both = chord([chain([add(&[1]), add(&[2])]), add(&[4])], list());
    let handle = client.apply::<Value>(both).await.unwrap();
    assert_eq!(handle.timeout(PATIENCE).await.unwrap(), json!([[3, 4]]));
    let fail = Signature::new("py.fail").queue("py");
    let handle = client.apply::<Value>(chord([add(&[1]), fail.into()], list())).await.unwrap();
    let ResultError::Failed { exception, .. } = handle.timeout(PATIENCE).await.unwrap_err() else {
        panic!("no error")
    };
    assert_eq!(exception.kind, "ChordError");
    fleets.stop().await;
}

/// A schedule of ours sends to Celery's worker.
async fn scheduled(fleets: &Fleets) {
    let app = &fleets.ours.app;
    let note = json!({"key": "schedule", "label": "ran"});
    app.schedule("note")
        .every(Duration::from_secs(1))
        .queue("py")
        .call("py.note", &(), &note)
        .unwrap();
    let stop = Shutdown::new();
    let running = app.scheduler().unwrap().run(stop.clone());
    let redis = redis::Client::open(fleets.redis.url()).unwrap();
    let ran = async {
        assert_eq!(first_of(&redis, "schedule").await, "ran[]");
        stop.drain();
    };
    let (ended, ()) = tokio::join!(running, ran);
    ended.unwrap();
}

/// What Celery makes up when we do not say it.
fn without_reprs(mut seen: Value) -> Value {
    seen["argsrepr"] = Value::Null;
    seen
}
