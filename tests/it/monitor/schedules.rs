//! Schedules in the monitor, told of by a real scheduler and changed through it.

use super::scene::Scene;
use crate::rig::{Browser, Process, Scripts, Signal, eventually};
use celeriac::clock::to_iso;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const FILE: &str = r#"
[broker]
url = "{url}"
[ops]
listen = ""
socket = ""
[scheduler]
name = "beat@test"
[queues.default]
[schedules.hourly]
task = "shop.add"
args = [1, "<b>"]
every = "1h"
[schedules.never]
task = "shop.fail"
cron = "0 3 * * *"
enabled = false
"#;

/// A scene with a scheduler that leads.
async fn led() -> (Scene, Process) {
    let scene = Box::pin(Scene::start()).await;
    let scheduler = lead(&scene).await;
    (scene, scheduler)
}

/// A scheduler that leads, with a schedule `hourly`.
pub(super) async fn lead(scene: &Scene) -> Process {
    let mut scheduler = scene.rig.celeriac(&["scheduler"], FILE).await;
    scheduler.until(": leading").await;
    eventually("the scheduler to answer", async || {
        scene.monitor.ask("/api/v1/schedules").await.status() == 200
    })
    .await;
    scheduler
}

async fn hourly(scene: &Scene) -> Value {
    scene.monitor.get("/api/v1/schedules").await["items"][0].clone()
}

async fn page(scene: &Scene, path: &str) -> String {
    let answer = scene.monitor.ask(path).await;
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

#[tokio::test]
async fn without_a_scheduler_it_is_said_plainly() {
    let scene = Box::pin(Scene::start()).await;
    let answer = scene.monitor.ask("/api/v1/schedules").await;
    assert_eq!(answer.status(), 503);
    let problem: Value = answer.json().await.unwrap();
    let why = "no scheduler is running: start `celeriac scheduler`";
    assert_eq!(problem["detail"], why);
    for path in ["/schedules", "/schedules/hourly"] {
        let page = page(&scene, path).await;
        assert!(page.contains("No scheduler answers.") && page.contains(why), "{page}");
    }
    scene.stop().await;
}

#[tokio::test]
async fn a_schedule_is_shown_run_and_given_its_past_runs() {
    let (scene, _scheduler) = led().await;
    let known = scene.monitor.get("/api/v1/schedules").await;
    assert_eq!((&known["leader"], &known["standing_by"]), (&json!("beat@test"), &json!(0)));
    let (first, second) = (&known["items"][0], &known["items"][1]);
    assert_eq!((&first["words"], &first["task"]), (&json!("every 1h"), &json!("shop.add")));
    assert_eq!((&second["name"], &second["is_off"]), (&json!("never"), &json!(true)));
    assert!(first["next"].is_string() && second["next"].is_null(), "{known}");
    let list = page(&scene, "/schedules").await;
    assert!(list.contains("beat@test leads") && list.contains("nobody stands by"), "{list}");
    assert!(list.contains("every 1h") && list.contains(">off<"), "{list}");

    let act = |call: &str| format!("/api/v1/schedules/hourly/{call}");
    let (status, reply) = scene.monitor.act(&act("run"), &json!({})).await;
    assert_eq!((status, &reply["status"]), (200, &json!("done")), "{reply}");
    let said = reply["results"][0]["detail"].as_str().unwrap().to_owned();
    let id = said.strip_prefix("task ").unwrap().strip_suffix(" is sent").unwrap();
    scene.monitor.until(id, "SUCCESS").await;

    let from = to_iso(SystemTime::now() - Duration::from_secs(3 * 3600));
    let (status, reply) = scene.monitor.act(&act("backfill"), &json!({ "from": from })).await;
    assert_eq!((status, &reply["results"][0]["detail"]), (200, &json!("3 runs are sent")));
    let whole = scene.monitor.get("/api/v1/schedules/hourly").await;
    assert_eq!((&whole["args"], whole["past"].as_array().unwrap().len()), (&json!([1, "<b>"]), 50));
    for run in &whole["past"].as_array().unwrap()[..3] {
        scene.monitor.until(run["id"].as_str().unwrap(), "SUCCESS").await;
    }
    let shown = page(&scene, "/schedules/hourly").await;
    let last = format!("<a href=\"/tasks/{}\">", whole["past"][0]["id"].as_str().unwrap());
    assert!(shown.contains(&last) && shown.contains("not told of"), "{shown}");
    assert!(shown.contains("&lt;b&gt;") && !shown.contains("\"<b>"), "{shown}");

    let wrong = json!({ "from": "yesterday" });
    let (status, problem) = scene.monitor.act(&act("backfill"), &wrong).await;
    assert_eq!((status, &problem["field"]), (400, &json!("from")));
    let long = json!({ "from": "2020-01-01T00:00:00Z" });
    let (status, reply) = scene.monitor.act(&act("backfill"), &long).await;
    assert_eq!((status, &reply["status"]), (409, &json!("refused")), "{reply}");
    let (status, reply) = scene.monitor.act("/api/v1/schedules/none/run", &json!({})).await;
    assert!(status == 409 && reply.to_string().contains("has no schedule `none`"), "{reply}");
    for path in ["/schedules/none", "/api/v1/schedules/none"] {
        assert_eq!(scene.monitor.ask(path).await.status(), 404, "{path}");
    }
    scene.stop().await;
}

#[tokio::test]
async fn a_schedule_is_paused_with_a_reason_and_an_edit_is_dropped() {
    let (scene, _scheduler) = led().await;
    let act = |call: &str| format!("/api/v1/schedules/hourly/{call}");
    let why = json!({ "reason": "database moves" });
    let (status, reply) = scene.monitor.act(&act("pause"), &why).await;
    assert_eq!((status, &reply["status"]), (200, &json!("done")), "{reply}");
    let paused = hourly(&scene).await["paused"].clone();
    assert_eq!((&paused["by"], &paused["reason"]), (&json!("local"), &json!("database moves")));
    for path in ["/schedules", "/schedules/hourly"] {
        assert!(page(&scene, path).await.contains("(database moves)"), "{path}");
    }
    scene.monitor.act(&act("resume"), &json!({})).await;
    assert!(hourly(&scene).await["paused"].is_null());

    let edit = ["schedule", "edit", "hourly", "every = \"2h\""];
    let mut edited = Process::celeriac(&edit, scene.rig.folder());
    assert!(edited.ended(crate::rig::PATIENCE).await.success(), "{}", edited.output());
    let shown = page(&scene, "/schedules/hourly").await;
    assert!(shown.contains("every 2h") && shown.contains("on, edited"), "{shown}");
    let (_, reply) = scene.monitor.act(&act("reset"), &json!({})).await;
    assert_eq!(reply["status"], "done", "{reply}");
    assert_eq!(hourly(&scene).await["words"], "every 1h");
    eventually("the audit", async || {
        let audit = scene.monitor.get("/api/v1/audit?target=hourly").await;
        let acts = audit["items"].as_array().unwrap().iter();
        acts.filter(|it| it["ended"].is_string()).count() == 4
    })
    .await;
    scene.stop().await;
}

#[tokio::test]
async fn the_buttons_of_a_schedule_do_what_they_say() {
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    let (scene, _scheduler) = led().await;
    browser.open(&scene.monitor.url("/schedules/hourly")).await;
    browser.click("[data-act$='/pause']").await;
    browser.write("dialog[open] input", "database moves").await;
    browser.click("dialog[open] button[value=yes]").await;
    browser
        .until("document.querySelector('.verdict').textContent.includes('(database moves)')")
        .await;
    browser.click("[data-act$='/resume']").await;
    browser.until("!document.querySelector('.verdict').textContent.includes('paused')").await;
    browser.click("[data-act$='/run']").await;
    browser.until("document.querySelector('.toast')?.textContent.includes(' is sent')").await;
    browser.close().await;
    scene.stop().await;
}

/// Sends the form of the page, as a browser without scripts does.
async fn fill(scene: &Scene, lines: &str) -> reqwest::Response {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
    let form = client.unwrap().post(scene.monitor.url("/schedules/hourly/edit"));
    let body: String = lines.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let form = form.header("sec-fetch-site", "same-origin").body(format!("lines={body}"));
    form.send().await.unwrap()
}

#[tokio::test]
async fn a_schedule_is_given_other_values_that_outlive_its_scheduler() {
    let (scene, mut scheduler) = led().await;
    let edit = "/api/v1/schedules/hourly/edit";
    let (status, reply) =
        scene.monitor.act(edit, &json!({ "settings": { "cron": "0 4 * * *" } })).await;
    assert_eq!((status, &reply["status"]), (200, &json!("done")), "{reply}");
    assert_eq!(hourly(&scene).await["words"], "every day at 04:00");
    let whole = scene.monitor.get("/api/v1/schedules/hourly").await;
    assert_eq!(whole["report"]["edited"]["by"], "local", "{whole}");
    assert_eq!(whole["report"]["in_file"], "every 1h", "{whole}");

    // The form says what stands, refuses with a mark under what is wrong, and keeps what was written.
    let form = page(&scene, "/schedules/hourly/edit").await;
    assert!(form.contains("cron = &#34;0 4 * * *&#34;"), "{form}");
    for (wrong, said) in [
        ("cron = \"0 99 * * *\"", "\n            ^^"),
        ("crno = \"0 5 * * *\"", "unknown field `crno`"),
        ("cron = ", "TOML parse error at line 1, column 8"),
    ] {
        let answer = fill(&scene, wrong).await;
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        assert!(text.contains(said) && text.contains(&wrong.replace('"', "&#34;")), "{text}");
    }
    assert_eq!(hourly(&scene).await["words"], "every day at 04:00");
    let answer = fill(&scene, "every = \"2h\"\nargs = [7]").await;
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.headers()["location"], "/schedules/hourly");

    scheduler.kill().await;
    let _scheduler = lead(&scene).await;
    assert_eq!(hourly(&scene).await["words"], "every 2h");
    let shown = page(&scene, "/schedules/hourly").await;
    assert!(shown.contains("every = &#34;2h&#34;, args = [7]"), "{shown}");
    assert!(shown.contains("by local since"), "{shown}");
    assert!(shown.contains("by its file it is due every 1h"), "{shown}");
    eventually("the audit", async || {
        let audit = scene.monitor.get("/api/v1/audit?target=hourly").await;
        let acts = audit["items"].as_array().unwrap();
        let done = acts.iter().filter(|it| {
            it["action"] == "edit schedule" && it["outcome"].to_string().contains("done")
        });
        done.count() == 2
    })
    .await;
    scene.stop().await;
}

#[tokio::test]
async fn who_changes_a_schedule_from_the_command_line_is_in_the_audit_too() {
    let (scene, _scheduler) = led().await;
    for (arguments, is_fine) in [
        (&["run", "hourly"][..], true),
        (&["pause", "hourly", "--reason", "database moves"], true),
        (&["resume", "hourly"], true),
        (&["edit", "hourly", "every = \"2h\""], true),
        (&["edit", "hourly", "--reset"], true),
        (&["backfill", "hourly", "--from", "2026-11-01T00:00:00Z", "--dry-run"], true),
        (&["pause", "none"], false),
    ] {
        let arguments = [&["schedule"], arguments].concat();
        let mut act = Process::celeriac(&arguments, scene.rig.folder());
        let ended = act.ended(crate::rig::PATIENCE).await;
        assert_eq!(ended.success(), is_fine, "{arguments:?}: {}", act.output());
    }
    eventually("the audit", async || {
        let audit = scene.monitor.get("/api/v1/audit").await;
        audit["items"].as_array().unwrap().iter().filter(|it| it["ended"].is_string()).count() == 6
    })
    .await;
    let audit = scene.monitor.get("/api/v1/audit").await;
    let items = audit["items"].as_array().unwrap();
    let told = items.iter().rev().map(|it| {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        (word(&it["action"]), word(&it["target"]), word(&it["outcome"]["status"]))
    });
    let told: Vec<_> = told.collect();
    let expected = [
        ("run schedule", "hourly", "done"),
        ("pause schedule", "hourly", "done"),
        ("resume schedule", "hourly", "done"),
        ("edit schedule", "hourly", "done"),
        ("reset schedule", "hourly", "done"),
        ("pause schedule", "none", "refused"),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(told, expected, "what only shows is not in it: {audit}");
    assert_eq!(items[4]["arguments"]["reason"], "database moves", "{audit}");
    assert_eq!(items[2]["arguments"]["settings"], json!({ "every": "2h" }), "{audit}");
    assert!(!items[4]["by"].as_str().unwrap().is_empty(), "{audit}");
    let page = page(&scene, "/audit").await;
    assert!(page.contains("database moves") && page.contains("edit schedule"), "{page}");
    scene.stop().await;
}

/// The names of those that stand by, and how many there are.
async fn standbys(scene: &Scene) -> (Vec<String>, Value) {
    let known = scene.monitor.get("/api/v1/schedules").await;
    let named = known["standbys"].as_array().unwrap().iter();
    let named = named.map(|it| it["name"].as_str().unwrap().to_owned());
    (named.collect(), known["standing_by"].clone())
}

#[tokio::test]
async fn who_stands_by_is_shown_by_name_until_it_is_killed() {
    let (scene, _leader) = led().await;
    let url = scene.rig.url();
    let stand = |name: &str| {
        let file = FILE.replace("{url}", &url).replace("beat@test", name);
        let path = format!("{}.toml", name.replace('<', "-"));
        std::fs::write(scene.rig.folder().join(&path), file).unwrap();
        Process::celeriac(&["scheduler", "-c", &path], scene.rig.folder())
    };
    let (mut second, third) = (stand("second"), stand("third<b>"));
    let until = async |named: &[&str], number: u64| {
        eventually(&format!("{named:?} to stand by"), async || {
            let (found, all) = standbys(&scene).await;
            found == named && all == number
        })
        .await;
    };
    until(&["second", "third<b>"], 2).await;
    let shown = page(&scene, "/schedules").await;
    let host = celeriac::ids::host();
    assert!(shown.contains(&format!("second stands by on {host} for ")), "{shown}");
    assert!(shown.contains("third&#60;b&#62; stands by") && !shown.contains("<b>"), "{shown}");
    for command in [&["status"][..], &["schedule", "list"]] {
        let mut told = Process::celeriac(command, scene.rig.folder());
        told.ended(crate::rig::PATIENCE).await;
        let said = format!("second stands by on {host} since 20");
        assert!(told.output().contains(&said), "{command:?}: {}", told.output());
    }

    // Who is killed goes at once; who hangs is there, and says nothing.
    second.kill().await;
    until(&["third<b>"], 1).await;
    third.signal(Signal::STOP);
    until(&[], 1).await;
    let shown = page(&scene, "/schedules").await;
    assert!(shown.contains("1 more without an answer"), "{shown}");
    third.signal(Signal::CONT);
    until(&["third<b>"], 1).await;
    scene.stop().await;
}
