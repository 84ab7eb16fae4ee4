//! Orders, given by Celery's own control to our worker: what it answers, and what it then does.

use super::{OURS, Stage};
use celeriac::topology::QueueKind;
use serde_json::{Value, json};

/// Gives an order to our worker and gives its answer.
const TELL: &str = r#"
def tell(method, **arguments):
    replies = app.control.broadcast(method, arguments=arguments, reply=True, timeout=10,
        destination=["rust@test"])
    return replies[0]["rust@test"]

i = app.control.inspect(destination=["rust@test"], timeout=10)

def ask(method, **arguments):
    return i._request(method, **arguments)["rust@test"]

def until(condition):
    while not condition():
        time.sleep(0.05)

def ended(result):
    try:
        result.get(timeout=50)
    except Exception as error:
        return [result.state, type(error).__name__]
    return [result.state, None]
"#;

impl Stage {
    /// Runs a program that tells our worker something.
    async fn tell(&self, program: &str) -> Value {
        self.ask(&format!("{TELL}\n{program}")).await
    }
}

#[tokio::test]
async fn slots_and_limits_change_while_tasks_run() {
    let Some(stage) = Stage::start().await else { return };
    let told = stage
        .tell(
            r#"
slow = [ours("t.slow", 30) for n in range(5)]
until(lambda: len(ask("active")) == 2)
grown = tell("pool_grow", n=2)
until(lambda: len(ask("active")) == 4)
size = ask("stats")["pool"]["max-concurrency"], ask("conf")["worker_concurrency"]
less = tell("pool_shrink", n=3)
few = tell("pool_shrink", n=3)
gone = tell("terminate", signal="TERM", task_id=[it.id for it in slow])
ends = [ended(it) for it in slow]
until(lambda: ask("active") == [])
limits = [
    tell("rate_limit", task_name="t.add", rate_limit="0"),
    tell("rate_limit", task_name="t.add", rate_limit="abc"),
    tell("rate_limit", task_name="none", rate_limit="1/s"),
    tell("rate_limit", task_name="t.add", rate_limit="100/m"),
    tell("time_limit", task_name="none", soft=1, hard=1),
    tell("time_limit", task_name="t.slow", soft=None, hard=0.2),
]
registered = ask("registered", taskinfoitems=["rate_limit", "time_limit"])
late = ended(ours("t.slow", 30))
scaled = tell("autoscale", max=6, min=2), ask("stats")["autoscaler"], tell("pool_grow", n=1)
tell("time_limit", task_name="t.slow", soft=None, hard=None)
more = [ours("t.slow", 30) for n in range(8)]
until(lambda: len(ask("active")) == 6)
busy = ask("stats")["autoscaler"]
tell("terminate", signal="TERM", task_id=[it.id for it in more])
print(json.dumps([grown, size, less, few, gone, ends, limits, registered, late, scaled, busy]))
"#,
        )
        .await;
    let [grown, size, less, few, gone, ends, limits, registered, late, scaled, busy] =
        <[Value; 11]>::try_from(told.as_array().unwrap().clone()).unwrap();
    assert_eq!((grown, size), (json!({ "ok": "pool will grow" }), json!([4, 4])));
    assert_eq!(less, json!({ "ok": "pool will shrink" }));
    assert!(few["error"].as_str().unwrap().contains("at least 1"), "{few}");
    assert_eq!(gone["ok"].as_str().unwrap().split(", ").count(), 4, "four ran: {gone}");
    assert_eq!(ends, json!(vec![json!(["REVOKED", "TaskRevokedError"]); 5]));
    assert_eq!(limits[0], json!({ "ok": "rate limit disabled successfully" }));
    assert!(limits[1]["error"].as_str().unwrap().starts_with("Invalid rate limit string: "));
    assert_eq!(limits[2], json!({ "error": "unknown task" }));
    assert_eq!(limits[3], json!({ "ok": "new rate limit set successfully" }));
    assert_eq!(limits[4], json!({ "error": "unknown task" }));
    assert_eq!(limits[5], json!({ "ok": "time limits set successfully" }));
    assert_eq!(registered[0], "t.add [rate_limit=100/m]");
    assert_eq!(registered[2], "t.slow [time_limit=0.2]");
    assert_eq!(late, json!(["FAILURE", "TimeLimitExceeded"]));
    assert_eq!(scaled[0], json!({ "ok": "autoscale now max=6 min=2" }));
    assert_eq!(scaled[1], json!({ "max": 6, "min": 2, "current": 2, "qty": 0 }));
    assert!(scaled[2]["error"].as_str().unwrap().contains("not supported with autoscale"));
    assert_eq!((&busy["current"], &busy["min"]), (&json!(6), &json!(2)), "{busy}");
    assert!(busy["qty"].as_u64().unwrap() >= 6, "{busy}");
    stage.stop().await;
}

#[tokio::test]
async fn a_queue_is_consumed_and_left_while_the_worker_runs() {
    let Some(stage) = Stage::start().await else { return };
    let told = stage
        .tell(
            r#"
def queues():
    return [queue["name"] for queue in ask("active_queues")]

added = tell("add_consumer", queue="extra", exchange="parcels", exchange_type="topic", routing_key="by.air")
again = tell("add_consumer", queue="extra")
with app.connection_for_write() as connection:
    from kombu import Exchange
    parcels = Exchange("parcels", type="topic", durable=True)
    sum = app.send_task("t.add", args=[1, 2], exchange=parcels, routing_key="by.air").get(timeout=50)
shown = ask("active_queues")[-1]
both = queues()
left = tell("cancel_consumer", queue="extra")
only = queues()
none = tell("cancel_consumer", queue="default"), queues()
back = tell("add_consumer", queue="default"), queues()
sums = ours("t.add", 3, 4).get(timeout=50)
wrong = [tell("add_consumer", queue=""), tell("add_consumer", queue="x", exchange="celeriac", exchange_type="fanout")]
print(json.dumps([added, again, sum, shown, both, left, only, none, back, sums, wrong]))
"#,
        )
        .await;
    let ok = |text: &str| json!({ "ok": text });
    assert_eq!(told[0], ok("add consumer extra"));
    assert_eq!(told[1], ok("add consumer extra"));
    assert_eq!(told[2], 3);
    assert_eq!(told[3]["exchange"]["name"], "parcels");
    assert_eq!(told[3]["routing_key"], "by.air");
    assert_eq!(told[4], json!(["default", "extra"]));
    assert_eq!(told[5], ok("no longer consuming from extra"));
    assert_eq!(told[6], json!(["default"]));
    assert_eq!(told[7], json!([ok("no longer consuming from default"), []]));
    assert_eq!(told[8], json!([ok("add consumer default"), ["default"]]));
    assert_eq!(told[9], 7, "the worker stayed although it had no queue");
    assert!(told[10][0]["error"].is_string() && told[10][1]["error"].is_string(), "{}", told[10]);
    assert_eq!(stage.rig.consumers("extra").await, Some(0));
    stage.stop().await;
}

#[tokio::test]
async fn a_revocation_from_elsewhere_outlives_the_worker() {
    let Some(mut stage) = Stage::start().await else { return };
    let told = stage
        .tell(
            r#"
revoked = tell("revoke", task_id="never")
stamped = tell("revoke_by_stamped_headers", headers={"customer": ["acme", "b"]})
ends = [
    ended(ours("t.add", 1, 2, task_id="never")),
    ended(ours("t.add", 1, 2, stamped_headers=["customer"], customer="acme")),
    ended(ours("t.add", 1, 2, stamped_headers=["customer"], customer="other")),
]
print(json.dumps([revoked, stamped, ends, ask("revoked")]))
"#,
        )
        .await;
    assert_eq!(told[0], json!({ "ok": "tasks {'never'} flagged as revoked" }));
    let flagged = "headers {'customer': ['acme', 'b']} flagged as revoked, but not terminated";
    assert_eq!(told[1], json!({ "ok": flagged }));
    let refused = json!(["REVOKED", "TaskRevokedError"]);
    assert_eq!(told[2], json!([refused, refused, ["SUCCESS", null]]));
    assert_eq!(told[3], json!(["never"]));

    stage.ours.shutdown.drain();
    stage.ours.ended().await.unwrap();
    stage.ours = super::start(&stage.rig, QueueKind::Classic).await;
    stage.until_it_answers().await;
    let again = stage
        .tell(
            r#"
print(json.dumps([ask("revoked"), ended(ours("t.add", 1, 2, stamped_headers=["customer"], customer="b"))]))
"#,
        )
        .await;
    assert_eq!(again, json!([["never"], refused]));
    stage.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_in_plain_words() {
    let Some(stage) = Stage::start().await else { return };
    let told = stage
        .tell(
            r#"
deaf = ours("t.deaf", 3)
until(lambda: len(ask("active")) == 1)
refused = {
    "deaf": tell("revoke", task_id=deaf.id, terminate=True, signal="SIGKILL"),
    "signal": tell("revoke", task_id="a", terminate=True, signal="SIGUSR1"),
    "restart": tell("pool_restart"),
    "n": tell("pool_grow", n="many"),
    "queue": tell("add_consumer"),
    "pcre": app.control.broadcast("ping", reply=True, timeout=10, limit=1, pattern="r.*", matcher="pcre")[0]["rust@test"],
}
unknown = tell("terminate", signal="KILL", task_id=["none"])
events = [tell("enable_events"), tell("enable_events"), tell("disable_events"), tell("disable_events")]
print(json.dumps([refused, unknown, events, tell("heartbeat"), ended(deaf)]))
"#,
        )
        .await;
    let refused = |what: &str| told[0][what]["error"].as_str().unwrap_or_default().to_owned();
    assert!(refused("deaf").contains("blocking function cannot be stopped"), "{told}");
    assert!(refused("signal").contains("\"SIGUSR1\" is not supported"), "{told}");
    assert_eq!(refused("restart"), "ValueError('Pool restarts not enabled')");
    assert!(refused("n").contains("a whole number"), "{told}");
    let missing = "TypeError(\"add_consumer() missing 1 required positional argument: 'queue'\")";
    assert_eq!(refused("queue"), missing);
    assert!(refused("pcre").contains("use the matcher `glob`"), "{told}");
    assert_eq!(told[1], json!({ "ok": "terminate: tasks unknown" }));
    let said = |text: &str| json!({ "ok": format!("task events {text}") });
    let events = ["enabled", "already enabled", "disabled", "already disabled"].map(said);
    assert_eq!(told[2], json!(events));
    assert_eq!(told[3], Value::Null);
    assert_eq!(told[4], json!(["REVOKED", "TaskRevokedError"]), "its value is thrown away");
    stage.stop().await;
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_finishes_what_runs() {
    let Some(mut stage) = Stage::start().await else { return };
    let told = stage
        .tell(
            r#"
slow = ours("t.slow", 1)
until(lambda: len(ask("active")) == 1)
print(json.dumps([tell("shutdown"), ended(slow)]))
"#,
        )
        .await;
    assert_eq!(told, json!([{ "ok": "shutting down" }, ["SUCCESS", null]]));
    stage.ours.ended().await.unwrap();
    let queue = format!("{OURS}.celery.pidbox");
    crate::rig::eventually("its queue to go", async || stage.rig.queue(&queue).await.is_none())
        .await;
}

#[tokio::test]
async fn a_worker_that_drains_still_answers_and_stops_what_it_is_told_to() {
    let Some(mut stage) = Stage::start().await else { return };
    let told = stage
        .tell(
            r#"
slow = ours("t.slow", 40)
until(lambda: len(ask("active")) == 1)
tell("shutdown")
print(json.dumps([len(ask("active")), tell("terminate", signal="TERM", task_id=slow.id) == {"ok": f"terminate: {slow.id}"}, ended(slow)]))
"#,
        )
        .await;
    assert_eq!(told, json!([1, true, ["REVOKED", "TaskRevokedError"]]));
    stage.ours.ended().await.unwrap();
}
