//! Every option of Celery's `apply_async` into our worker, and everything that `AsyncResult` says
//! of it, through Redis and through RabbitMQ: as with Celery's own worker.

use serde_json::Value;

use super::fleet::{Fleets, Queues, Rows, rows};

const CALLS: &str = include_str!("calls.py");
const RPC: &str = "rpc";

#[tokio::test]
async fn every_option_and_every_answer_is_as_with_celerys_own_worker() {
    let Some(fleets) = Fleets::start().await else { return };
    let over_rpc = fleets.over_rpc(RPC).await;
    let python = |name, queues| fleets.python(CALLS, &[name], queues);
    let mut theirs = python("theirs", Queues::THEIRS);
    let mut ours = python("ours", Queues::OURS);
    let mut rpc = python("through-rabbitmq", Queues::over_rpc(RPC));
    let (theirs, ours, rpc) = tokio::join!(rows(&mut theirs), rows(&mut ours), rows(&mut rpc));
    assert!(theirs.len() > 40, "{theirs:#?}");
    let mut wrong = differences("redis", &theirs, &ours);
    wrong.extend(differences("rpc", &theirs, &rpc));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    over_rpc.stop().await;
    fleets.stop().await;
}

/// What we say otherwise, and why.
///
/// - `unknown`: our result names the worker and what it was asked, Celery's does not, and the
///   traceback says who did not know the task.
/// - `time limit`: our error says it in words, Celery's has the number of seconds.
/// - `stages`: over rpc Celery's client loses states that it looks for again and again.
/// - `nobody to answer`: over rpc a task without an address for its result has none.
fn is_known(by: &str, name: &str, key: &str) -> bool {
    match (name, key) {
        ("unknown", "worker" | "extended" | "traceback") | ("time limit", "error") => true,
        ("nobody to answer" | "stages", _) => by == "rpc",
        // Celery sends callbacks with the worker's own address: nobody hears of them over rpc.
        (_, "children") => by == "rpc",
        _ => false,
    }
}

fn differences(by: &str, expected: &Rows, found: &Rows) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, expected) in expected {
        for (key, expected) in expected.as_object().unwrap() {
            let found = found.get(name).map_or(&Value::Null, |row| &row[key]);
            if found != expected && !is_known(by, name, key) {
                wrong.push(format!("{name}, {by}: {key} is\n   {found}, not\n   {expected}"));
            }
        }
    }
    wrong
}
