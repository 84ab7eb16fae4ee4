//! Whether the buttons do what they say: each is clicked, and its effect looked for at the broker or
//! the worker.

use super::super::scene::Scene;
use super::{Browser, Scripts};
use serde_json::json;

/// Waits for what the page says of an act.
async fn until_told(browser: &Browser, words: &str) {
    browser
        .until(&format!("document.querySelector('.toast')?.textContent.includes({})", json!(words)))
        .await;
}

#[tokio::test]
async fn a_task_that_runs_is_stopped_once_one_is_sure() {
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    let scene = Box::pin(Scene::start()).await;
    let id = scene.run("shop.wait", &(), "STARTED").await;
    browser.open(&scene.monitor.url(&format!("/tasks/{id}"))).await;
    browser.click("[data-act$='/terminate']").await;
    browser.click("dialog[open] button[value=no]").await;
    browser.until("!document.querySelector('dialog.ask')").await;
    assert_eq!(scene.monitor.get(&format!("/api/v1/tasks/{id}")).await["state"], "STARTED");
    browser.click("[data-act$='/terminate']").await;
    browser.click("dialog[open] button[value=yes]").await;
    until_told(&browser, "Terminate: done").await;
    scene.monitor.until(&id, "REVOKED").await;
    browser.until("!document.querySelector('[data-act$=\"/terminate\"]')").await;
    assert!(browser.complaints().await.is_empty());
    browser.close().await;
    scene.stop().await;
}

#[tokio::test]
async fn a_dead_letter_goes_back_to_its_queue_and_one_is_discarded() {
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    let scene = Box::pin(Scene::start()).await;
    let id = scene.run("shop.fail", &("x",), "FAILURE").await;
    let attempts = async || {
        let task = scene.monitor.get(&format!("/api/v1/tasks/{id}")).await;
        task["attempts"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(attempts().await, 2);
    crate::rig::eventually("the letter", async || {
        scene.monitor.get("/api/v1/dead/states").await == json!({ "open": 1 })
    })
    .await;
    browser.open(&scene.monitor.url(&format!("/tasks/{id}"))).await;
    browser.click("[data-act$='/retry']").await;
    until_told(&browser, "Run again: done").await;
    crate::rig::eventually("it to fail again", async || attempts().await == 4).await;
    crate::rig::eventually("another letter", async || {
        scene.monitor.get("/api/v1/dead/states").await == json!({ "open": 1, "requeued": 1 })
    })
    .await;

    let letter = scene.monitor.get("/api/v1/dead").await["items"][0]["offset"].clone();
    browser.open(&scene.monitor.url(&format!("/dead/{letter}"))).await;
    browser.click("[data-act$='/discard']").await;
    browser.click("dialog[open] button[value=yes]").await;
    until_told(&browser, "Discard: done").await;
    crate::rig::eventually("nothing to be open", async || {
        scene.monitor.get("/api/v1/dead/states").await == json!({ "discarded": 1, "requeued": 1 })
    })
    .await;
    browser.close().await;
    scene.stop().await;
}

#[tokio::test]
async fn a_queue_is_purged_only_under_its_name() {
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    let scene = Box::pin(Scene::start()).await;
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    browser.open(&scene.monitor.url("/queues/default")).await;
    browser.click("[data-act$='/purge']").await;
    browser.write("dialog[open] input", "defaul").await;
    browser.until("document.querySelector('dialog[open] button[value=yes]').disabled").await;
    browser.write("dialog[open] input", "t").await;
    browser.click("dialog[open] button[value=yes]").await;
    until_told(&browser, "0 messages are deleted").await;
    browser.close().await;
    scene.stop().await;
}

#[tokio::test]
async fn a_worker_grows_and_stops() {
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    let scene = Box::pin(Scene::start()).await;
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    let name = scene.monitor.get("/api/v1/workers").await[0]["name"].as_str().unwrap().to_owned();
    browser.open(&scene.monitor.url(&format!("/workers/{name}"))).await;
    browser.until("[...document.querySelectorAll('.acts button')].every((it) => !it.hidden)").await;
    browser.click(".acts button:first-child").await;
    until_told(&browser, "One slot more: done").await;
    browser.click(".acts button:last-child").await;
    browser.click("dialog[open] button[value=yes]").await;
    until_told(&browser, "Stop: done").await;
    crate::rig::eventually("the worker to be offline", async || {
        scene.monitor.get("/api/v1/workers").await[0]["state"] == "offline"
    })
    .await;
    browser.close().await;
    scene.monitor.stop().await;
}

#[tokio::test]
async fn keys_act_on_the_task_of_the_row() {
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    let scene = Box::pin(Scene::start()).await;
    let bad = scene.run("shop.fail", &("x",), "FAILURE").await;
    let runs = scene.run("shop.wait", &(), "STARTED").await;
    crate::rig::eventually("the letter", async || {
        scene.monitor.get("/api/v1/dead/states").await == json!({ "open": 1 })
    })
    .await;
    browser.open(&scene.monitor.url("/tasks")).await;
    browser.until("document.querySelector('#live').onclick").await;
    browser.press("jT").await;
    browser.click("dialog[open] button[value=yes]").await;
    until_told(&browser, "Terminate: done").await;
    scene.monitor.until(&runs, "REVOKED").await;
    let focused = format!("document.activeElement.closest('tr')?.dataset.id === '{bad}'");
    browser.run("document.activeElement.blur()").await;
    browser.press("jj").await;
    browser.until(&focused).await;
    browser.press("r").await;
    until_told(&browser, "Run again: done").await;
    let attempts = format!("/api/v1/tasks/{bad}");
    crate::rig::eventually("it to run again", async || {
        scene.monitor.get(&attempts).await["attempts"].as_array().unwrap().len() == 4
    })
    .await;
    browser.close().await;
    scene.stop().await;
}
