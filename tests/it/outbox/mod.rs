//! The transactional outbox: staged in PostgreSQL and SQLite, sent if and only if it is committed.

mod audit;
mod deaths;
mod desk;
mod rows;

use crate::results::Store;
use crate::rig::{PATIENCE, Rig, eventually};
use celeriac::app::App;
use celeriac::client::StageError;
use celeriac::outbox::{Flushed, InsertError, RelayIn, Which, Whose, sqlx};
use celeriac::prelude::*;
use celeriac::publisher::UniqueError;
use celeriac::results::Backend;
use celeriac::shutdown::Shutdown;
use celeriac::testing::TestWorker;
use desk::{Desk, End, Kind, double, total};
use std::time::Duration;
use tokio::task::JoinSet;

/// A worker that runs what is staged, and sends it itself if its configuration says so.
fn start(app: &App, shutdown: &Shutdown) -> JoinSet<()> {
    let worker = Worker::new(app).register::<double>().register::<total>();
    let shutdown = shutdown.clone();
    let mut running = JoinSet::new();
    running.spawn(async move { worker.run(shutdown).await.unwrap() });
    running
}

async fn what_is_committed_runs_and_what_is_rolled_back_never_does(kind: Kind) {
    let Some(desk) = Desk::open(kind).await else { return };
    let rig = Rig::start().await;
    let app = App::connect(desk.config(&rig, RelayIn::Worker)).await.unwrap();
    let first = desk.order(&app, 1, End::Commit).await;
    let never = desk.order(&app, 2, End::Rollback).await;
    let last = desk.order(&app, 3, End::Commit).await;
    assert_eq!(desk.staged().await, 2);
    assert_eq!(rig.queue("default").await.map_or(0, |queue| queue.ready), 0);
    let shutdown = Shutdown::new();
    let mut running = start(&app, &shutdown);
    assert_eq!(first.timeout(PATIENCE).await.unwrap(), 2);
    assert_eq!(last.timeout(PATIENCE).await.unwrap(), 6);
    eventually("the table is empty", async || desk.staged().await == 0).await;
    assert_eq!(desk.orders().await, [1, 3]);
    shutdown.drain();
    running.join_next().await.unwrap().unwrap();
    // Nothing else was sent, whatever its id.
    assert_eq!(rig.ready("default").await, 0);
    assert_eq!(never.state(), celeriac::protocol::TaskState::Pending);
}

#[tokio::test]
async fn a_task_goes_the_way_of_its_transaction_in_postgres() {
    what_is_committed_runs_and_what_is_rolled_back_never_does(Kind::Postgres).await;
}

#[tokio::test]
async fn a_task_goes_the_way_of_its_transaction_in_sqlite() {
    what_is_committed_runs_and_what_is_rolled_back_never_does(Kind::Sqlite).await;
}

/// A chain, a group and a chord; the chord is joined by RabbitMQ alone.
async fn workflows_are_staged_whole(kind: Kind) {
    let Some(desk) = Desk::open(kind).await else { return };
    let rig = Rig::start().await;
    let app = App::connect(desk.config(&rig, RelayIn::Worker)).await.unwrap();
    let chain = desk.stage_flow(&app, double(1).then(double::partial())).await;
    let many = desk.stage_flow(&app, group((0..700).map(double))).await;
    let chord = desk.stage_flow(&app, group((0..100).map(double)).then(total::partial())).await;
    assert_eq!(desk.staged().await, 801);
    let shutdown = Shutdown::new();
    let mut running = start(&app, &shutdown);
    assert_eq!(chain.timeout(PATIENCE).await.unwrap(), 4);
    let doubled: Vec<i64> = (0..700).map(|n| 2 * n).collect();
    assert_eq!(many.timeout(PATIENCE).await.unwrap(), doubled);
    assert_eq!(chord.timeout(PATIENCE).await.unwrap(), 9900);
    shutdown.drain();
    running.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn workflows_are_staged_whole_in_postgres() {
    workflows_are_staged_whole(Kind::Postgres).await;
}

#[tokio::test]
async fn workflows_are_staged_whole_in_sqlite() {
    workflows_are_staged_whole(Kind::Sqlite).await;
}

/// A relay begins the chord in the store before it sends its members.
async fn a_chord_is_staged_whole(backend: Backend) {
    let Some(store) = Store::start(backend).await else { return };
    let desk = Desk::open(Kind::Sqlite).await.unwrap();
    let rig = Rig::start().await;
    let mut config = desk.config(&rig, RelayIn::Worker);
    store.configure(&mut config);
    let app = App::connect(config).await.unwrap();
    let inner = |from: i64| group((from..from + 20).map(double)).then(total::partial());
    let chord = desk.stage_flow(&app, group((0..100).map(double)).then(total::partial())).await;
    let nested = desk.stage_flow(&app, group([inner(0), inner(100)]).then(total::partial())).await;
    assert_eq!(desk.staged().await, 140);
    let shutdown = Shutdown::new();
    let mut running = start(&app, &shutdown);
    assert_eq!(chord.timeout(PATIENCE).await.unwrap(), 9900);
    assert_eq!(nested.timeout(PATIENCE).await.unwrap(), 4760);
    shutdown.drain();
    running.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_chord_is_staged_whole_over_redis() {
    a_chord_is_staged_whole(Backend::Redis).await;
}

#[tokio::test]
async fn a_chord_is_staged_whole_over_postgres() {
    a_chord_is_staged_whole(Backend::Postgres).await;
}

#[tokio::test]
async fn a_chord_is_staged_whole_over_sqlite() {
    a_chord_is_staged_whole(Backend::Sqlite).await;
}

/// It is put off like every row that cannot be sent, and the rest goes on.
#[tokio::test]
async fn a_chord_whose_store_is_away_waits_and_keeps_nobody_waiting() {
    let Some(mut store) = Store::start(Backend::Redis).await else { return };
    let desk = Desk::open(Kind::Sqlite).await.unwrap();
    let rig = Rig::start().await;
    let mut config = desk.config(&rig, RelayIn::None);
    store.configure(&mut config);
    let app = App::connect(config).await.unwrap();
    let shutdown = Shutdown::new();
    let mut running = start(&app, &shutdown);
    let chord = desk.stage_flow(&app, group((0..3).map(double)).then(total::partial())).await;
    let alone = desk.stage(&app, double(21)).await;
    store.server().kill().await;
    let relay = app.relay().unwrap();
    assert_eq!(relay.flush().await.unwrap(), Flushed { sent: 1, failed: 3 });
    let failing = desk.outbox.list(Which::Failing, 10).await.unwrap();
    assert!(failing.iter().all(|entry| {
        entry.error.as_ref().is_some_and(|error| error.contains("the chord is not begun"))
    }));
    store.server().start().await;
    assert_eq!(alone.timeout(PATIENCE).await.unwrap(), 42);
    assert_eq!(desk.outbox.retry(&Whose::Failing).await.unwrap().len(), 3);
    assert_eq!(relay.flush().await.unwrap(), Flushed { sent: 3, failed: 0 });
    assert_eq!(chord.timeout(PATIENCE).await.unwrap(), 6);
    shutdown.drain();
    running.join_next().await.unwrap().unwrap();
}

/// Nobody polls within the hour.
#[tokio::test]
async fn postgres_tells_at_once_that_something_was_staged() {
    let Some(desk) = Desk::open(Kind::Postgres).await else { return };
    let rig = Rig::start().await;
    let mut config = desk.config(&rig, RelayIn::Worker);
    config.outbox.poll = Duration::from_secs(3600);
    let app = App::connect(config).await.unwrap();
    let shutdown = Shutdown::new();
    let mut running = start(&app, &shutdown);
    // The first few may be found by looks before it listens.
    for n in 0..10 {
        let handle = desk.order(&app, n, End::Commit).await;
        assert_eq!(handle.timeout(PATIENCE).await.unwrap(), 2 * n);
    }
    shutdown.drain();
    running.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_that_cannot_be_staged_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("new.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let app = App::in_memory();
    let missing = double(1).stage(&app, &mut *connection).await.unwrap_err();
    assert!(matches!(missing, StageError::Insert(InsertError::NoTable)), "{missing}");
    assert!(missing.to_string().contains("celeriac outbox init"), "{missing}");
    let unique = double(1).unique("k").stage(&app, &mut *connection).await.unwrap_err();
    let why = |error: &StageError| match error {
        StageError::Send(SendError::Unique(why)) => Some(why.clone()),
        _ => None,
    };
    assert_eq!(why(&unique), Some(UniqueError::Staged), "{unique}");
    let Some(desk) = Desk::open(Kind::Postgres).await else { return };
    desk.execute("DROP TABLE celeriac_outbox").await;
    let pool = sqlx::PgPool::connect(&desk.url).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let missing = double(1).stage(&app, &mut *connection).await.unwrap_err();
    assert!(matches!(missing, StageError::Insert(InsertError::NoTable)), "{missing}");
}

/// Without a broker: a countdown counts from the moment of staging, whenever it is sent.
#[tokio::test]
async fn a_countdown_counts_from_staging() {
    let desk = Desk::open(Kind::Sqlite).await.unwrap();
    let mut config = celeriac::config::Config::default();
    config.outbox.url = desk.url.as_str().into();
    let app = App::in_memory_with(config).unwrap();
    let worker = TestWorker::new(&app).register::<double>();
    let minute = Duration::from_secs(60);
    let handle = desk.stage(&app, double(21).countdown(10 * minute).priority(7)).await;
    worker.advance(4 * minute).await;
    assert_eq!(app.sent::<double>(), []);
    let relay = app.relay().unwrap();
    assert_eq!(relay.flush().await.unwrap().sent, 1);
    assert_eq!(app.sent::<double>(), [(21,)]);
    let sent = app.sent_named("shop.double").remove(0);
    assert_eq!((sent.properties.priority, &sent.headers.id), (Some(7), handle.id()));
    assert!(sent.exchange.contains("delay"), "it waits in the broker: {}", sent.exchange);
    let report = worker.advance(5 * minute).await;
    assert_eq!(report.of::<double>().attempts(), 0);
    let report = worker.advance(minute).await;
    assert_eq!(report.of::<double>().attempts(), 1);
    assert_eq!(handle.await.unwrap(), 42);
    assert_eq!(relay.flush().await.unwrap().sent, 0);
}
