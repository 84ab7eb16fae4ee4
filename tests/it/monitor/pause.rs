//! A queue is paused through the monitor.

use super::scene::Scene;

use crate::rig::{Browser, PATIENCE, Process, Scripts, eventually};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use serde_json::json;

#[tokio::test]
async fn a_queue_is_paused_with_a_reason_that_everybody_can_read() {
    let scene = Box::pin(Scene::start()).await;
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    let monitor = &scene.monitor;
    let (status, problem) =
        monitor.act("/api/v1/queues/default/pause", &json!({ "reason": " " })).await;
    assert_eq!((status, &problem["field"]), (400, &json!("reason")), "{problem}");

    let why = json!({ "reason": "smtp <down>" });
    let (status, reply) = monitor.act("/api/v1/queues/default/pause", &why).await;
    assert_eq!((status, &reply["status"]), (200, &json!("done")), "{reply}");
    let said: Vec<_> =
        reply["results"].as_array().unwrap().iter().map(|it| it["detail"].clone()).collect();
    assert_eq!(said, ["keeps that default is paused", "does not consume default"]);
    eventually("the monitor to know", async || {
        monitor.get("/api/v1/queues/default").await["state"] == "paused"
    })
    .await;
    let queues = monitor.get("/api/v1/queues").await;
    let queue = queues.as_array().unwrap().iter().find(|it| it["name"] == "default").unwrap();
    assert_eq!(queue["paused"]["reason"], "smtp <down>", "{queue}");
    for path in ["/", "/queues", "/queues/default"] {
        let page = monitor.ask(path).await.text().await.unwrap();
        assert!(page.contains("Queue default is paused by local since "), "{path}: {page}");
        assert!(page.contains("(smtp &#60;down&#62;)") && !page.contains("<down>"), "{path}");
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(monitor.status.clone()));
    let gauge = async |wanted: &str| {
        eventually(wanted, async || {
            let mut told = String::new();
            text::encode(&mut told, &registry).unwrap();
            told.lines().any(|it| it.trim_end_matches(".0") == wanted)
        })
        .await;
    };
    gauge("celeriac_queue_paused{queue=\"default\"} 1").await;

    let (status, reply) = monitor.act("/api/v1/queues/default/resume", &json!({})).await;
    assert_eq!((status, &reply["status"]), (200, &json!("done")), "{reply}");
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    gauge("celeriac_queue_paused{queue=\"default\"} 0").await;
    let (status, reply) = monitor.act("/api/v1/queues/default/resume", &json!({})).await;
    assert_eq!((status, &reply["status"]), (409, &json!("refused")), "{reply}");
    eventually("the audit", async || {
        let audit = monitor.get("/api/v1/audit?target=default").await;
        audit["items"].as_array().unwrap().iter().filter(|it| it["ended"].is_string()).count() == 3
    })
    .await;
    scene.stop().await;
}

#[tokio::test]
async fn the_buttons_pause_and_resume() {
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    let scene = Box::pin(Scene::start()).await;
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    browser.open(&scene.monitor.url("/queues/default")).await;
    browser.click("[data-act$='/pause']").await;
    browser.until("document.querySelector('dialog[open] button[value=yes]').disabled").await;
    browser.write("dialog[open] input", "smtp down").await;
    browser.click("dialog[open] button[value=yes]").await;
    browser.until("document.querySelector('.verdict').textContent.includes('(smtp down)')").await;
    browser.click("[data-act$='/resume']").await;
    browser.until("!document.querySelector('.verdict').textContent.includes('paused')").await;
    let call = scene.worker.call::<i64>("shop.add", &(1, 2)).await;
    assert_eq!(call.timeout(PATIENCE).await.unwrap(), 3);
    browser.close().await;
    scene.stop().await;
}

#[tokio::test]
async fn who_pauses_from_the_command_line_is_in_the_audit_too() {
    let scene = Box::pin(Scene::start()).await;
    let config = "[broker]\nurl = \"{url}\"\n[queues.default]\n";
    let mut pause =
        scene.rig.celeriac(&["queue", "pause", "default", "--reason", "smtp down"], config).await;
    assert!(pause.ended(PATIENCE).await.success(), "{}", pause.output());
    let mut resume = Process::celeriac(&["queue", "resume", "default"], scene.rig.folder());
    assert!(resume.ended(PATIENCE).await.success(), "{}", resume.output());
    let mut again = Process::celeriac(&["queue", "resume", "default"], scene.rig.folder());
    assert!(!again.ended(PATIENCE).await.success(), "{}", again.output());
    let path = "/api/v1/audit?target=default";
    eventually("the audit", async || {
        let audit = scene.monitor.get(path).await;
        audit["items"].as_array().unwrap().iter().filter(|it| it["ended"].is_string()).count() == 3
    })
    .await;
    let audit = scene.monitor.get(path).await;
    let items = audit["items"].as_array().unwrap();
    let told: Vec<_> = items.iter().map(|it| (&it["action"], &it["outcome"]["status"])).collect();
    let (pause, resume) = (json!("pause"), json!("resume"));
    let (done, refused) = (json!("done"), json!("refused"));
    assert_eq!(told, [(&resume, &refused), (&resume, &done), (&pause, &done)], "{audit}");
    assert_eq!(items[2]["arguments"]["reason"], "smtp down", "{audit}");
    assert!(!items[2]["by"].as_str().unwrap().is_empty(), "{audit}");
    let page = scene.page("/audit").await;
    assert!(page.contains("smtp down"), "{page}");
    scene.stop().await;
}
