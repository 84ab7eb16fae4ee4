//! Uniqueness while everything around it fails.

use crate::rig::{PATIENCE, Rig};
use celeriac::app::App;
use celeriac::publisher::{SendError, SendOptions, Sent};
use celeriac::topology::Topology;
use futures::future::join_all;
use std::collections::BTreeSet;
use std::time::Duration;

async fn apps(rig: &Rig, count: usize) -> Vec<App> {
    let url = rig.url();
    let connecting = (0..count).map(|_| App::connect(url.as_str()));
    let apps: Vec<App> = join_all(connecting).await.into_iter().map(Result::unwrap).collect();
    let settings = apps[0].config().topology();
    apps[0].broker().declare(&Topology::whole(&settings, &[])).await.unwrap();
    apps
}

async fn send(app: &App, key: &str) -> Result<Sent, SendError> {
    let options = SendOptions::default().unique(key).within(Duration::from_secs(3600));
    app.client().send("a", &(), &(), options.deadline(PATIENCE)).await
}

/// The ids under which a key was sent, and the ids that others were told.
fn ids(sent: &[Sent]) -> (Vec<String>, BTreeSet<String>) {
    let new = sent.iter().filter(|sent| sent.duplicate_of().is_none());
    let told = sent.iter().filter_map(Sent::duplicate_of);
    (new.map(|sent| sent.id.to_string()).collect(), told.map(ToString::to_string).collect())
}

#[tokio::test]
async fn of_many_who_send_at_once_exactly_one_does() {
    let rig = Rig::start().await;
    let apps = apps(&rig, 4).await;
    for round in 0..10 {
        let key = format!("key {round}");
        let sending = apps.iter().cycle().take(32).map(|app| send(app, &key));
        let sent: Vec<Sent> =
            join_all(sending).await.into_iter().map(|sent| sent.unwrap()).collect();
        let (new, told) = ids(&sent);
        assert_eq!(new.len(), 1, "{new:?}");
        assert_eq!(told, new.into_iter().collect());
    }
    assert_eq!(rig.ready("default").await, 10);
}

#[tokio::test]
async fn connections_that_break_make_no_second_one() {
    let rig = Rig::start().await;
    let apps = apps(&rig, 4).await;
    for round in 0..3 {
        let key = format!("key {round}");
        let sending = join_all(apps.iter().cycle().take(24).map(|app| send(app, &key)));
        let (sent, closed) = tokio::join!(sending, rig.close_connections());
        // The management may not have known of them yet; then this round was a quiet one.
        tracing::info!(closed, "connections closed");
        let sent: Vec<Sent> = sent.into_iter().flatten().collect();
        let (new, told) = ids(&sent);
        assert!(new.len() <= 1, "{new:?}");
        assert!(told.len() <= 1, "{told:?}");
        assert!(new.iter().all(|id| told.is_empty() || told.contains(id)), "{new:?} {told:?}");
    }
}

#[tokio::test]
async fn a_key_stays_taken_when_the_broker_is_killed() {
    let rig = Rig::alone().await;
    let apps = apps(&rig, 1).await;
    let first = send(&apps[0], "k").await.unwrap();
    rig.node().kill().await;
    rig.node().start().await;
    let second = send(&apps[0], "k").await.unwrap();
    assert_eq!(second.duplicate_of(), Some(&first.id));
}

/// Takes the key and dies before it sends, which is what a lock without a message looks like.
#[tokio::test]
async fn who_repeats_the_call_of_a_dead_sender_by_its_id_sends_it() {
    let rig = Rig::start().await;
    let apps = apps(&rig, 2).await;
    let call = |app: &App| {
        let client = app.client().clone();
        async move {
            let options = SendOptions::default().unique("k").id("request:1");
            client.send("a", &(), &(), options).await.unwrap()
        }
    };
    let first = call(&apps[0]).await;
    // The message never arrived.
    rig.purge("default").await;
    let stranger = send(&apps[1], "k").await.unwrap();
    assert_eq!(stranger.duplicate_of(), Some(&first.id));
    let again = call(&apps[1]).await;
    assert_eq!(again.duplicate_of(), None);
    assert_eq!(rig.ready("default").await, 1);
}
