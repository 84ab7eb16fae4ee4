//! Whether everybody can read the pages.

use super::super::scene::Scene;
use super::super::schedules::lead;
use super::{Browser, Scripts, axe};
use crate::rig::eventually;
use serde_json::json;

/// Width and height of a desk's window and of a small telephone, and in which themes it is looked at there:
/// colours do not depend on the width.
const SIZES: [(u32, u32, &[&str]); 2] = [(1280, 900, &["light", "dark"]), (320, 900, &["light"])];

/// A page that is not there.
const GONE: &str = "/nothing";

#[tokio::test]
async fn every_page_is_accessible_in_both_themes_and_widths() {
    let (Some(axe), Some(browser)) = (axe(), Browser::start(Scripts::On).await) else { return };
    let scene = Scene::start().await;
    let _scheduler = lead(&scene).await;
    let good = scene.run("shop.add", &(1, 2), "SUCCESS").await;
    let bad = scene.run("shop.fail", &("a long argument ".repeat(100),), "FAILURE").await;
    scene.run("shop.wait", &(), "STARTED").await;
    eventually("the letter", async || scene.page("/dead").await.contains("exhausted")).await;
    eventually("the queue", async || scene.page("/queues").await.contains("consumed")).await;
    let (order, grow) = ("/api/v1/workers/order", json!({"action": "grow", "slots": 1}));
    assert_eq!(scene.monitor.act(order, &grow).await.0, 200);
    eventually("the record", async || scene.page("/audit").await.contains("grow")).await;
    scene.tell_of_a_workflow().await;
    let (operations, discard) = ("/api/v1/operations", json!({"action": "discard"}));
    let begun = scene.monitor.act(operations, &discard).await.1;
    let operation = format!("/ops/{}", begun["id"].as_str().unwrap());
    eventually("its end", async || scene.page(&operation).await.contains(">DONE<")).await;
    let worker = scene.monitor.get("/api/v1/workers").await[0]["name"].as_str().unwrap().to_owned();
    let (good, bad) = (format!("/tasks/{good}"), format!("/tasks/{bad}"));
    let again = format!("{bad}/again");
    let worker = format!("/workers/{worker}");
    let paths = [
        "/",
        "/tasks",
        "/tasks?q=quue:x",
        "/tasks?q=state:revoked%20name:x",
        "/tasks?q=state:failure",
        &good,
        &bad,
        &again,
        "/failures",
        "/failures?resolved=true",
        "/dead?q=state:all",
        "/dead/0",
        "/queues",
        "/queues/default",
        "/workers",
        &worker,
        "/schedules",
        "/schedules/hourly",
        "/names",
        "/names/shop.fail?range=15m",
        "/names?range=24h&sort=run",
        "/workflows",
        "/tasks/flow-c-0000",
        "/live",
        "/live?q=evnt:x",
        "/audit",
        "/audit?q=outcome:donne",
        "/ops",
        &operation,
        "/ops/new?action=revoke&q=state:started",
        "/ops/new?action=requeue&q=quue:x",
        "/about",
        GONE,
    ];
    for (width, height, themes) in SIZES {
        browser.resize(width, height).await;
        for path in paths {
            browser.open(&scene.monitor.url(path)).await;
            browser.run(&format!("{axe}; return 0")).await;
            for theme in themes {
                browser.run(&format!("document.documentElement.dataset.theme = '{theme}'")).await;
                let found = browser.run_async(CHECK).await;
                assert_eq!(found, json!([]), "{path} in {theme}, {width} wide: {found:#}");
            }
            let is_wider = "return document.documentElement.scrollWidth > innerWidth";
            assert_eq!(browser.run(is_wider).await, false, "{path} is wider than {width}");
            let complaints = browser.complaints().await;
            // It is told of a page that is not there, too.
            let is_ours = complaints.iter().all(|it| it.contains(GONE) && it.contains("404"));
            assert!(is_ours, "{path}: {complaints:?}");
        }
    }
    browser.close().await;
    scene.stop().await;
}

/// Gives what is wrong, as text.
const CHECK: &str = "
    const done = arguments[arguments.length - 1];
    const told = (node) => node.html.slice(0, 200) + ': ' + (node.any[0] ?? node.all[0] ?? node.none[0])?.message;
    axe.run({ resultTypes: ['violations'] })
        .then((found) => done(found.violations.map((it) => [it.id, it.nodes.slice(0, 3).map(told)])));
";
