//! Something done with each of many: what is asked for, once each, whatever dies.

use super::Shown;
use super::scene::Scene;
use crate::rig::{PATIENCE, Process, Rig, eventually};
use crate::topology::{consume, declared, envelope, settings};
use celeriac::archive::{Archive, Burial, Reason};
use celeriac::broker::{Broker, RawMessage};
use celeriac::clock::SystemClock;
use celeriac::topology::{QueueKind, names};
use futures::StreamExt;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;
use tempfile::TempDir;

pub(super) const OPERATIONS: &str = "/api/v1/operations";

/// An archive with letters in it.
pub(super) struct Shelf {
    pub(super) rig: Rig,
    pub(super) broker: Broker,
    archive: Archive,
    /// Where the monitor has its index.
    pub(super) folder: TempDir,
}

/// Bodies by the id of their task.
pub(super) type Bodies = BTreeMap<String, Vec<u8>>;

impl Shelf {
    pub(super) async fn set_up() -> Self {
        let (rig, folder) = (Rig::start().await, tempfile::tempdir().unwrap());
        let settings = settings(QueueKind::Quorum);
        let broker = declared(&rig, &settings).await;
        let archive = Archive::new(broker.clone(), settings.dead, Arc::new(SystemClock));
        Self { rig, broker, archive, folder }
    }

    pub(super) async fn monitor(&self) -> Shown {
        Box::pin(Shown::start(&self.rig, self.folder.path())).await
    }

    /// Gives up so many tasks, each with a body of its own.
    pub(super) async fn bury(&self, many: usize, queue: &str, error: &str) -> Bodies {
        let letters = (0..many).map(|number| async move {
            let mut envelope = envelope("mail.send", Vec::new());
            let body = format!("[[{number},\"\\u00fc\"], {{}},{{}}]").into_bytes();
            envelope.body = body.clone().into();
            envelope.properties.content_type = Some("application/json".to_owned());
            envelope.properties.content_encoding = Some("utf-8".to_owned());
            let id = envelope.headers.id.to_string();
            let message = RawMessage::try_new(names::TASKS, queue, &envelope).unwrap();
            let burial = Burial {
                reason: Reason::Exhausted,
                error: Some(error.to_owned()),
                at: SystemTime::now(),
                queue: queue.to_owned(),
                worker: "alpha@test".to_owned(),
            };
            self.archive.bury(message, &burial, PATIENCE).await.unwrap();
            (id, body)
        });
        futures::stream::iter(letters).buffer_unordered(64).collect().await
    }

    /// Takes so many messages out of a queue, and sees that there are no more.
    pub(super) async fn take(&self, queue: &str, many: usize) -> Bodies {
        let mut deliveries = consume(&self.broker, queue);
        let mut taken = Bodies::new();
        for _ in 0..many {
            let next = tokio::time::timeout(PATIENCE, deliveries.next()).await;
            let delivery = next.expect("there are more").unwrap();
            let envelope = delivery.envelope(&Default::default()).unwrap();
            let id = envelope.headers.id.to_string();
            assert_eq!(envelope.headers.task, "mail.send");
            assert!(taken.insert(id, envelope.body.to_vec()).is_none(), "one came twice");
            delivery.settle.ack();
        }
        deliveries.close().await;
        assert_eq!(self.rig.ready(queue).await, 0, "nothing more is out");
        taken
    }
}

/// Waits until so many letters are in the index.
pub(super) async fn shelved(monitor: &Shown, many: usize) {
    eventually("the letters are in the index", async || {
        monitor.get("/api/v1/dead?limit=1").await["open"] == many
    })
    .await;
}

pub(super) async fn begin(monitor: &Shown, plan: &Value) -> String {
    let (status, operation) = monitor.act(OPERATIONS, plan).await;
    assert_eq!(status, 202, "{operation}");
    operation["id"].as_str().unwrap().to_owned()
}

/// Waits until `holds` of the operation.
async fn until(monitor: &Shown, id: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let path = format!("{OPERATIONS}/{id}");
    eventually(what, async || holds(&monitor.get(&path).await)).await;
    monitor.get(&path).await
}

pub(super) async fn ended(monitor: &Shown, id: &str) -> Value {
    until(monitor, id, "the operation to end", |it| it["ended"].is_string()).await
}

#[tokio::test]
async fn two_thousand_letters_go_back_with_their_bytes_and_are_counted() {
    let shelf = Shelf::set_up().await;
    let sent = shelf.bury(2_000, "mail", "SMTPTimeout: timed out").await;
    shelf.bury(30, "mail", "KeyError: 'x'").await;
    shelf.bury(5, "gone", "SMTPTimeout: timed out").await;
    let monitor = shelf.monitor().await;
    shelved(&monitor, 2_035).await;

    let q = "error:\"timed out\"";
    let mut plan = json!({ "action": "requeue", "q": q, "rate": 1_000, "dry_run": true });
    let (status, dry) = monitor.act(OPERATIONS, &plan).await;
    assert_eq!((status, &dry["matched"], &dry["eligible"]), (200, &2_005.into(), &2_000.into()));
    let gone = json!([{ "reason": "there is no such queue any more", "count": 5 }]);
    assert_eq!((&dry["skipped"], &dry["sample"][0]["task"]), (&gone, &"mail.send".into()));
    assert_eq!(monitor.get("/api/v1/audit").await["items"], json!([]), "nothing was done");

    plan["dry_run"] = false.into();
    let id = begin(&monitor, &plan).await;
    shelf.bury(1, "mail", "SMTPTimeout: timed out").await;
    let operation = ended(&monitor, &id).await;
    let counts = ["matched", "done", "failed", "skipped"].map(|it| operation[it].as_i64());
    assert_eq!(counts, [2_005, 2_000, 5, 0].map(Some), "{operation}");
    assert_eq!((&operation["state"], &operation["by"]), (&"done".into(), &"local".into()));
    let errors = operation["errors"].as_array().unwrap();
    assert!(errors.iter().all(|it| it["outcome"] == "refused"), "{errors:?}");
    assert_eq!(shelf.take("mail", 2_000).await, sent);

    shelved(&monitor, 30 + 5 + 1).await;
    let again =
        monitor.act(OPERATIONS, &json!({ "action": "requeue", "q": "state:requeued" })).await;
    assert_eq!(again.0, 409, "{}", again.1);
    let acts = monitor.get("/api/v1/audit").await;
    let act = &acts["items"][0];
    assert_eq!((&act["action"], &act["id"]), (&"bulk requeue".into(), &id.as_str().into()));
    eventually("the audit to have the end", async || {
        monitor.get("/api/v1/audit").await["items"][0]["outcome"]["done"] == 2_000
    })
    .await;
    monitor.stop().await;

    // Another index has only what the streams say.
    let other = tempfile::tempdir().unwrap();
    let monitor = Box::pin(Shown::start(&shelf.rig, other.path())).await;
    let anew = until_there(&monitor, &id).await;
    for field in ["state", "matched", "done", "failed", "q", "by", "rate"] {
        assert_eq!(anew[field], operation[field], "{field}");
    }
    monitor.stop().await;
}

/// Waits until the monitor knows how the operation ended.
async fn until_there(monitor: &Shown, id: &str) -> Value {
    let path = format!("{OPERATIONS}/{id}");
    eventually("the operation to be known", async || {
        let answer = monitor.ask(&path).await;
        answer.status() == 200 && answer.json::<Value>().await.unwrap()["ended"].is_string()
    })
    .await;
    monitor.get(&path).await
}

#[tokio::test]
async fn what_is_cancelled_stops_and_the_rest_can_be_had_later() {
    let shelf = Shelf::set_up().await;
    let sent = shelf.bury(200, "mail", "E: e").await;
    let monitor = shelf.monitor().await;
    shelved(&monitor, 200).await;
    let plan = json!({ "action": "requeue", "source": "dead", "q": "queue:mail", "rate": 40 });
    let id = begin(&monitor, &plan).await;
    until(&monitor, &id, "some to be done", |it| it["done"].as_i64() > Some(5)).await;

    let turn =
        async |wish: &str| monitor.act(&format!("{OPERATIONS}/{id}/{wish}"), &json!({})).await;
    let (status, reply) = turn("pause").await;
    assert_eq!((status, &reply["status"]), (200, &"done".into()), "{reply}");
    let paused = until(&monitor, &id, "it is paused", |it| it["state"] == "paused").await;
    assert_eq!(turn("resume").await.0, 200);
    let more = paused["done"].as_i64().unwrap() + 5;
    until(&monitor, &id, "it goes on", |it| it["done"].as_i64() > Some(more)).await;
    assert_eq!(turn("cancel").await.0, 200);
    let operation = ended(&monitor, &id).await;
    assert_eq!((&operation["state"], turn("resume").await.0), (&"cancelled".into(), 409));
    let done = operation["done"].as_u64().unwrap() as usize;
    assert!((10..200).contains(&done), "{operation}");
    shelved(&monitor, 200 - done).await;

    let id = begin(&monitor, &json!({ "action": "requeue", "rate": 1_000 })).await;
    let operation = ended(&monitor, &id).await;
    assert_eq!(operation["done"], 200 - done);
    assert_eq!(shelf.take("mail", 200).await, sent);
    assert_eq!(monitor.act(&format!("{OPERATIONS}/none/cancel"), &json!({})).await.0, 404);
    monitor.stop().await;
}

const CONFIG: &str = "\
[broker]
url = \"{url}\"
[monitor]
listen = \"127.0.0.1:0\"
data_dir = \"index\"
";

/// A monitor in a process of its own.
pub(super) struct Alone {
    pub(super) process: Process,
    address: String,
    client: reqwest::Client,
}

impl Alone {
    async fn start(rig: &Rig) -> Self {
        Self::start_at(rig, &rig.url()).await
    }

    /// One that finds the broker there.
    pub(super) async fn start_at(rig: &Rig, url: &str) -> Self {
        let mut process = rig.celeriac(&["monitor"], &CONFIG.replace("{url}", url)).await;
        let line = process.until("http://127.0.0.1:").await;
        let at = line.find("http://").unwrap();
        let address = line[at..].split(['/', ' ']).nth(2).unwrap().to_owned();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { process, address: format!("http://{address}"), client }
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.address);
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.address)).header("x-celeriac", "1");
        request.json(body).send().await.unwrap().json().await.unwrap()
    }
}

#[tokio::test]
async fn a_monitor_that_is_killed_goes_on_and_no_letter_goes_twice() {
    let shelf = Shelf::set_up().await;
    let sent = shelf.bury(600, "mail", "E: e").await;
    let mut monitor = Alone::start(&shelf.rig).await;
    eventually("the letters are in the index", async || {
        monitor.get("/api/v1/dead?limit=1").await["open"] == 600
    })
    .await;
    let plan = json!({ "action": "requeue", "rate": 200 });
    let id = monitor.post(OPERATIONS, &plan).await["id"].as_str().unwrap().to_owned();
    let path = format!("{OPERATIONS}/{id}");
    for least in [50, 150, 300] {
        eventually("some to be done", async || {
            monitor.get(&path).await["done"].as_i64() > Some(least)
        })
        .await;
        monitor.process.kill().await;
        monitor = Alone::start(&shelf.rig).await;
    }
    eventually("the operation to end", async || monitor.get(&path).await["ended"].is_string())
        .await;

    let operation = monitor.get(&path).await;
    let number = |name: &str| operation[name].as_u64().unwrap() as usize;
    let (done, failed) = (number("done"), number("failed"));
    assert_eq!((done + failed, number("skipped")), (600, 0), "{operation}");
    assert!(failed <= 3 * 10, "ten are in hand at once: {operation}");
    let errors = operation["errors"].as_array().unwrap();
    assert!(errors.iter().all(|it| it["outcome"] == "no_answer"), "{errors:?}");
    // Of those in doubt some are out; none that is out was done twice, and each is named.
    let out = shelf.rig.ready("mail").await as usize;
    assert!((done..=done + failed).contains(&out), "{out} are out: {operation}");
    let taken = shelf.take("mail", out).await;
    assert!(taken.iter().all(|(id, body)| sent[id] == *body));
    let doubted: BTreeSet<_> = errors
        .iter()
        .map(|it| it["target"].as_str().unwrap().rsplit(' ').next().unwrap())
        .collect();
    let missing: Vec<_> = sent.keys().filter(|id| !taken.contains_key(*id)).collect();
    assert!(missing.iter().all(|id| doubted.contains(id.as_str())), "{missing:?} {doubted:?}");
}

#[tokio::test]
async fn tasks_that_wait_are_revoked_and_those_that_failed_run_again() {
    let scene = Box::pin(Scene::start()).await;
    let monitor = &scene.monitor;
    let (mut running, mut waiting) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        running.push(scene.run("shop.wait", &(), "STARTED").await);
    }
    for _ in 0..6 {
        waiting.push(scene.send("shop.wait", &()).await);
    }
    let mut plan = json!({ "action": "revoke", "q": "name:shop.wait", "dry_run": true });
    eventually("ten to be known, of which six have not begun", async || {
        let (_, dry) = monitor.act(OPERATIONS, &plan).await;
        (&dry["matched"], &dry["eligible"]) == (&10.into(), &6.into())
    })
    .await;
    plan["dry_run"] = false.into();
    let operation = ended(monitor, &begin(monitor, &plan).await).await;
    assert_eq!((&operation["done"], &operation["failed"]), (&6.into(), &0.into()), "{operation}");
    scene.gate.add_permits(1_000);
    for (ids, state) in [(&running, "SUCCESS"), (&waiting, "REVOKED")] {
        for id in ids {
            monitor.until(id, state).await;
        }
    }

    let mut failed = Vec::new();
    for _ in 0..3 {
        failed.push(scene.run("shop.fail", &(), "FAILURE").await);
    }
    shelved(monitor, 3).await;
    let plan = json!({ "action": "retry", "q": "name:shop.fail state:failure" });
    let operation = ended(monitor, &begin(monitor, &plan).await).await;
    assert_eq!((&operation["done"], &operation["failed"]), (&3.into(), &0.into()), "{operation}");
    for id in &failed {
        eventually("it has been tried twice again", async || {
            let task = monitor.get(&format!("/api/v1/tasks/{id}")).await;
            task["attempts"].as_array().is_some_and(|tries| tries.len() == 4)
        })
        .await;
    }
    scene.stop().await;
}

#[tokio::test]
async fn letters_are_discarded_and_what_is_asked_wrongly_is_not_begun() {
    let shelf = Shelf::set_up().await;
    shelf.bury(3, "mail", "E: e").await;
    let monitor = shelf.monitor().await;
    shelved(&monitor, 3).await;
    for (plan, field) in [
        (json!({ "action": "requeue", "q": "quue:mail" }), "q"),
        (json!({ "action": "revoke", "q": "run:>5" }), "q"),
        (json!({ "action": "requeue", "rate": 0 }), "rate"),
        (json!({ "action": "discard", "to": "mail" }), "to"),
        (json!({ "action": "revoke", "source": "dead" }), "source"),
    ] {
        let (status, problem) = monitor.act(OPERATIONS, &plan).await;
        assert_eq!((status, &problem["field"]), (400, &field.into()), "{plan}: {problem}");
    }
    let id = begin(&monitor, &json!({ "action": "discard", "q": "queue:mail" })).await;
    let operation = ended(&monitor, &id).await;
    assert_eq!((&operation["done"], &operation["state"]), (&3.into(), &"done".into()));
    eventually("the letters to be discarded", async || {
        monitor.get("/api/v1/dead/states").await == json!({ "discarded": 3 })
    })
    .await;
    assert_eq!(shelf.rig.ready("mail").await, 0);
    let list = monitor.get(OPERATIONS).await;
    assert_eq!(list["items"][0]["id"], id.as_str());
    monitor.stop().await;
}

/// What a browser sends with a form of ours when it runs no script.
pub(super) async fn submit(
    monitor: &Shown,
    path: &str,
    form: &[(&str, &str)],
) -> reqwest::Response {
    filled(monitor, path, form).header("sec-fetch-site", "same-origin").send().await.unwrap()
}

fn filled(monitor: &Shown, path: &str, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let url = reqwest::Url::parse_with_params("http://form", form).unwrap();
    let request = client.build().unwrap().post(monitor.url(path));
    request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(url.query().unwrap().to_owned())
}

#[tokio::test]
async fn forms_do_it_without_a_script_and_many_must_be_meant() {
    let shelf = Shelf::set_up().await;
    shelf.bury(101, "mail", "SMTPTimeout: timed out").await;
    let monitor = shelf.monitor().await;
    shelved(&monitor, 101).await;
    let page = async |path: &str| monitor.ask(path).await.text().await.unwrap();
    let list = page("/dead?q=queue:mail").await;
    assert!(list.contains("action=\"/ops/new\"") && list.contains("Requeue all 101…"), "{list}");
    let dry = page("/ops/new?action=requeue&q=queue:mail&rate=500&to=").await;
    assert!(dry.contains("Type 101 to say") && dry.contains("goes back to the queue"), "{dry}");
    let wrong = page("/ops/new?action=requeue&q=quue:mail").await;
    assert!(wrong.contains("did you mean `queue`?"), "{wrong}");

    let mut form = vec![("action", "requeue"), ("q", "queue:mail"), ("rate", "500"), ("to", "")];
    let untyped = submit(&monitor, "/ops", &form).await;
    assert_eq!(untyped.status(), 200);
    assert!(untyped.text().await.unwrap().contains("It is about 101 now, and nothing was typed."));
    assert_eq!(monitor.get(OPERATIONS).await["items"], json!([]));
    let unsaid = filled(&monitor, "/ops", &form).send().await.unwrap();
    assert_eq!(unsaid.status(), 403, "nothing says that it comes from our page");
    form.push(("typed", "101"));
    let begun = submit(&monitor, "/ops", &form).await;
    assert_eq!(begun.status(), 303);
    let place = begun.headers()["location"].to_str().unwrap().to_owned();
    let id = place.rsplit('/').next().unwrap().to_owned();
    ended(&monitor, &id).await;
    let one = page(&place).await;
    assert!(one.contains("Requeue 101 dead letters") && one.contains(">DONE<"), "{one}");
    assert!(!one.contains("name=\"wish\""), "what has ended is over: {one}");
    assert!(page("/ops").await.contains(&place));
    assert_eq!(shelf.take("mail", 101).await.len(), 101);
    assert_eq!(submit(&monitor, &place, &[("wish", "cancel")]).await.status(), 303);
    assert_eq!(monitor.ask("/ops/none").await.status(), 404);

    let ops = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_celeriac"));
        command.arg("ops").args(arguments).env("CELERIAC_MONITOR_URL", monitor.address());
        let ended = command.output().await.unwrap();
        (ended.status.code().unwrap(), String::from_utf8(ended.stdout).unwrap())
    };
    let (code, list) = ops(&["-o", "id"]).await;
    assert_eq!((code, list.trim()), (0, id.as_str()));
    let (code, shown) = ops(&["show", &id]).await;
    assert!(code == 0 && shown.contains("done       101 of 101"), "{shown}");
    assert_eq!(ops(&["cancel", &id]).await.0, 65, "it has ended");
    assert_eq!(ops(&["show", "none"]).await.0, 4);
    monitor.stop().await;
}
