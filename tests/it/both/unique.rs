//! Of all calls with one key within a window, one is sent.

use super::stage::Stage;
use celeriac::broker::PublishError;
use celeriac::ids::TaskId;
use celeriac::publisher::{SendError, SendOptions, Sent, UniqueError};
use celeriac::topology::Topology;
use std::time::Duration;

super::both!(
    the_second_is_told_the_id_of_the_first,
    a_key_is_free_again_after_its_window,
    another_window_is_no_way_around,
    the_same_id_is_sent_again,
    what_cannot_be_sent_leaves_its_key_free,
    a_window_that_cannot_be_kept_is_refused,
);

/// A stage with queue `default` and nobody who consumes it.
async fn prepare(stage: &Stage) {
    let whole = Topology::whole(&stage.app().config().topology(), &[]);
    stage.broker().declare(&whole).await.unwrap();
}

async fn send(stage: &Stage, options: SendOptions) -> Result<Sent, SendError> {
    stage.app().client().send("a", &(), &(), options).await
}

fn unique(key: &str, millis: u64) -> SendOptions {
    SendOptions::default().unique(key).within(Duration::from_millis(millis))
}

async fn the_second_is_told_the_id_of_the_first(stage: Stage) {
    prepare(&stage).await;
    for id in [None, Some("order:7")] {
        let key = format!("key of {id:?}");
        let options = unique(&key, 60_000);
        let options = id.map_or(options.clone(), |id| options.id(id));
        let first = send(&stage, options).await.unwrap();
        assert_eq!(first.duplicate_of(), None);
        for _ in 0..2 {
            let second = send(&stage, unique(&key, 60_000)).await.unwrap();
            assert_eq!(second.duplicate_of(), Some(&first.id));
        }
    }
    let other = send(&stage, unique("another", 60_000)).await.unwrap();
    assert_eq!(other.duplicate_of(), None);
    stage.until_ready("default", 3).await;
    stage.end().await;
}

async fn a_key_is_free_again_after_its_window(stage: Stage) {
    prepare(&stage).await;
    let first = send(&stage, unique("k", 700)).await.unwrap();
    let second = send(&stage, unique("k", 700)).await.unwrap();
    assert_eq!(second.duplicate_of(), Some(&first.id));
    // Asking in vain does not make it longer.
    let again = async || send(&stage, unique("k", 700)).await.unwrap().duplicate_of().is_none();
    stage.until("the window is over", again).await;
    assert_eq!(stage.ready("default").await, Some(2));
    stage.end().await;
}

async fn another_window_is_no_way_around(stage: Stage) {
    prepare(&stage).await;
    let first = send(&stage, unique("k", 60_000)).await.unwrap();
    for millis in [30_000, 90_000] {
        let second = send(&stage, unique("k", millis)).await.unwrap();
        assert_eq!(second.duplicate_of(), Some(&first.id), "{millis}");
    }
    stage.end().await;
}

async fn the_same_id_is_sent_again(stage: Stage) {
    prepare(&stage).await;
    let id = TaskId::random();
    for ready in 1..=2 {
        let sent = send(&stage, unique("k", 60_000).id(id.clone())).await.unwrap();
        assert_eq!((sent.duplicate_of(), &sent.id), (None, &id));
        stage.until_ready("default", ready).await;
    }
    stage.end().await;
}

async fn what_cannot_be_sent_leaves_its_key_free(stage: Stage) {
    prepare(&stage).await;
    let lost = send(&stage, unique("k", 60_000).queue("nowhere")).await;
    assert!(matches!(lost, Err(SendError::Publish(PublishError::Unroutable { .. }))), "{lost:?}");
    let sent = send(&stage, unique("k", 60_000)).await.unwrap();
    assert_eq!(sent.duplicate_of(), None);
    stage.end().await;
}

async fn a_window_that_cannot_be_kept_is_refused(stage: Stage) {
    prepare(&stage).await;
    let days = Duration::from_secs(50 * 86_400);
    let refused = send(&stage, SendOptions::default().unique("k").within(days)).await;
    assert!(matches!(refused, Err(SendError::Unique(UniqueError::Window(it))) if it == days));
    stage.end().await;
}
