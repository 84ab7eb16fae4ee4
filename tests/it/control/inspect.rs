//! Questions, asked by Celery of its own worker and of ours.

use super::{OURS, Stage, THEIRS, shape, stop_python};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Asks both workers everything, while each has two tasks that run and one that waits.
const EVERYTHING: &str = r#"
nodes = ["rust@test", "python@test"]
for node in nodes:
    for n in range(3):
        app.send_task("t.slow", args=[30], kwargs={}, queue=queue_of(node), task_id=f"{node}-{n}")
i = app.control.inspect(destination=nodes, timeout=10)
both = i._request
while True:
    active, reserved = both("active"), both("reserved")
    if all(len(active[n]) == 2 and len(reserved[n]) == 1 for n in nodes):
        break
    time.sleep(0.1)
ids = [f"{node}-{n}" for node in nodes for n in range(3)] + ["none"]

def told(**options):
    replies = app.control.broadcast(reply=True, timeout=10, **options)
    return {node: answer for reply in replies for node, answer in reply.items()}

print(json.dumps({
    "ping": i.ping(), "clock": i.clock(), "active": active, "reserved": reserved,
    "safe": i.active(safe=True), "scheduled": i.scheduled(), "query_task": i.query_task(*ids),
    "registered": i.registered(), "items": i.registered("max_retries", "rate_limit"),
    "revoked": i.revoked(), "active_queues": i.active_queues(), "stats": i.stats(),
    # Celery's own has values that JSON cannot show.
    "conf": {"rust@test": i.conf(with_defaults=True)["rust@test"], "python@test": None},
    "set": {"rust@test": i.conf()["rust@test"], "python@test": None}, "report": i.report(),
    "memsample": i.memsample(), "hello": i.hello("other@host"), "old": both("hello",
        from_node="old@host", revoked={"from-old": 1.0}),
    "after": i.revoked(), "unknown": both("no_such_command"),
    "missing": told(command="revoke", destination=nodes),
    "glob": told(command="ping", pattern="rust*", matcher="glob", limit=1),
}))
"#;

#[tokio::test]
async fn our_worker_answers_in_the_shapes_of_celerys() {
    let Some(stage) = Stage::start().await else { return };
    let theirs = stage.with_python().await;
    let answers = stage.ask(EVERYTHING).await;
    let both =
        |question: &str| (answers[question][OURS].clone(), answers[question][THEIRS].clone());

    for question in ["ping", "clock", "scheduled", "report", "unknown", "missing", "hello"] {
        let (ours, theirs) = both(question);
        assert_eq!(shape(&ours), shape(&theirs), "{question}: {ours} {theirs}");
    }
    for question in ["ping", "unknown", "missing"] {
        assert_eq!(both(question).0, both(question).1);
    }
    let alone = json!({ OURS: { "ok": "pong" } });
    assert_eq!(answers["glob"], alone, "the pattern is not for Celery's worker");
    requests(both("active"), both("reserved"), both("safe"));
    query(both("query_task"));
    statistics(both("stats"));
    queues(both("active_queues"));
    configuration(&both("conf").0, &both("set").0);

    let (ours, registered) = both("registered");
    assert_eq!(ours, json!(["t.add [rate_limit=10/s]", "t.deaf", "t.slow"]));
    assert_eq!(registered[0], "t.add [rate_limit=600/m]");
    assert_eq!(both("items").0[1], "t.deaf [max_retries=3]");
    assert_eq!(both("revoked"), (json!([]), json!([])));
    assert_eq!(both("after").0, json!(["from-old"]), "what another worker tells is taken in");
    assert!(both("memsample").0.as_str().unwrap().ends_with("MB"));
    // What still runs sleeps for half a minute.
    stage.ours.shutdown.abort();
    stage.stop().await;
    stop_python(theirs).await;
}

fn requests(active: (Value, Value), reserved: (Value, Value), safe: (Value, Value)) {
    for (question, (ours, theirs)) in [("active", active), ("reserved", reserved), ("safe", safe)] {
        let (ours, theirs) = (ours[0].clone(), theirs[0].clone());
        // We acknowledge after the task has run, and tell who runs it once it runs.
        assert_eq!(shape(&ours), shape(&theirs), "{question}: {ours} {theirs}");
        for field in ["name", "type", "args", "kwargs"] {
            assert_eq!(ours[field], theirs[field], "{question}: {field}");
        }
        assert_eq!((&ours["hostname"], &theirs["hostname"]), (&json!(OURS), &json!(THEIRS)));
        assert_eq!(ours["delivery_info"]["routing_key"], "default");
    }
}

fn query((ours, theirs): (Value, Value)) {
    let states = |answer: &Value, node: &str| {
        let mut states: Vec<_> = (0..3)
            .map(|n| answer[format!("{node}-{n}")][0].as_str().unwrap_or("none").to_owned())
            .collect();
        states.sort();
        states
    };
    assert_eq!(states(&ours, OURS), ["active", "active", "reserved"]);
    assert_eq!(states(&ours, OURS), states(&theirs, THEIRS));
    assert_eq!(keys(&ours), (0..3).map(|n| format!("{OURS}-{n}")).collect());
}

fn statistics((ours, theirs): (Value, Value)) {
    assert_eq!(keys(&ours), keys(&theirs));
    for part in ["broker", "rusage", "clock", "uptime", "pid", "prefetch_count"] {
        assert_eq!(shape(&ours[part]), shape(&theirs[part]), "{part}: {ours}");
    }
    assert_eq!(ours["broker"]["virtual_host"], theirs["broker"]["virtual_host"]);
    assert_eq!(ours["total"], json!({ "t.slow": 2 }));
    assert_eq!(ours["pool"]["max-concurrency"], 2);
    assert_eq!(ours["pool"]["processes"], json!([ours["pid"]]));
}

fn queues((ours, theirs): (Value, Value)) {
    let (mut ours, theirs) = (ours[0].clone(), &theirs[0]);
    // Ours say besides that they obey pauses.
    assert_eq!(ours.as_object_mut().unwrap().remove("celeriac_pausable"), Some(json!(true)));
    assert_eq!(keys(&ours), keys(theirs));
    assert_eq!(shape(&ours["exchange"]), shape(&theirs["exchange"]));
    assert_eq!((&ours["name"], &ours["routing_key"]), (&json!("default"), &json!("default")));
    assert_eq!(ours["queue_arguments"]["x-dead-letter-exchange"], "celeriac.dead.in");
}

/// No credential is told, and everything else is.
fn configuration(whole: &Value, set: &Value) {
    let url = whole["broker_url"].as_str().unwrap();
    assert!(url.contains(":********@"), "{url}");
    assert!(!whole.to_string().contains("guest:guest"), "{whole}");
    assert_eq!(whole["worker.queues"], json!(["default"]));
    assert_eq!(whole["tasks.t.add.rate"], "10/s");
    assert_eq!(whole["worker.drain_timeout"], "30s");
    assert!(set.get("worker.drain_timeout").is_none(), "a default: {set}");
    assert_eq!(set["worker.concurrency"], 2);
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap_or_else(|| panic!("{value}")).keys().cloned().collect()
}
