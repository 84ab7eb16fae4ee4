//! What is done with staged tasks by hand is in the audit.

use super::desk::{Desk, Kind, double};
use crate::monitor::Shown;
use crate::rig::{PATIENCE, Process, Rig, eventually};
use celeriac::app::App;
use celeriac::outbox::{Flushed, RelayIn};
use celeriac::topology::Topology;
use serde_json::json;

#[tokio::test]
async fn who_retries_and_discards_staged_tasks_is_in_the_audit() {
    let desk = Desk::open(Kind::Sqlite).await.unwrap();
    let rig = Rig::start().await;
    let folder = tempfile::tempdir().unwrap();
    let monitor = Shown::start(&rig, folder.path()).await;
    let app = App::connect(desk.config(&rig, RelayIn::None)).await.unwrap();
    app.broker().declare(&Topology::whole(&app.config().topology(), &[])).await.unwrap();
    let lost = desk.stage(&app, double(0).queue("nobody")).await;
    let flushed = app.relay().unwrap().flush().await.unwrap();
    assert_eq!(flushed, Flushed { sent: 0, failed: 1 });
    let id = lost.id().as_str();
    let file = desk.file("none", "");
    for (arguments, code) in [
        (["outbox", "retry", "--failing"], 0),
        (["outbox", "discard", id], 0),
        (["outbox", "discard", id], 4),
    ] {
        let mut process = rig.celeriac(&arguments, &file).await;
        assert_eq!(process.ended(PATIENCE).await.code(), Some(code), "{}", process.output());
    }
    let path = "/api/v1/audit?q=action:outbox*";
    eventually("the audit", async || {
        let audit = monitor.get(path).await;
        audit["items"].as_array().unwrap().iter().filter(|it| it["ended"].is_string()).count() == 3
    })
    .await;
    let audit = monitor.get(path).await;
    let items = audit["items"].as_array().unwrap();
    let told: Vec<_> = items
        .iter()
        .map(|it| json!([it["action"], it["target"], it["outcome"]["status"]]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["outbox discard", id, "refused"]),
            json!(["outbox discard", id, "done"]),
            json!(["outbox retry", "all that could not be sent", "done"]),
        ]
    );
    let detail = items[2]["outcome"]["results"][0]["detail"].as_str().unwrap();
    assert_eq!(detail, format!("retried {id}"));
    monitor.stop().await;
}

/// The database alone is needed, and it is often the broker why somebody looks.
#[tokio::test]
async fn a_broker_that_is_away_keeps_nobody_from_discarding() {
    let desk = Desk::open(Kind::Sqlite).await.unwrap();
    let app = App::in_memory();
    let staged = desk.stage(&app, double(1)).await;
    let folder = tempfile::tempdir().unwrap();
    // A port on which nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("amqp://127.0.0.1:{port}");
    let file = folder.path().join("celeriac.toml");
    std::fs::write(&file, desk.file("none", "").replace("{url}", &url)).unwrap();
    let arguments = ["outbox", "discard", staged.id().as_str()];
    let mut process = Process::celeriac(&arguments, folder.path());
    let code = process.ended(PATIENCE).await.code();
    let said = process.output();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("not in the audit"), "{said}");
    assert_eq!(desk.staged().await, 0);
}
