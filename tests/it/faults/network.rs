//! The way to the broker: cut, frozen, half open, cut in the middle of a frame, again and again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use celeriac::app::App;
use celeriac::config::Config;
use celeriac::handler::{Output, Registry};
use celeriac::publisher::SendOptions;
use celeriac::topology::{QueueKind, Topology};
use tokio::sync::watch;

use super::accounts::{Load, Runs, archived, until_empty};
use crate::rig::{Proxy, Rig, Running, add, config, eventually};

/// Notices within two seconds that the broker is silent, and comes back at once.
pub(super) fn alert(url: &str, kind: QueueKind) -> Config {
    let mut config = config(url, kind);
    config.broker.heartbeat = Duration::from_secs(1);
    config.broker.connect_timeout = Duration::from_millis(500);
    config.broker.reconnect.min = Duration::from_millis(50);
    config.broker.reconnect.max = Duration::from_millis(200);
    config.worker.prefetch = 10.into();
    config
}

/// A task that is recorded when it begins and when it ends, and between the two waits for the gate.
fn held(registry: &mut Registry, begun: &Runs, ended: &Runs, gate: &watch::Sender<bool>) {
    let (begun, ended, gate) = (begun.clone(), ended.clone(), gate.clone());
    add(registry, "held", move |cx, _| {
        let (ended, mut gate) = (ended.clone(), gate.subscribe());
        begun.record(cx.id().as_str());
        Box::pin(async move {
            gate.wait_for(|open| *open).await.unwrap();
            ended.record(cx.id().as_str());
            Ok(Output::none())
        })
    });
}

/// Ten deliveries are with the worker, one of them running, when `fault` hits. The running one is
/// finished and not acknowledged, the others are not begun; the broker hands out all ten again.
async fn deliveries_of_a_lost_connection_are_void(
    kind: QueueKind,
    fault: impl AsyncFnOnce(&Running, &Proxy),
) {
    let rig = Rig::start().await;
    let proxy = rig.proxy().await;
    let (begun, ended, gate) = (Runs::default(), Runs::default(), watch::Sender::new(false));
    let mut registry = Registry::new();
    held(&mut registry, &begun, &ended, &gate);
    let mut config = alert(&rig.url_through(&proxy), kind);
    config.worker.concurrency = 1.into();
    let running = Running::with(config, registry).await;
    let mut ids = BTreeSet::new();
    for number in 0..10 {
        let options = SendOptions::default().id(number.to_string());
        ids.insert(
            running.app.client().send("held", &(), &(), options).await.unwrap().id.to_string(),
        );
    }
    begun.until("one begins", |runs| !runs.is_empty()).await;
    eventually("all are with the worker", async || rig.ready("default").await == 0).await;

    let hit = Instant::now();
    fault(&running, &proxy).await;
    eventually("both connections are back", async || running.app.broker().is_connected()).await;
    eprintln!("{kind:?}: connected again {:?} after the fault", hit.elapsed());
    gate.send_replace(true);

    ended.until_all(&ids).await;
    ended.until("the one that ran runs again", |runs| runs.len() == 11).await;
    running.stop().await;
    until_empty(&rig, "default").await;
    assert_eq!((begun.len(), begun.of("0"), begun.repeated()), (11, 2, 1), "{:?}", begun.counts());
    assert_eq!(ended.counts(), begun.counts());
    assert!(archived(&rig).await.is_empty());
}

async fn cut(_: &Running, proxy: &Proxy) {
    let before = proxy.accepted();
    proxy.cut();
    eventually("two new connections", async || proxy.accepted() >= before + 2).await;
}

async fn freeze(running: &Running, proxy: &Proxy) {
    proxy.freeze();
    let lost = async || !running.app.broker().is_connected();
    eventually("the silence is noticed by its heartbeat", lost).await;
    // So many vain attempts take three seconds, in which the other connection is missed as well.
    let before = proxy.accepted();
    eventually("attempts to connect go on", async || proxy.accepted() >= before + 6).await;
    proxy.thaw();
}

async fn half_open(_: &Running, proxy: &Proxy) {
    let before = proxy.accepted();
    proxy.half_open();
    eventually("two new connections", async || proxy.accepted() >= before + 2).await;
}

#[tokio::test]
async fn a_cut_connection_voids_what_it_brought() {
    deliveries_of_a_lost_connection_are_void(QueueKind::Quorum, cut).await;
}

#[tokio::test]
async fn a_cut_connection_voids_what_it_brought_from_a_classic_queue() {
    deliveries_of_a_lost_connection_are_void(QueueKind::Classic, cut).await;
}

#[tokio::test]
async fn a_frozen_connection_is_noticed_and_voids_what_it_brought() {
    deliveries_of_a_lost_connection_are_void(QueueKind::Quorum, freeze).await;
}

#[tokio::test]
async fn a_half_open_connection_is_noticed_and_voids_what_it_brought() {
    deliveries_of_a_lost_connection_are_void(QueueKind::Quorum, half_open).await;
}

/// Publisher and worker on a line that breaks ten times, at places that chance chose.
async fn nothing_is_lost_on_a_line_that_keeps_breaking(kind: QueueKind) {
    const CUTS: u32 = 10;
    const LANES: usize = 8;
    let rig = Rig::start().await;
    let proxy = rig.proxy().await;
    let runs = Runs::default();
    let mut registry = Registry::new();
    runs.register(&mut registry, "step");
    let running = Running::with(alert(&rig.url_through(&proxy), kind), registry).await;
    let load = Load::start(running.app.client(), "step", LANES, Duration::from_secs(60));
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..CUTS {
        load.until_more(100).await;
        proxy.cut_after(random.u64(0..2_000));
        load.until_more(20).await;
        proxy.cut();
    }
    load.until_more(100).await;
    let sent = load.stop().await;
    assert!(sent.refused.is_empty(), "{:?}", sent.refused);
    runs.until_all(&sent.accepted).await;
    running.stop().await;
    until_empty(&rig, "default").await;
    assert!(archived(&rig).await.is_empty());
    let known: BTreeSet<_> = runs.counts().into_keys().collect();
    assert_eq!(known, sent.accepted, "what ran is what was sent");
    let repeated = runs.repeated();
    eprintln!("{kind:?}: {} sent, {repeated} runs repeated in {CUTS} double cuts", known.len());
    assert!(repeated <= 2 * CUTS as usize * (10 + LANES), "{repeated} repeated");
}

#[tokio::test]
async fn nothing_is_lost_on_a_line_that_keeps_breaking_with_quorum_queues() {
    nothing_is_lost_on_a_line_that_keeps_breaking(QueueKind::Quorum).await;
}

#[tokio::test]
async fn nothing_is_lost_on_a_line_that_keeps_breaking_with_classic_queues() {
    nothing_is_lost_on_a_line_that_keeps_breaking(QueueKind::Classic).await;
}

/// A worker that starts in that moment must not end.
#[tokio::test]
async fn a_declaration_whose_connection_is_cut_is_made_again_on_the_next() {
    let rig = Rig::start().await;
    let proxy = rig.proxy().await;
    let config = config(&rig.url_through(&proxy), QueueKind::Quorum);
    let settings = config.topology();
    let app = App::connect(config).await.unwrap();
    for bytes in [300, 3_000] {
        proxy.cut_after(bytes);
        app.broker().declare(&Topology::whole(&settings, &[])).await.unwrap();
    }
    let ladder = Topology::ladder(&settings);
    assert!(app.broker().verify(&ladder).await.is_ok());
    app.close().await;
}
