//! The programs themselves: `celery` asks our worker, `celeriac` asks both.

use super::{OURS, Stage, THEIRS, stop_python};
use crate::rig::Signal;
use serde_json::{Value, json};

fn parse(output: &str) -> Value {
    let line = output.lines().find(|line| line.starts_with(['[', '{']));
    serde_json::from_str(line.unwrap_or_else(|| panic!("{output}"))).unwrap()
}

#[tokio::test]
async fn celerys_program_prints_our_worker_like_its_own() {
    let Some(stage) = Stage::start().await else { return };
    let (code, printed) = stage.celery(&["status"]).await;
    assert!(code == 0 && printed.contains("rust@test: OK"), "{printed}");
    assert!(printed.contains("1 node online."), "{printed}");
    for (question, expected) in [
        (&["inspect", "ping"][..], "pong"),
        (&["inspect", "registered"], "* t.add [rate_limit=10/s]"),
        (&["inspect", "active_queues"], "* {'name': 'default', 'exchange': {"),
        (&["inspect", "stats"], "\"max-concurrency\": 2"),
        (&["inspect", "report"], "celeriac:"),
        (&["inspect", "scheduled"], "- empty -"),
        (&["control", "rate_limit", "t.add", "5/s"], "new rate limit set successfully"),
        (&["control", "time_limit", "t.add", "5", "7"], "time limits set successfully"),
        (&["control", "pool_grow", "2"], "pool will grow"),
        (&["control", "revoke", "a", "b"], "tasks {'a', 'b'} flagged as revoked"),
        (&["control", "rate_limit", "none", "5/s"], "unknown task"),
    ] {
        let (code, printed) = stage.celery(question).await;
        assert!(code == 0 && printed.contains(expected), "{question:?}: {code} {printed}");
    }
    let (code, printed) = stage.celery(&["inspect", "conf", "-j"]).await;
    assert_eq!(code, 0);
    assert_eq!(parse(&printed)[OURS]["worker_concurrency"], 4);
    stage.stop().await;
}

#[tokio::test]
async fn our_program_asks_both_fleets_and_says_who_is_silent() {
    let Some(stage) = Stage::start().await else { return };
    let theirs = stage.with_python().await;
    let (code, printed) = stage.celeriac(&["inspect", "ping", "-o", "json"]).await;
    let pong =
        |worker: &str| json!({ "worker": worker, "state": "answered", "answer": { "ok": "pong" } });
    assert_eq!((code, parse(&printed)), (0, json!([pong(THEIRS), pong(OURS)])));
    let (code, printed) = stage.celeriac(&["workers"]).await;
    assert!(code == 0 && printed.contains("rust@test    up     celeriac  0/2"), "{printed}");
    assert!(printed.contains("python@test  up     thread    0/2"), "{printed}");
    let (code, printed) = stage.celeriac(&["inspect", "registered"]).await;
    assert!(code == 0 && printed.contains("t.add [rate_limit=600/m]"), "{printed}");
    assert!(printed.contains("t.add [rate_limit=10/s]"), "{printed}");
    let (code, printed) = stage.celeriac(&["control", "rate_limit", "t.slow", "10/m"]).await;
    assert!(code == 0 && printed.matches("new rate limit set").count() == 2, "{printed}");
    let (code, printed) = stage.celeriac(&["control", "rate_limit", "t.deaf", "10/m"]).await;
    assert!(code == 3 && printed.contains("refused: unknown task"), "{code} {printed}");
    let (code, printed) = stage.celeriac(&["inspect", "ping", "-d", "nobody@here"]).await;
    assert!(code == 4 && printed.contains("is not there"), "{code} {printed}");
    let (code, _) = stage.celeriac(&["control", "rate_limit", "t.add"]).await;
    assert_eq!(code, 2);

    theirs.signal(Signal::STOP);
    let named = format!("{OURS},{THEIRS}");
    let asked = ["inspect", "ping", "-d", &named, "--timeout", "1s"];
    let (code, printed) = stage.celeriac(&asked).await;
    assert!(code == 3 && printed.contains("did not answer within 1s"), "{code} {printed}");
    let (code, printed) =
        stage.celeriac(&["inspect", "ping", "-d", THEIRS, "--timeout", "1s"]).await;
    assert!(code == 75 && printed.contains("no worker answered"), "{code} {printed}");
    theirs.signal(Signal::CONT);

    let (code, printed) = stage.celeriac(&["control", "shutdown", "-d", OURS]).await;
    assert!(code == 0 && printed.contains("shutting down"), "{code} {printed}");
    stop_python(theirs).await;
    let (code, printed) = stage.celeriac(&["inspect", "ping"]).await;
    assert!(code == 4 && printed.contains("there is no worker"), "{code} {printed}");
}

/// What a task's revocation is worth in a fleet of both.
#[tokio::test]
async fn a_revocation_reaches_celerys_workers_and_says_what_cannot_be_stopped() {
    let Some(stage) = Stage::start().await else { return };
    let theirs = stage.with_python().await;
    let (code, printed) = stage.celeriac(&["revoke", "early"]).await;
    assert!(code == 0 && printed.contains("revoked early"), "{code} {printed}");
    let deaf = stage.ours.call::<()>("t.deaf", &(4.0,)).await;
    let running = async || {
        let (_, printed) = stage.celeriac(&["inspect", "active", "-d", OURS]).await;
        printed.contains(deaf.id().as_str())
    };
    crate::rig::eventually("the task to run", running).await;
    let (code, printed) = stage.celeriac(&["revoke", "--terminate", deaf.id().as_str()]).await;
    assert!(code == 3 && printed.contains("blocking function cannot be stopped"), "{printed}");
    let (_, printed) = stage.celeriac(&["inspect", "revoked", "-o", "json"]).await;
    for answer in parse(&printed).as_array().unwrap() {
        assert_eq!(answer["answer"], json!(["early", deaf.id().as_str()]), "{answer}");
    }
    stage.stop().await;
    stop_python(theirs).await;
}
