//! Whoever dies, and whenever: what was committed is sent, and nothing else.

use super::desk::{Desk, End, Kind, double};
use super::start;
use crate::rig::{PATIENCE, Process, Proxy, Rig, eventually};
use celeriac::app::App;
use celeriac::config::Config;
use celeriac::outbox::{Flushed, RelayIn, Which};
use celeriac::prelude::*;
use celeriac::shutdown::Shutdown;
use celeriac::topology::Topology;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::process::Command;

/// Where the process that is killed finds its database.
const DYING: &str = "OUTBOX_TEST_DATABASE";

/// Not a test: the process that the next one kills. Orders until it dies.
#[tokio::test]
#[ignore = "run by a_process_killed_at_any_moment_leaves_orders_and_tasks_alike"]
async fn orders_until_it_dies() {
    let Ok(url) = std::env::var(DYING) else { return };
    let pool = celeriac::outbox::sqlx::SqlitePool::connect(&url).await.unwrap();
    let app = App::in_memory();
    for n in 0..i64::MAX {
        let mut transaction = pool.begin().await.unwrap();
        celeriac::outbox::sqlx::query("INSERT INTO orders (n) VALUES ($1)")
            .bind(n)
            .execute(&mut *transaction)
            .await
            .unwrap();
        let _ = double(n).id(format!("order:{n}")).stage(&app, &mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        eprintln!("ordered {n}.");
    }
}

#[tokio::test]
async fn a_process_killed_at_any_moment_leaves_orders_and_tasks_alike() {
    let desk = Desk::open(Kind::Sqlite).await.unwrap();
    let rig = Rig::start().await;
    let mut dying = Command::new(std::env::current_exe().unwrap());
    let test = "outbox::deaths::orders_until_it_dies";
    dying.args(["--ignored", "--exact", "--nocapture", test]).env(DYING, &desk.url);
    let mut dying = Process::spawn(dying);
    dying.until("ordered 50.").await;
    dying.kill().await;
    let orders = desk.orders().await;
    assert!(orders.len() > 50);
    let app = App::connect(desk.config(&rig, RelayIn::None)).await.unwrap();
    declare(&app).await;
    app.relay().unwrap().flush().await.unwrap();
    let expected: Vec<String> = orders.iter().map(|n| format!("order:{n}")).collect();
    let arrived = arrived(&rig, expected.len()).await;
    let once: BTreeMap<String, u32> = expected.into_iter().map(|id| (id, 1)).collect();
    assert_eq!(arrived, once);
}

async fn declare(app: &App) {
    let settings = app.config().topology();
    app.broker().declare(&Topology::whole(&settings, &[])).await.unwrap();
}

/// Which tasks are in the queue `default`, and how often; awaits that so many different ones are.
async fn arrived(rig: &Rig, count: usize) -> BTreeMap<String, u32> {
    // Asked before all of it is on its way to us.
    let ready = rig.ready("default").await;
    let (connection, channel) = rig.channel().await;
    let options = lapin::options::BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut consumer = channel
        .basic_consume("default".into(), "".into(), options, Default::default())
        .await
        .unwrap();
    let mut arrived = BTreeMap::new();
    let mut messages = 0;
    let reading = async {
        while arrived.len() < count || messages < ready {
            let delivery = consumer.next().await.unwrap().unwrap();
            let id = delivery.properties.correlation_id().as_ref().unwrap().to_string();
            *arrived.entry(id).or_insert(0) += 1;
            messages += 1;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, reading).await.is_ok(), "{} arrived", arrived.len());
    connection.close(200, "done".into()).await.unwrap();
    arrived
}

/// Killed again and again while it publishes, in the middle of its batches.
async fn a_killed_relay_loses_nothing(kind: Kind) {
    const TASKS: usize = 3000;
    const BATCH: usize = 50;
    const KILLS: usize = 4;
    let Some(desk) = Desk::open(kind).await else { return };
    let rig = Rig::start().await;
    let app = App::connect(desk.config(&rig, RelayIn::None)).await.unwrap();
    declare(&app).await;
    let flow = group((0..TASKS as i64).map(double));
    let _ = desk.stage_flow(&app, flow).await;
    let file = desk.file("scheduler", &format!("batch = {BATCH}\nlease = \"1s\""));
    for kill in 1..=KILLS {
        let mut relay = rig.celeriac(&["scheduler"], &file).await;
        let before = rig.ready("default").await;
        eventually("some are sent", async || {
            rig.ready("default").await > before || desk.staged().await == 0
        })
        .await;
        relay.kill().await;
        assert!(kill > 1 || desk.staged().await > 0, "it was killed too late to test anything");
    }
    let mut relay = rig.celeriac(&["scheduler"], &file).await;
    eventually("all are sent", async || desk.staged().await == 0).await;
    relay.kill().await;
    let arrived = arrived(&rig, TASKS).await;
    assert_eq!(arrived.len(), TASKS);
    let sent: u32 = arrived.values().sum();
    let twice = sent as usize - TASKS;
    eprintln!("{twice} of {TASKS} tasks were sent twice in {KILLS} kills");
    assert!(twice <= KILLS * BATCH, "{twice}");
}

#[tokio::test]
async fn a_killed_relay_loses_nothing_in_postgres() {
    a_killed_relay_loses_nothing(Kind::Postgres).await;
}

#[tokio::test]
async fn a_killed_relay_loses_nothing_in_sqlite() {
    a_killed_relay_loses_nothing(Kind::Sqlite).await;
}

/// Four relays at once on one table.
async fn several_relays_send_each_task_once(kind: Kind) {
    const TASKS: usize = 2000;
    let Some(desk) = Desk::open(kind).await else { return };
    let rig = Rig::start().await;
    let mut config = desk.config(&rig, RelayIn::None);
    config.outbox.batch = 20;
    let app = App::connect(config).await.unwrap();
    declare(&app).await;
    let _ = desk.stage_flow(&app, group((0..TASKS as i64).map(double))).await;
    let relays: Vec<_> = (0..4).map(|_| app.relay().unwrap()).collect();
    let flushed =
        futures::future::join_all(relays.iter().map(celeriac::outbox::Relay::flush)).await;
    let sent: Vec<usize> = flushed.into_iter().map(|flushed| flushed.unwrap().sent).collect();
    assert_eq!(sent.iter().sum::<usize>(), TASKS, "{sent:?}");
    assert!(sent.iter().filter(|sent| **sent > 0).count() > 1, "they took turns: {sent:?}");
    let arrived = arrived(&rig, TASKS).await;
    assert!(arrived.values().all(|times| *times == 1));
    assert_eq!(arrived.len(), TASKS);
}

#[tokio::test]
async fn several_relays_send_each_task_once_in_postgres() {
    several_relays_send_each_task_once(Kind::Postgres).await;
}

#[tokio::test]
async fn several_relays_send_each_task_once_in_sqlite() {
    several_relays_send_each_task_once(Kind::Sqlite).await;
}

#[tokio::test]
async fn what_is_staged_while_the_broker_is_away_is_sent_when_it_is_back() {
    let desk = Desk::open(Kind::Sqlite).await.unwrap();
    let rig = Rig::alone().await;
    let mut config = desk.config(&rig, RelayIn::Worker);
    config.outbox.lease = Duration::from_secs(4);
    let app = App::connect(config).await.unwrap();
    let shutdown = Shutdown::new();
    let mut running = start(&app, &shutdown);
    let before = desk.order(&app, 1, End::Commit).await;
    assert_eq!(before.timeout(PATIENCE).await.unwrap(), 2);
    rig.node().stop().await;
    let mut handles = Vec::new();
    for n in 2..50 {
        handles.push((n, desk.order(&app, n, End::Commit).await));
    }
    assert_eq!(desk.staged().await, 48);
    rig.node().start().await;
    for (n, handle) in handles {
        assert_eq!(handle.timeout(2 * PATIENCE).await.unwrap(), 2 * n);
    }
    eventually("the table is empty", async || desk.staged().await == 0).await;
    shutdown.drain();
    running.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_database_that_was_away_is_read_again() {
    let Some(mut desk) = Desk::open(Kind::Postgres).await else { return };
    let rig = Rig::start().await;
    let app = App::connect(desk.config(&rig, RelayIn::Worker)).await.unwrap();
    let shutdown = Shutdown::new();
    let mut running = start(&app, &shutdown);
    let before = desk.order(&app, 1, End::Commit).await;
    assert_eq!(before.timeout(PATIENCE).await.unwrap(), 2);
    desk.server.as_mut().unwrap().restart().await;
    let again = Desk::again(&desk).await;
    let after = again.order(&app, 2, End::Commit).await;
    assert_eq!(after.timeout(PATIENCE).await.unwrap(), 4);
    shutdown.drain();
    running.join_next().await.unwrap().unwrap();
}

/// Staging does not need the broker, and says so where a result would.
#[tokio::test]
async fn the_configuration_of_who_only_stages_needs_no_outbox() {
    let desk = Desk::open(Kind::Sqlite).await.unwrap();
    let rig = Rig::start().await;
    let app = App::connect(Config::from(rig.url())).await.unwrap();
    assert!(app.relay().is_none());
    desk.order(&app, 1, End::Commit).await;
    assert_eq!(desk.staged().await, 1);
}

/// A relay whose way to the broker is held by the test, in a process to be killed.
async fn relay_through(rig: &Rig, proxy: &Proxy, file: &str) -> Process {
    let mut relay =
        rig.celeriac(&["scheduler"], &file.replace("{url}", &rig.url_through(proxy))).await;
    relay.until("sending what is staged").await;
    relay
}

/// Killed with a batch claimed of which the broker has nothing, and then with one that the broker has,
/// confirmed, and the relay has not heard of it.
async fn a_relay_killed_within_a_batch_leaves_it_to_others(kind: Kind) {
    let Some(desk) = Desk::open(kind).await else { return };
    let rig = Rig::start().await;
    let app = App::connect(desk.config(&rig, RelayIn::None)).await.unwrap();
    declare(&app).await;
    let file = desk.file("scheduler", "batch = 50\nlease = \"4s\"");
    let proxy = rig.proxy().await;
    let mut relay = relay_through(&rig, &proxy, &file).await;
    proxy.freeze();
    for n in 0..50 {
        desk.stage(&app, double(n).id(format!("task-{n}-"))).await;
    }
    eventually("some are claimed", async || {
        let entries = desk.outbox.list(Which::All, 100).await.unwrap();
        entries.iter().any(|entry| entry.is_being_sent)
    })
    .await;
    relay.kill().await;
    assert_eq!(desk.staged().await, 50);
    assert_eq!(rig.ready("default").await, 0);
    // So that the next has all of them in one batch.
    eventually("the lease is over", async || {
        let entries = desk.outbox.list(Which::All, 100).await.unwrap();
        entries.iter().all(|entry| !entry.is_being_sent)
    })
    .await;

    let proxy = rig.proxy().await;
    proxy.mute_after(b"task-49-");
    let muted = file.replace("{url}", &rig.url_through(&proxy));
    let mut relay = rig.celeriac(&["scheduler"], &muted).await;
    proxy.until_muted().await;
    eventually("the broker has it", async || rig.ready("default").await >= 50).await;
    relay.kill().await;
    assert!(desk.staged().await > 0, "what is not known to be confirmed is not forgotten");

    let mut relay = rig.celeriac(&["scheduler"], &file).await;
    eventually("all are sent", async || desk.staged().await == 0).await;
    relay.kill().await;
    let arrived = arrived(&rig, 50).await;
    assert_eq!(arrived.len(), 50);
    // Which of them depends on how long the relay had until it was killed.
    assert!(arrived.values().any(|times| *times >= 2), "sent again, with their ids: {arrived:?}");
}

#[tokio::test]
async fn a_relay_killed_within_a_batch_leaves_it_to_others_in_postgres() {
    a_relay_killed_within_a_batch_leaves_it_to_others(Kind::Postgres).await;
}

#[tokio::test]
async fn a_relay_killed_within_a_batch_leaves_it_to_others_in_sqlite() {
    a_relay_killed_within_a_batch_leaves_it_to_others(Kind::Sqlite).await;
}

/// A relay that is not run for longer than its lease, as a process that is frozen or a machine that
/// sleeps, finds that another has its rows, and leaves them to it.
async fn a_relay_that_was_frozen_leaves_its_rows_to_who_has_them(kind: Kind) {
    const LEASE: Duration = Duration::from_secs(2);
    let Some(desk) = Desk::open(kind).await else { return };
    let rig = Rig::start().await;
    let mut config = desk.config(&rig, RelayIn::None);
    declare(&App::connect(config.clone()).await.unwrap()).await;
    for n in 0..20 {
        desk.stage(&App::in_memory(), double(n)).await;
    }
    // Who cannot read a row puts it off.
    desk.execute("UPDATE celeriac_outbox SET message = 'what is this' WHERE id = 7").await;
    let claimed = async || {
        let entries = desk.outbox.list(Which::All, 100).await.unwrap();
        entries.iter().all(|entry| entry.is_being_sent)
    };
    let (silent, slow) = (rig.proxy().await, rig.proxy().await);
    config.broker.url = rig.url_through(&silent).as_str().into();
    config.outbox.lease = LEASE;
    let frozen = App::connect(config.clone()).await.unwrap();
    silent.freeze();
    let relay = frozen.relay().unwrap();
    let mut flushing = Box::pin(relay.flush());
    tokio::select! {
        _ = &mut flushing => panic!("nothing can be sent"),
        () = eventually("the first claims all", claimed) => {}
    }
    // From here on nobody polls it.
    eventually("the lease is over", async || !claimed().await).await;
    config.broker.url = rig.url_through(&slow).as_str().into();
    config.outbox.lease = Duration::from_secs(60);
    let awake = App::connect(config).await.unwrap();
    slow.freeze();
    let other = awake.relay().unwrap();
    let mut sending = Box::pin(other.flush());
    tokio::select! {
        _ = &mut sending => panic!("nothing can be sent yet"),
        () = eventually("the second claims all", claimed) => {}
    }
    let sent = flushing.await.map_or(0, |flushed| flushed.sent);
    assert_eq!(sent, 0, "what it could not send in time, it gives back, or puts off");
    assert!(claimed().await, "and not what others have claimed meanwhile");
    slow.thaw();
    assert_eq!(sending.await.unwrap(), Flushed { sent: 19, failed: 1 });
    let left = desk.outbox.list(Which::All, 100).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.attempts).collect::<Vec<_>>(), [1]);
    assert_eq!(arrived(&rig, 19).await.len(), 19);
}

#[tokio::test]
async fn a_relay_that_was_frozen_leaves_its_rows_to_who_has_them_in_postgres() {
    a_relay_that_was_frozen_leaves_its_rows_to_who_has_them(Kind::Postgres).await;
}

#[tokio::test]
async fn a_relay_that_was_frozen_leaves_its_rows_to_who_has_them_in_sqlite() {
    a_relay_that_was_frozen_leaves_its_rows_to_who_has_them(Kind::Sqlite).await;
}
