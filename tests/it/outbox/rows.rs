//! Rows that cannot be sent wait with their reason, and never hold up others.

use super::desk::{Desk, End, Kind, double};
use crate::rig::{PATIENCE, Process, Rig, eventually};
use celeriac::app::App;
use celeriac::outbox::{Flushed, RelayIn, Which};
use celeriac::topology::{Queue, Topology};
use std::collections::BTreeMap;

async fn outbox(desk: &Desk, rig: &Rig, arguments: &[&str]) -> (Option<i32>, String) {
    let arguments: Vec<&str> = ["outbox"].into_iter().chain(arguments.iter().copied()).collect();
    let mut process = rig.celeriac(&arguments, &desk.file("none", "")).await;
    let code = process.ended(PATIENCE).await.code();
    (code, process.output())
}

async fn app(desk: &Desk, rig: &Rig) -> App {
    let app = App::connect(desk.config(rig, RelayIn::None)).await.unwrap();
    let settings = app.config().topology();
    app.broker().declare(&Topology::whole(&settings, &[])).await.unwrap();
    app
}

async fn an_unroutable_row_waits_and_comes_back(kind: Kind) {
    let Some(desk) = Desk::open(kind).await else { return };
    let rig = Rig::start().await;
    let app = app(&desk, &rig).await;
    let lost = desk.stage(&app, double(0).queue("nobody")).await;
    for n in 1..=3 {
        desk.order(&app, n, End::Commit).await;
    }
    let relay = app.relay().unwrap();
    assert_eq!(relay.flush().await.unwrap(), Flushed { sent: 3, failed: 1 });
    assert_eq!(rig.ready("default").await, 3);
    let failing = desk.outbox.list(Which::Failing, 10).await.unwrap();
    assert_eq!(failing.len(), 1);
    assert_eq!((failing[0].task_id.as_str(), failing[0].attempts), (lost.id().as_str(), 1));
    assert!(failing[0].error.as_ref().unwrap().contains("no queue takes"), "{failing:?}");
    assert!(failing[0].again_in.unwrap() > 0.0);
    // It waits, although somebody looks.
    assert_eq!(relay.flush().await.unwrap(), Flushed::default());
    let (code, said) = outbox(&desk, &rig, &["list", "--failing"]).await;
    assert_eq!(code, Some(0));
    assert!(said.contains(lost.id().as_str()) && said.contains("no queue takes"), "{said}");
    assert!(said.contains("again in"), "{said}");
    app.broker().declare_queue(&Queue::new("nobody", BTreeMap::<String, _>::new())).await.unwrap();
    let (code, said) = outbox(&desk, &rig, &["retry", "--failing"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(lost.id().as_str()), "{said}");
    let relayed = relay.flush().await.unwrap();
    assert_eq!(relayed, Flushed { sent: 1, failed: 0 });
    assert_eq!(rig.ready("nobody").await, 1);
    assert_eq!(desk.staged().await, 0);
}

#[tokio::test]
async fn an_unroutable_row_waits_and_comes_back_in_postgres() {
    an_unroutable_row_waits_and_comes_back(Kind::Postgres).await;
}

#[tokio::test]
async fn an_unroutable_row_waits_and_comes_back_in_sqlite() {
    an_unroutable_row_waits_and_comes_back(Kind::Sqlite).await;
}

#[tokio::test]
async fn a_row_that_no_longer_can_be_read_is_shown_and_set_aside() {
    let desk = Desk::open(Kind::Sqlite).await.unwrap();
    let rig = Rig::start().await;
    let app = app(&desk, &rig).await;
    let damaged = desk.stage(&app, double(1)).await;
    desk.execute("UPDATE celeriac_outbox SET message = 'what is this'").await;
    desk.stage(&app, double(2)).await;
    let relay = app.relay().unwrap();
    assert_eq!(relay.flush().await.unwrap(), Flushed { sent: 1, failed: 1 });
    let (_, said) = outbox(&desk, &rig, &["list", "-o", "json"]).await;
    assert!(said.contains("column `message`"), "{said}");
    let id = damaged.id().as_str();
    let (code, said) = outbox(&desk, &rig, &["discard", id, "no-such-task"]).await;
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(desk.staged().await, 0);
    let (code, _) = outbox(&desk, &rig, &["discard", id]).await;
    assert_eq!(code, Some(4));
}

/// The broker closes the channel, with everything that is on it, and does not say why to each.
#[tokio::test]
async fn a_message_that_the_broker_cannot_bear_is_found_among_others() {
    let rig = Rig::alone_with("max_message_size = 65536").await;
    let desk = Desk::open(Kind::Sqlite).await.unwrap();
    let app = app(&desk, &rig).await;
    for n in 0..20 {
        desk.stage(&app, double(n)).await;
    }
    let large = desk.stage(&app, double(20)).await;
    desk.execute("UPDATE celeriac_outbox SET body = zeroblob(100000) WHERE id = 21").await;
    for n in 21..40 {
        desk.stage(&app, double(n)).await;
    }
    let relay = app.relay().unwrap();
    assert_eq!(relay.flush().await.unwrap(), Flushed { sent: 39, failed: 1 });
    let failing = desk.outbox.list(Which::Failing, 10).await.unwrap();
    assert_eq!(failing[0].task_id, large.id().as_str());
    assert_eq!(failing.len(), 1);
    eventually("the others are there", async || rig.ready("default").await >= 39).await;
}

#[tokio::test]
async fn the_table_is_made_by_the_command_line() {
    let desk = Desk::open(Kind::Sqlite).await.unwrap();
    let rig = Rig::start().await;
    desk.execute("DROP TABLE celeriac_outbox").await;
    let (code, said) = outbox(&desk, &rig, &["list"]).await;
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("celeriac outbox init"), "{said}");
    let (code, said) = outbox(&desk, &rig, &["init"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(desk.staged().await, 0);
    for (database, word) in [("postgres", "plpgsql"), ("sqlite", "AUTOINCREMENT")] {
        let arguments = ["outbox", "init", "--print", database];
        let mut printing = Process::celeriac(&arguments, rig.folder());
        assert!(printing.ended(PATIENCE).await.success());
        assert!(printing.output().contains(word), "{}", printing.output());
    }
}
