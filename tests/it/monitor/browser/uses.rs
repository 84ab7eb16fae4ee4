//! Whether the pages do what they should in people's hands.

use super::super::scene::Scene;
use super::{Browser, Scripts};
use crate::rig::Gathering;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_change_is_seen_while_the_page_is_open() {
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    let scene = Scene::start().await;
    let id = scene.run("shop.wait", &(), "STARTED").await;
    browser.open(&scene.monitor.url("/tasks")).await;
    browser.until("document.querySelector('#live').dataset.state === 'live'").await;
    browser.run("window.stayed = true").await;
    let row = format!("document.querySelector('tr[data-id=\"{id}\"]')");
    browser.until(&format!("{row}.textContent.includes('STARTED')")).await;

    scene.gate.add_permits(1);
    browser.until(&format!("{row}.textContent.includes('SUCCESS')")).await;
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    browser.until("document.querySelector('#newer').textContent === '1 newer ↑'").await;
    browser.until("!document.querySelector('#newer').hidden").await;
    let rows = browser.run("return document.querySelectorAll('tbody tr').length").await;
    assert_eq!(rows, 1, "what is read does not move");
    assert_eq!(browser.run("return window.stayed").await, true, "the page is the same");
    browser.run("document.querySelector('#newer').click()").await;
    browser.until("document.querySelectorAll('tbody tr').length === 2").await;
    assert!(browser.complaints().await.is_empty());
    browser.close().await;
    scene.stop().await;
}

#[tokio::test]
async fn a_page_looks_again_by_itself_where_events_do_not_come_through() {
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    let scene = Scene::with(|settings| settings.max_streams = 0).await;
    browser.open(&scene.monitor.url("/tasks")).await;
    browser.until("document.querySelector('#live').dataset.state === 'polling'").await;
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    browser.until("!document.querySelector('#newer').hidden").await;
    browser.close().await;
    scene.stop().await;
}

#[tokio::test]
async fn a_page_looks_again_by_itself_behind_a_proxy_that_gathers_answers() {
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    let scene = Scene::start().await;
    let id = scene.run("shop.wait", &(), "STARTED").await;
    let proxy = Gathering::before(scene.monitor.address().trim_start_matches("http://")).await;
    browser.open(&proxy.url("/tasks")).await;
    browser.until("document.querySelector('#live').dataset.state === 'polling'").await;
    assert!(proxy.held() > 0, "the events were sent and did not come through");
    let row = format!("document.querySelector('tr[data-id=\"{id}\"]')");
    assert!(browser.run(&format!("return {row}.textContent.includes('STARTED')")).await == true);

    scene.gate.add_permits(1);
    scene.monitor.until(&id, "SUCCESS").await;
    let done = Instant::now();
    browser.until(&format!("{row}.textContent.includes('SUCCESS')")).await;
    assert!(done.elapsed() < Duration::from_secs(15), "{:?}", done.elapsed());
    browser.close().await;
    scene.stop().await;
}

#[tokio::test]
async fn a_page_that_was_left_gives_its_connection_up() {
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    let scene = Scene::with(|settings| settings.max_streams = 2).await;
    for path in ["/tasks", "/workers", "/", "/tasks"] {
        browser.open(&scene.monitor.url(path)).await;
        browser.until("document.querySelector('#live').dataset.state === 'live'").await;
    }
    browser.run("history.back()").await;
    browser.until("location.pathname === '/'").await;
    browser.until("document.querySelector('#live').dataset.state === 'live'").await;
    browser.close().await;
    scene.stop().await;
}

#[tokio::test]
async fn everything_is_reached_by_the_keyboard() {
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    let scene = Scene::start().await;
    let first = scene.run("shop.add", &(1, 2), "SUCCESS").await;
    let second = scene.run("shop.fail", &("x",), "FAILURE").await;
    browser.open(&scene.monitor.url("/workers")).await;
    browser.press("gt").await;
    browser
        .until("location.pathname === '/tasks' && document.querySelector('#live').onclick")
        .await;
    let focused = |id: &str| format!("document.activeElement.closest('tr')?.dataset.id === '{id}'");
    browser.press("j").await;
    browser.until(&focused(&second)).await;
    browser.press("j").await;
    browser.until(&focused(&first)).await;
    browser.press("k").await;
    browser.until(&focused(&second)).await;
    browser.press("/").await;
    browser.until("document.activeElement.id === 'q'").await;
    browser.press("jt?").await;
    browser.until("document.querySelector('#q').value === 'jt?'").await;
    browser.press(ESCAPE).await;
    browser.until("document.activeElement.id !== 'q'").await;
    browser.press("?").await;
    browser.until("document.querySelector('#keys').open").await;
    browser.press(ESCAPE).await;
    browser.until("!document.querySelector('#keys').open").await;
    browser.press("t").await;
    browser.until("document.documentElement.dataset.theme === 'light'").await;
    browser.press("jx").await;
    browser.until("document.querySelectorAll('tr.marked').length === 1").await;
    browser.press(ENTER).await;
    browser.until(&format!("location.pathname === '/tasks/{second}'")).await;
    browser.until("document.documentElement.dataset.theme === 'light'").await;
    browser.close().await;
    scene.stop().await;
}

#[tokio::test]
async fn a_page_needs_no_script() {
    let Some(browser) = Browser::start(Scripts::Off).await else { return };
    let scene = Scene::start().await;
    let good = scene.run("shop.add", &(1, 2), "SUCCESS").await;
    scene.run("shop.fail", &("x",), "FAILURE").await;
    browser.open(&scene.monitor.url("/tasks")).await;
    browser.until("document.querySelector('#live').hidden").await;
    browser.until("document.querySelectorAll('tbody tr').length === 2").await;
    browser.click("a.chip[href='/tasks?q=state:success']").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    browser.click(&format!("a[href='/tasks/{good}']")).await;
    browser.until("document.querySelector('h1').textContent === 'shop.add'").await;
    browser.click("nav a[href='/tasks']").await;
    browser.write("#q", "state:failure\u{e007}").await;
    browser.until("new URLSearchParams(location.search).get('q') === 'state:failure'").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    browser.close().await;
    scene.stop().await;
}

#[tokio::test]
async fn a_filter_is_completed_while_it_is_written() {
    let Some(browser) = Browser::start(Scripts::On).await else { return };
    let scene = Scene::start().await;
    scene.run("shop.add", &(1, 2), "SUCCESS").await;
    scene.run("shop.fail", &("x",), "FAILURE").await;
    browser.open(&scene.monitor.url("/tasks")).await;
    browser.until("document.querySelector('#q').getAttribute('role') === 'combobox'").await;
    let offered = |text: &str| {
        format!(
            "[...document.querySelectorAll('.suggest:not([hidden]) li')].some((it) => it.textContent === '{text}')"
        )
    };
    browser.write("#q", "na").await;
    browser.until(&offered("name:")).await;
    browser.press(DOWN).await;
    browser.press(ENTER).await;
    browser.until("document.querySelector('#q').value === 'name:'").await;
    browser.until(&offered("shop.fail")).await;
    browser.press("sho").await;
    browser.press("p.f").await;
    browser.until(&format!("!{}", offered("shop.add"))).await;
    browser.until(&offered("shop.fail")).await;
    browser.press(DOWN).await;
    browser.press("\u{e004}").await;
    browser.until("document.querySelector('#q').value === 'name:shop.fail '").await;
    browser.until("document.querySelector('.suggest').hidden").await;
    browser.press(ENTER).await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;

    browser.open(&scene.monitor.url("/dead")).await;
    browser.until("document.querySelector('#q').getAttribute('role') === 'combobox'").await;
    browser.write("#q", "reason:exh").await;
    browser.until(&offered("exhausted")).await;
    browser.press(DOWN).await;
    browser.press(ENTER).await;
    browser.until("document.querySelector('#q').value === 'reason:exhausted '").await;
    assert!(browser.complaints().await.is_empty());
    browser.close().await;
    scene.stop().await;
}

/// As WebDriver writes these keys.
const ESCAPE: &str = "\u{e00c}";
const ENTER: &str = "\u{e007}";
const DOWN: &str = "\u{e015}";
