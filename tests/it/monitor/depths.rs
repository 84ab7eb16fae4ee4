//! How deep queues were, over a restart of the monitor.

use super::Shown;

use crate::rig::{Rig, config, eventually};
use celeriac::app::App;
use celeriac::publisher::SendOptions;
use celeriac::topology::QueueKind;
use serde_json::{Value, json};

/// The most that waited in `default` in any stretch of the last quarter of an hour.
async fn most(monitor: &Shown) -> Option<u64> {
    let series = monitor.get("/api/v1/series?metric=depth&queue=default").await;
    assert_eq!(series["step"], 60.0, "{series}");
    let values = series["series"][0]["values"].as_array().cloned().unwrap_or_default();
    assert_eq!(values.len(), series["times"].as_array().unwrap().len(), "{series}");
    values.iter().filter_map(Value::as_u64).max()
}

#[tokio::test]
async fn how_deep_a_queue_was_is_known_to_a_monitor_that_was_started_again() {
    let (rig, folder) = (Rig::start().await, tempfile::tempdir().unwrap());
    let monitor = Shown::start(&rig, folder.path()).await;
    let mut config = config(&rig.url(), QueueKind::Quorum);
    config.events.sent = true;
    let app = App::connect(config).await.unwrap();
    for _ in 0..3 {
        app.client().send("shop.add", &(1, 2), &(), SendOptions::default()).await.unwrap();
    }
    eventually("the depth to be seen", async || most(&monitor).await == Some(3)).await;
    monitor.stop().await;

    rig.purge("default").await;
    let monitor = Shown::start(&rig, folder.path()).await;
    assert_eq!(most(&monitor).await, Some(3));
    let page = monitor.ask("/queues/default?range=15m").await.text().await.unwrap();
    assert!(page.contains("Messages that were ready: 3 at most"), "{page}");
    // One look alone is no line.
    let list = monitor.ask("/queues").await.text().await.unwrap();
    assert!(list.contains("<svg class=\"spark"), "{list}");
    let all = monitor.get("/api/v1/queues").await;
    assert_eq!(all[0]["name"], json!("default"), "{all}");
    // A week is there in hours, on the page with their days.
    let week = monitor.get("/api/v1/series?metric=depth&queue=default&range=7d").await;
    assert_eq!((&week["step"], &week["series"][0]["values"][0]), (&json!(3600.0), &json!(3)));
    let page = monitor.ask("/queues/default?range=7d").await.text().await.unwrap();
    assert!(page.contains("aria-current=\"true\">7 d</a>"), "{page}");
    assert!(page.contains("Messages that were ready: 3 at most"), "{page}");
    assert!(page.contains("<time class=\"day\"") && page.len() < 100_000, "{page}");
    let refused = monitor.ask("/api/v1/series?queue=default").await;
    assert_eq!(refused.status(), 400);
    monitor.stop().await;
    app.close().await;
}
