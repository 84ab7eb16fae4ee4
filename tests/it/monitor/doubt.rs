//! A letter in doubt: the broker has it, and whoever sent it was never told.

use super::Shown;
use super::bulk::{Alone, OPERATIONS, Shelf, begin, ended, shelved};
use crate::rig::{Proxy, eventually};
use celeriac::config::Config;
use serde_json::{Value, json};

/// One letter at a time.
fn plan() -> Value {
    json!({ "action": "requeue", "rate": 20 })
}

/// The body of a letter as the shelf writes it; no other message of a monitor has it.
const MARKED: &[u8] = b"[[1,\"\\u00fc\"], {},{}]";

/// Waits until the broker has the marked letter, whose confirm does not come through.
async fn until_out(shelf: &Shelf, proxy: &Proxy, done: u64) {
    proxy.until_muted().await;
    eventually("the letter to be in its queue", async || {
        u64::from(shelf.rig.ready("mail").await) == done + 1
    })
    .await;
}

/// What an operation says at its end that has one letter of three in doubt.
fn one_in_doubt(operation: &Value, why: &str) {
    let counts = ["done", "failed", "skipped"].map(|it| operation[it].as_u64().unwrap());
    assert_eq!(counts, [2, 1, 0], "{operation}");
    let error = &operation["errors"][0];
    assert_eq!(error["outcome"], "no_answer", "{operation}");
    let said = error["detail"].as_str().unwrap();
    assert!(said.starts_with(why) && said.contains("may be out or not"), "{operation}");
}

#[tokio::test]
async fn a_letter_whose_confirm_was_lost_with_the_connection_is_named_and_not_sent_again() {
    let shelf = Shelf::set_up().await;
    let sent = shelf.bury(3, "mail", "E: e").await;
    let proxy = shelf.rig.proxy().await;
    let mut config = Config::from(shelf.rig.url_through(&proxy));
    config.monitor.listen = "127.0.0.1:0".to_owned();
    config.monitor.data_dir = shelf.folder.path().display().to_string();
    let monitor = Box::pin(Shown::with(config)).await;
    shelved(&monitor, 3).await;

    proxy.mute_after(MARKED);
    let id = begin(&monitor, &plan()).await;
    proxy.until_muted().await;
    let done = monitor.get(&format!("{OPERATIONS}/{id}")).await["done"].as_u64().unwrap();
    until_out(&shelf, &proxy, done).await;
    proxy.cut();
    proxy.unmute();

    one_in_doubt(&ended(&monitor, &id).await, "the connection broke while it was published");
    assert_eq!(shelf.take("mail", 3).await, sent, "each is out, and once");
    shelved(&monitor, 1).await;
    monitor.stop().await;
}

#[tokio::test]
async fn a_letter_whose_monitor_was_killed_before_the_confirm_is_named_and_not_sent_again() {
    let shelf = Shelf::set_up().await;
    let sent = shelf.bury(3, "mail", "E: e").await;
    let proxy = shelf.rig.proxy().await;
    let url = shelf.rig.url_through(&proxy);
    let mut monitor = Alone::start_at(&shelf.rig, &url).await;
    let open = async |monitor: &Alone| monitor.get("/api/v1/dead?limit=1").await["open"].clone();
    eventually("the letters are in the index", async || open(&monitor).await == 3).await;

    proxy.mute_after(MARKED);
    let id = monitor.post(OPERATIONS, &plan()).await["id"].as_str().unwrap().to_owned();
    let path = format!("{OPERATIONS}/{id}");
    proxy.until_muted().await;
    let done = monitor.get(&path).await["done"].as_u64().unwrap();
    until_out(&shelf, &proxy, done).await;
    monitor.process.kill().await;
    proxy.unmute();

    let monitor = Alone::start_at(&shelf.rig, &url).await;
    eventually("the operation to end", async || monitor.get(&path).await["ended"].is_string())
        .await;
    one_in_doubt(&monitor.get(&path).await, "the monitor ended while it was published");
    assert_eq!(shelf.take("mail", 3).await, sent, "each is out, and once");
    eventually("one letter to stay open", async || open(&monitor).await == 1).await;
}
