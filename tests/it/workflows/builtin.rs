//! The tasks that Celery's producers take for granted.

use super::math;
use celeriac::app::App;
use celeriac::client::ResultError;
use celeriac::config::Config;
use celeriac::ids::TaskId;
use celeriac::protocol::{Signature, Value};
use celeriac::publisher::SendOptions;
use celeriac::results::Backend;
use celeriac::testing::TestWorker;
use celeriac::topology::QueueKind;
use serde_json::json;

use crate::rig::{PATIENCE, Rig, Running, config, eventually};

#[tokio::test]
async fn each_does_what_celerys_does() {
    let app = App::in_memory();
    let worker = TestWorker::new(&app).registry(math());
    let add = json!({"task": "math.add", "args": [], "kwargs": {}, "options": {}});
    let unknown = json!({"task": "nobody.knows"});
    let cases = [
        ("celery.accumulate", json!([1, 2]), json!({}), Ok(json!([1, 2]))),
        ("celery.accumulate", json!([1, 2]), json!({"index": 1}), Ok(json!(2))),
        ("celery.accumulate", json!([1]), json!({"index": 1}), Err("ArgumentError")),
        ("celery.map", json!([]), json!({"task": add, "it": [1, 2]}), Ok(json!([1, 2]))),
        ("celery.starmap", json!([]), json!({"task": add, "it": [[1, 2]]}), Ok(json!([3]))),
        ("celery.map", json!([]), json!({"task": unknown, "it": [1]}), Err("NotRegistered")),
        ("celery.map", json!([]), json!({"task": add, "it": ["x"]}), Err("ArgumentError")),
        (
            "celery.chunks",
            json!([]),
            json!({"task": add, "it": [[1, 1], [2, 2], [3, 3]], "n": 2}),
            Ok(json!([[2, 4], [6]])),
        ),
        ("celery.group", json!([]), json!({"tasks": [add, add]}), Ok(json!([0, 0]))),
        ("celery.chord", json!([]), json!({"header": [add, add]}), Err("ArgumentError")),
        ("celery.chain", json!([]), json!({"tasks": [add]}), Err("NotImplementedError")),
        ("celery.backend_cleanup", json!([]), json!({}), Ok(json!(0))),
    ];
    for (task, args, kwargs, expected) in cases {
        let options = SendOptions::default().max_retries(0);
        let call = app.client().call(task, &args, &kwargs, options).await.unwrap();
        worker.drain().await;
        let ended: Result<serde_json::Value, _> = call.result().await;
        let ended = ended.map_err(|error| match error {
            ResultError::Failed { exception, .. } => exception.kind.clone(),
            other => panic!("{task}: {other}"),
        });
        assert_eq!(ended, expected.map_err(str::to_owned), "{task} {kwargs}");
    }
    worker.stop().await;
}

/// As a Celery producer with an SQL backend sends a chord.
#[tokio::test]
async fn chord_unlock_waits_for_the_members_and_sends_or_fails_the_body() {
    let rig = Rig::start().await;
    let mut config: Config = config(&rig.url(), QueueKind::Quorum);
    config.results.backend = Backend::Sqlite;
    let file = rig.folder().join("results.db");
    config.results.url = format!("sqlite:{}", file.display()).as_str().into();
    let running = Running::with(config, math()).await;
    let client = running.app.client();
    let unlock = async |members: &[&str], body: &str| {
        let tuples: Vec<_> = members.iter().map(|id| json!([[id, null], null])).collect();
        let kwargs = json!({"result": tuples, "interval": 0.1});
        let body = Signature::new("math.sum").option("task_id", body);
        let args = (Value::from("a-group"), body);
        client.send("celery.chord_unlock", &args, &kwargs, SendOptions::default()).await.unwrap();
    };
    unlock(&["one", "two"], "sum").await;
    let member = async |id: &str, task: &str, args: &[i64]| {
        let options = SendOptions::default().id(id).max_retries(0);
        client.call::<i64>(task, &args, &(), options).await.unwrap();
    };
    member("one", "math.add", &[1]).await;
    let known = async |id: &str| {
        let latest = client.results().latest(&TaskId::from(id)).await.unwrap();
        latest.is_some_and(|document| document.state.is_ready())
    };
    eventually("the first member", async || known("one").await).await;
    assert!(!known("sum").await, "the other member is missing");
    member("two", "math.add", &[2]).await;
    assert_eq!(client.result::<i64>("sum").timeout(PATIENCE).await.unwrap(), 3);

    member("bad", "math.fail", &[]).await;
    unlock(&["one", "bad"], "failed").await;
    let failed = client.result::<i64>("failed").timeout(PATIENCE).await.unwrap_err();
    let ResultError::Failed { exception, .. } = failed else { panic!("{failed}") };
    assert_eq!(exception.kind, "ChordError");
    assert!(exception.text().contains("Dependency bad raised ValueError"), "{}", exception.text());
    running.stop().await;
}
