//! What the pages say, without a browser.

use super::Shown;
use super::scene::{HOSTILE, Scene};
use crate::rig::{Rig, eventually};
use celeriac::canvas::group;
use celeriac::config::Config;
use celeriac::protocol::Signature;
use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

#[tokio::test]
async fn every_page_has_what_happened() {
    let scene = Scene::start().await;
    let good = scene.run("shop.add", &(1, 2), "SUCCESS").await;
    let bad = scene.run("shop.fail", &("x",), "FAILURE").await;
    let worker = scene.monitor.get("/api/v1/workers").await[0]["name"].as_str().unwrap().to_owned();
    eventually("the queue to be looked at", async || {
        scene.page("/queues").await.contains("consumed")
    })
    .await;
    eventually("the letter to be in the archive", async || {
        scene.page("/dead").await.contains("exhausted")
    })
    .await;

    let list = scene.page("/tasks").await;
    let places = [&good, &bad].map(|id| list.find(&format!("data-id=\"{id}\"")).unwrap());
    assert!(places[1] < places[0], "the newest first");
    for (path, texts) in [
        ("/", vec!["shop.add", "CardDeclined", "default", worker.as_str(), "<svg"]),
        ("/tasks", vec!["2 tasks of 2", "CardDeclined(&#39;order 42: code 51&#39;)", "(1, 2)"]),
        (&format!("/tasks/{bad}"), vec!["after 2 attempts", "Traceback", "#2", "#1", "Same error"]),
        (&format!("/tasks/{good}"), vec!["<pre class=\"value\" tabindex=\"0\">3</pre>", "(1, 2)"]),
        ("/failures", vec!["CardDeclined", "shop.fail", "1 kind of failure"]),
        ("/queues", vec!["default", "consumed"]),
        ("/queues/default", vec![worker.as_str(), "Wait, p95"]),
        ("/workers", vec![worker.as_str(), "1 up, 0 lost, 0 offline", "celeriac"]),
        (&format!("/workers/{worker}"), vec!["shop.add", "shop.fail", "Begun since start"]),
        ("/dead", vec!["shop.fail", "1 letter · 1 open of 1 kept", "exhausted"]),
        ("/dead/0", vec![bad.as_str(), "order 42: code 51", "shop.fail"]),
        ("/about", vec![env!("CARGO_PKG_VERSION"), "Being read", "yes"]),
    ] {
        let page = scene.page(path).await;
        for text in texts {
            assert!(page.contains(text), "{path} has no {text}: {page}");
        }
        assert_eq!(page.matches("<h1").count(), 1, "{path}");
        assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    }
    scene.stop().await;
}

#[tokio::test]
async fn nothing_that_is_shown_becomes_markup() {
    let scene = Scene::start().await;
    let id = scene.run(HOSTILE, &(HOSTILE,), "FAILURE").await;
    eventually("the letter", async || scene.page("/dead").await.contains("Hostile")).await;
    let worker = scene.monitor.get("/api/v1/workers").await[0]["name"].as_str().unwrap().to_owned();
    let pages = [
        "/".to_owned(),
        "/tasks".to_owned(),
        format!("/tasks/{id}"),
        "/failures".to_owned(),
        format!("/workers/{worker}"),
        "/dead".to_owned(),
        "/dead/0".to_owned(),
        "/names".to_owned(),
        format!("/names/{}", HOSTILE.bytes().map(|it| format!("%{it:02X}")).collect::<String>()),
        "/audit?q=%22%3E%3Cscript%3E".to_owned(),
        "/tasks?q=%3Cscript%3Ealert(1)".to_owned(),
        "/tasks?q=%22%3E%3Cscript%3E".to_owned(),
        "/dead?q=%22%3E%3Cscript%3E".to_owned(),
    ];
    for path in pages {
        let page = scene.page(&path).await;
        assert_eq!(page.matches("<script").count(), 1, "{path}: only ours: {page}");
        assert!(!page.contains(['\u{1b}', '\u{202e}']), "{path} obeys what it should show");
        for inline in [" style=", "<style", " onclick=", " onload=", "javascript:"] {
            assert!(!page.contains(inline), "{path} has {inline}, which its policy forbids");
        }
    }
    assert!(scene.page(&format!("/tasks/{id}")).await.contains("&lt;script&gt;"));
    scene.stop().await;
}

#[tokio::test]
async fn what_is_huge_stays_small_in_a_list_and_folded_on_its_page() {
    let scene = Scene::start().await;
    let (long, longest) = ("x".repeat(1 << 20), "x".repeat(10 << 20));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let event = |kind: &str, clock: u64, fields: serde_json::Value| {
        let (uuid, hostname) = ("huge-1", "w@h");
        let mut event = json!({"type": kind, "hostname": hostname, "clock": clock, "timestamp": now, "uuid": uuid});
        event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        event
    };
    let received = json!({"name": long, "args": long, "kwargs": long});
    scene.tell(&event("task-received", 1, received)).await;
    let failed = json!({"exception": format!("E('{long}')"), "traceback": longest});
    scene.tell(&event("task-failed", 2, failed)).await;
    scene.monitor.until("huge-1", "FAILURE").await;

    let list = scene.page("/tasks").await;
    assert!(list.len() < 30_000, "{} bytes for one row", list.len());
    let page = scene.page("/tasks/huge-1").await;
    assert!(page.len() < 600_000, "{} bytes", page.len());
    assert!(page.contains("<summary>65.5 KB</summary>"), "{}", &page[..20_000]);
    scene.stop().await;
}

#[tokio::test]
async fn a_queue_is_shown_that_somebody_told_of_and_nothing_is_made_up_about_it() {
    let scene = Scene::start().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let sent = json!({
        "type": "task-sent", "hostname": "w@h", "clock": 1, "timestamp": now, "uuid": "sent-1",
        "name": "shop.add", "queue": "elsewhere",
    });
    scene.tell(&sent).await;
    eventually("the queue to be looked at", async || {
        scene.page("/queues").await.contains("not there")
    })
    .await;
    let page = scene.page("/queues/elsewhere").await;
    assert!(page.contains("<dt>Ready</dt><dd>–</dd>"), "{page}");
    assert!(page.contains("<dt>Consumers</dt><dd>–</dd>") && page.contains("sent-1"), "{page}");

    let (_connection, channel) = scene.rig.channel().await;
    let (queue, options) = ("elsewhere", QueueDeclareOptions::default());
    channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let sent = channel.basic_publish("".into(), queue.into(), options, b"x", properties);
    sent.await.unwrap().await.unwrap();
    let warning = "Queue elsewhere has 1 message and no consumer";
    eventually(warning, async || scene.page("/about").await.contains(warning)).await;
    scene.stop().await;
}

#[tokio::test]
async fn a_filter_narrows_and_says_what_is_wrong_and_what_would_find_more() {
    let scene = Scene::start().await;
    let good = scene.run("shop.add", &(1, 2), "SUCCESS").await;
    let bad = scene.run("shop.fail", &("x",), "FAILURE").await;

    let page = scene.page("/tasks?q=state:failure").await;
    assert!(page.contains(&bad) && !page.contains(&good), "{page}");
    assert!(page.contains("1 task of 2"), "{page}");
    let page = scene.page("/tasks?q=state:failure%20quue:x").await;
    assert!(page.contains("^^^^") && page.contains("did you mean `queue`?"), "{page}");
    assert!(page.contains("value=\"state:failure quue:x\""), "what was written stays: {page}");
    let page = scene.page("/tasks?q=state:revoked%20name:shop.add").await;
    assert!(page.contains("1 task without state:revoked"), "{page}");
    assert!(page.contains("href=\"/tasks?q=name:shop.add\""), "{page}");
    scene.stop().await;
}

#[tokio::test]
async fn a_long_list_goes_on_and_what_is_not_there_is_said() {
    let scene = Scene::start().await;
    for _ in 0..52 {
        scene.send("shop.add", &(1, 2)).await;
    }
    let last = scene.run("shop.add", &(1, 2), "SUCCESS").await;
    eventually("all of them", async || {
        scene.monitor.get("/api/v1/states").await == json!({"SUCCESS": 53})
    })
    .await;
    let newest = scene.page("/tasks").await;
    assert_eq!(newest.matches("data-id=").count(), 50);
    let older = newest.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let page = scene.page(older).await;
    assert_eq!(page.matches("data-id=").count(), 3);
    assert!(!page.contains(&last) && page.contains("rel=\"prev\""), "{page}");

    for (path, text) in [
        ("/tasks/nobody", "No such task"),
        ("/workers/nobody", "There is no such worker."),
        ("/queues/nobody", "There is no such queue."),
        ("/names/nobody", "There is no such name."),
        ("/dead/9", "There is no such dead letter."),
        ("/nothing", "There is no such page."),
        ("/assets/monitor.000000000000.css", "There is no such file."),
    ] {
        let answer = scene.monitor.ask(path).await;
        assert_eq!(answer.status(), 404, "{path}");
        assert!(answer.text().await.unwrap().contains(text), "{path}");
    }
    assert_eq!(scene.monitor.ask("/tasks?before=x").await.status(), 400);
    scene.stop().await;
}

#[tokio::test]
async fn nothing_is_taken_from_elsewhere_and_all_of_it_is_small() {
    let scene = Scene::start().await;
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    let answer = scene.monitor.ask("/").await;
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = answer.text().await.unwrap();
    let mut bytes = page.len();
    let mut assets = 0;
    for part in page.split("/assets/").skip(1) {
        let answer =
            scene.monitor.ask(&format!("/assets/{}", part.split('"').next().unwrap())).await;
        assert!(answer.headers()["cache-control"].to_str().unwrap().contains("immutable"));
        bytes += answer.bytes().await.unwrap().len();
        assets += 1;
    }
    assert!(assets == 3 && bytes < 150_000, "{assets} files, {bytes} bytes");
    assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
    scene.stop().await;
}

#[tokio::test]
async fn a_name_is_shown_with_how_often_how_long_and_how_it_fails() {
    let scene = Scene::start().await;
    for _ in 0..3 {
        scene.run("shop.add", &(1, 2), "SUCCESS").await;
    }
    let bad = scene.run("shop.fail", &("x",), "FAILURE").await;
    let list = scene.page("/names").await;
    assert!(list.contains("2 names"), "{list}");
    let row = |name: &str| {
        let rest = list.split(&format!(">{name}</a>")).nth(1).unwrap();
        rest.split("</tr>").next().unwrap().to_owned()
    };
    assert!(row("shop.add").contains("data-label=\"ended\">3<"), "{list}");
    let fails = row("shop.fail");
    assert!(fails.contains("data-label=\"failed\">1<"), "{fails}");
    assert!(fails.contains("data-label=\"retried\">1<"), "{fails}");
    let sorted = scene.page("/names?sort=failed").await;
    assert!(sorted.find(">shop.fail<") < sorted.find(">shop.add<"), "the most first");

    let page = scene.page("/names/shop.fail").await;
    for part in ["CardDeclined: order", &bad, "100 %", "2 in all, from"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let name = scene.monitor.get("/api/v1/names/shop.fail").await;
    assert_eq!(
        (&name["ended"], &name["failed"], &name["retried"], &name["started"]),
        (&1.into(), &1.into(), &1.into(), &2.into())
    );
    let counted = |it: &serde_json::Value| -> u64 {
        it["buckets"].as_array().unwrap().iter().map(|it| it["count"].as_u64().unwrap()).sum()
    };
    assert_eq!((counted(&name["wait"]), counted(&name["run"])), (1, 2), "{name}");
    scene.stop().await;
}

#[tokio::test]
async fn what_was_done_is_in_the_audit_with_who_and_what_came_of_it() {
    let scene = Scene::start().await;
    let id = scene.run("shop.wait", &(), "STARTED").await;
    let grow = json!({"action": "grow", "slots": 1});
    assert_eq!(scene.monitor.act("/api/v1/workers/order", &grow).await.0, 200);
    let (_, revoked) = scene.monitor.act(&format!("/api/v1/tasks/{id}/revoke"), &json!(null)).await;
    assert!(revoked["audit"].is_string(), "{revoked}");
    eventually("both records", async || scene.page("/audit").await.contains("2 acts")).await;
    let page = scene.page("/audit").await;
    assert!(page.find(">revoke<") < page.find(">grow<"), "the last first: {page}");
    assert!(page.contains(&format!("href=\"/tasks/{id}\"")), "{page}");
    assert!(page.contains("&#34;n&#34;:1"), "{page}");
    let found = scene.page("/audit?q=action:grow%20outcome:done").await;
    assert!(found.contains("1 act<") && !found.contains(&id), "{found}");
    assert!(scene.page("/audit?q=by:nobody").await.contains("Nothing like that was done."));
    assert!(scene.page("/audit?q=buy:ana").await.contains("did you mean `by`?"));
    let acts = scene.monitor.get("/api/v1/audit?q=action:revoke").await;
    assert_eq!(acts["items"].as_array().unwrap().len(), 1);
    scene.stop().await;
}

#[tokio::test]
async fn a_workflow_is_a_tree_on_each_of_its_pages_and_has_its_progress_in_a_list() {
    let scene = Scene::start().await;
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    scene.tell_of_a_workflow().await;
    let page = scene.page("/tasks/flow-c-0000").await;
    let tree = page.split("class=\"tree\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(page.contains("3 of 4 tasks ended"), "{page}");
    let group = "href=\"/tasks?q=group:flow-group\">group</a>";
    let far = "1 of 2 tasks ended";
    let own = "aria-current=\"true\">flow.c<";
    let places: Vec<_> = ["flow.a", "flow.b", "<ul>", group, far, own, "flow.d"]
        .map(|part| tree.find(part).unwrap_or_else(|| panic!("{part}: {tree}")))
        .into();
    assert!(places.is_sorted(), "{tree}");
    assert!(tree.contains("href=\"/tasks/flow-a-0000\""), "{tree}");

    let list = scene.page("/workflows").await;
    assert_eq!(list.matches("class=\"open\"").count(), 1, "a task alone is none: {list}");
    assert!(list.contains("<progress value=\"3\" max=\"4\""), "{list}");
    let workflows = scene.monitor.get("/api/v1/workflows").await;
    let only = &workflows["items"][0];
    assert_eq!(
        (&only["tasks"], &only["ended"], &only["failed"]),
        (&4.into(), &3.into(), &0.into())
    );
    let tree = scene.monitor.get("/api/v1/tasks/flow-d-0000/tree").await;
    assert_eq!(tree["nodes"].as_array().unwrap().len(), 4);
    let edges: Vec<_> =
        tree["edges"].as_array().unwrap().iter().map(|it| it["to"].clone()).collect();
    assert_eq!(edges, ["flow-b-0000", "flow-c-0000", "flow-d-0000"], "{tree}");
    let group = json!({"id": "flow-group", "tasks": 2, "ended": 1, "failed": 0});
    assert_eq!(tree["groups"], json!([group]), "{tree}");
    scene.stop().await;
}

#[tokio::test]
async fn a_group_is_a_unit_with_its_members_and_how_many_have_ended() {
    let scene = Scene::start().await;
    let call = |name: &str| Signature::call(name, &(1,)).unwrap().queue("default");
    let all = group([call("shop.wait"), call("shop.add"), call("shop.add")]);
    let _handle = scene.worker.app.client().apply::<serde_json::Value>(all).await.unwrap();
    let list = async |filter: &str| {
        let found = scene.monitor.get(&format!("/api/v1/tasks?q={filter}")).await;
        found["items"].as_array().unwrap().clone()
    };
    eventually("two of them to end", async || {
        list("state:success").await.len() == 2 && list("state:started").await.len() == 1
    })
    .await;
    let waits = &list("name:shop.wait").await[0];
    let (id, own) = (waits["id"].as_str().unwrap(), waits["group_id"].as_str().unwrap());
    assert_eq!(list(&format!("group:{own}")).await.len(), 3);
    let page = scene.page(&format!("/tasks/{id}")).await;
    let panel = page.split("id=\"h-group\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(panel.contains("2 of 3 tasks ended"), "{panel}");
    assert_eq!(panel.matches(">shop.add</a>").count(), 2, "{panel}");
    let tree = scene.monitor.get(&format!("/api/v1/tasks/{id}/tree")).await;
    let group = json!({"id": own, "tasks": 3, "ended": 2, "failed": 0});
    assert_eq!(tree["groups"], json!([group]), "{tree}");
    let alone = scene.run("shop.add", &(1, 2), "SUCCESS").await;
    assert!(!scene.page(&format!("/tasks/{alone}")).await.contains("h-group"));
    scene.stop().await;
}

#[tokio::test]
async fn what_is_told_is_seen_live_with_a_filter_and_without_heartbeats() {
    let scene = Scene::start().await;
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    let bad = scene.run("shop.fail", &("x",), "FAILURE").await;
    let page = scene.page("/live").await;
    assert!(
        page.contains("succeeded") && page.contains("retried") && page.contains(&bad),
        "{page}"
    );
    assert!(page.find(">failed<") < page.find(">succeeded<"), "the newest first: {page}");
    let page = scene.page("/live?q=event:task-failed%20name:shop.*").await;
    assert!(page.contains("the last 1 event,") && page.contains(&bad), "by a name: {page}");
    assert!(scene.page("/live?q=evnt:x").await.contains("did you mean `event`?"));
    // What the sender tells has a way of its own, and may come later than the end.
    let q = "name:shop.fail%20-event:task-sent";
    let events = scene.monitor.get(&format!("/api/v1/events?q={q}&limit=1")).await;
    let last = &events["items"][0];
    assert_eq!((&last["event"], &last["queue"]), (&"task-failed".into(), &"default".into()));
    let all = scene.monitor.get("/api/v1/events?limit=1000").await;
    let is_beat = |it: &serde_json::Value| it["event"] == "worker-heartbeat";
    assert!(!all["items"].as_array().unwrap().iter().any(is_beat), "{all}");
    scene.stop().await;
}

#[tokio::test]
async fn what_could_stand_in_a_filter_is_told() {
    let scene = Scene::start().await;
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    scene.run("shop.fail", &("x",), "FAILURE").await;
    eventually("the letter to be known", async || {
        scene.monitor.get("/api/v1/dead").await["items"].as_array().unwrap().len() == 1
    })
    .await;
    for (query, at, length, items) in [
        ("field=name&prefix=shop.f", 0, 0, json!(["shop.fail"])),
        ("field=queue&prefix=", 0, 0, json!(["default"])),
        ("q=stat", 0, 4, json!(["state:"])),
        ("q=state:fai", 6, 3, json!(["failure"])),
        ("q=state:failure%20name:add", 19, 3, json!(["shop.add"])),
        ("q=evn&of=events&cursor=1", 0, 1, json!(["event:", "error:"])),
        ("q=outcome:ref&of=audit", 8, 3, json!(["refused"])),
        ("q=rea&of=dead", 0, 3, json!(["reason:"])),
        ("q=reason:exh&of=dead", 7, 3, json!(["exhausted"])),
        ("q=task:&of=dead", 5, 0, json!(["shop.fail"])),
        ("field=task&prefix=FAIL&of=dead", 0, 0, json!(["shop.fail"])),
        ("q=queue:d&of=dead", 6, 1, json!(["default"])),
        ("q=name:nobody", 5, 6, json!([])),
    ] {
        let told = scene.monitor.get(&format!("/api/v1/suggest?{query}")).await;
        assert_eq!((&told["at"], &told["length"]), (&at.into(), &length.into()), "{query}: {told}");
        let all = |it: &serde_json::Value| -> std::collections::BTreeSet<String> {
            it.as_array().unwrap().iter().map(ToString::to_string).collect()
        };
        assert_eq!(all(&told["items"]), all(&items), "{query}");
    }
    for wrong in ["field=run", "field=name&of=dead", "", "q=x&of=letters"] {
        let answer = scene.monitor.ask(&format!("/api/v1/suggest?{wrong}")).await;
        assert_eq!(answer.status(), 400, "{wrong}");
    }
    scene.stop().await;
}

#[tokio::test]
async fn a_list_is_had_as_a_file() {
    let scene = Scene::start().await;
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    let bad = scene.run("shop.fail", &("=1+1",), "FAILURE").await;
    let page = scene.page("/tasks?q=state:failure").await;
    assert!(page.contains("href=\"/tasks.csv?q=state:failure\""), "{page}");
    let answer = scene.monitor.ask("/tasks.csv?q=state:failure").await;
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert!(header("content-type").starts_with("text/csv"));
    assert!(header("content-disposition").contains("tasks.csv"));
    let text = answer.text().await.unwrap();
    let lines: Vec<_> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].starts_with("id,name,state,queue,worker,args"), "{text}");
    assert!(lines[1].starts_with(&format!("{bad},shop.fail,FAILURE,default,")), "{text}");
    assert_eq!(scene.monitor.ask("/tasks.csv?q=quue:x").await.status(), 400);
    let all = scene.monitor.ask("/tasks.csv").await.text().await.unwrap();
    assert_eq!(all.matches("\r\n").count(), 3, "{all}");
    scene.stop().await;
}

#[tokio::test]
async fn secrets_are_not_kept() {
    let scene = Scene::start().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let event = |kind: &str, clock: u64, more: serde_json::Value| {
        let mut event = json!({
            "type": kind, "hostname": "w@h", "clock": clock, "timestamp": now, "uuid": "secret-1",
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let received =
        json!({"name": "a", "args": "(1,)", "kwargs": "{'user': 4, 'Password': 'hunter2'}"});
    scene.tell(&event("task-received", 1, received)).await;
    let failed = json!({
        "exception": "E(\"can't log in with {'client_secret': 'hunter2'}\")",
        "traceback": "  x = {'token': 'hunter2'}\n",
    });
    scene.tell(&event("task-failed", 2, failed)).await;
    let task = scene.monitor.until("secret-1", "FAILURE").await;
    assert_eq!(task["kwargs"], "{'user': 4, 'Password': '•••'}");
    for path in ["/tasks/secret-1", "/failures", "/live", "/api/v1/events", "/tasks.csv"] {
        assert!(!scene.page(path).await.contains("hunter2"), "{path}");
    }
    scene.stop().await;

    let scene = Scene::with(|settings| settings.hide_args = true).await;
    let id = scene.run("shop.add", &("seen?", 2), "SUCCESS").await;
    let task = scene.monitor.get(&format!("/api/v1/tasks/{id}")).await;
    assert_eq!(
        (&task["args"], &task["kwargs"], &task["result"]),
        (&json!(null), &json!(null), &json!(null))
    );
    scene.stop().await;
}

#[tokio::test]
async fn a_view_is_a_filter_with_a_name_for_everybody() {
    let (rig, folder) = (Rig::start().await, tempfile::tempdir().unwrap());
    let mut config = Config::from(rig.url());
    config.monitor.listen = "127.0.0.1:0".to_owned();
    config.monitor.data_dir = folder.path().display().to_string();
    let filter = "state:failure name:mail.*".to_owned();
    config.monitor.views.insert("mail <b>".to_owned(), filter);
    let monitor = Shown::with(config).await;
    let page = monitor.ask("/tasks").await.text().await.unwrap();
    let link =
        "<a href=\"/tasks?q=state:failure%20name:mail.*\" class=\"chip\">mail &#60;b&#62;</a>";
    assert!(page.contains(link), "{page}");
    let page =
        monitor.ask("/tasks?q=state%3Afailure%20name%3Amail.%2A").await.text().await.unwrap();
    let link = "<a href=\"/tasks\" class=\"chip\" aria-current=\"true\">mail &#60;b&#62;</a>";
    assert!(page.contains(link), "{page}");
    monitor.stop().await;
}
