//! Messages that a real Celery signs, ours that it verifies, and those that nobody should trust.

use crate::rig::{Celery, PATIENCE, Process, Rig, Running, Signal, add, config, eventually};
use celeriac::archive::{Archive, DeadLetter, Filter};
use celeriac::clock::SystemClock;
use celeriac::config::Config;
use celeriac::handler::{Output, Registry};
use celeriac::publisher::Serializer;
use celeriac::results::ResultFormat;
use celeriac::security::Unsigned;
use celeriac::topology::{QueueKind, QueueTable, RouteSettings};
use std::sync::Arc;
use std::time::SystemTime;

const PROGRAM: &str = include_str!("signed.py");

fn python(rig: &Rig, celery: &Celery, arguments: &[&str]) -> Process {
    let file = rig.folder().join("signed.py");
    std::fs::write(&file, PROGRAM).unwrap();
    let arguments = [&["signed.py"], arguments].concat();
    celery.python(&arguments, &[], &rig.url(), rig.folder())
}

/// Trusts what is in folder `ours`, and signs as `worker`.
fn settings(rig: &Rig) -> Config {
    let mut config = config(&rig.url(), QueueKind::Classic);
    // As Celery declares it.
    let kind = Some(QueueKind::Classic);
    let table = QueueTable { kind, dead_letter: Some(false), ..QueueTable::default() };
    config.queues.insert("default", table);
    let route = RouteSettings { queue: Some("py".to_owned()), ..RouteSettings::default() };
    config.routes.0.push(("py.*".to_owned(), route));
    let file = |name: &str| Some(rig.folder().join(name));
    config.security.certificates = file("ours/*.pem");
    config.security.key_file = file("worker.key");
    config.security.cert_file = file("worker.pem");
    config.publisher.serializer = Serializer::Json;
    config.results.format = ResultFormat::Json;
    config
}

fn tasks() -> Registry {
    let mut registry = Registry::new();
    add(&mut registry, "rs.add", |_, body| {
        let (a, b): (i64, i64) = body.args().unwrap();
        Box::pin(async move { Ok(Output::new(a + b)) })
    });
    registry
}

async fn letters(running: &Running) -> Vec<DeadLetter> {
    let dead = running.app.config().topology().dead.clone();
    let archive = Archive::new(running.app.broker().clone(), dead, Arc::new(SystemClock));
    archive.collect_now().await;
    archive.survey(&Filter::parse("", SystemTime::now()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn signed_messages_go_both_ways_and_through_a_chain() {
    let Some(celery) = Celery::find() else { return };
    let rig = Rig::start().await;
    python(&rig, &celery, &["keys"]).until("that is all").await;
    let mut theirs = python(&rig, &celery, &["worker", "worker"]);
    let running = Running::with(settings(&rig), tasks()).await;
    theirs.until("ready.").await;

    let mut shop = python(&rig, &celery, &["send", "shop"]);
    shop.until("that is all").await;
    for answer in ["json 42", "gzip 43", "chain 21", "msgpack 44"] {
        assert!(shop.output().contains(answer), "{answer} is not in\n{}", shop.output());
    }
    // Celery's worker takes nothing that is not signed.
    let call = running.call::<i64>("py.add", &(1, 2)).await;
    assert_eq!(call.timeout(PATIENCE).await.unwrap(), 3);
    let own = running.call::<i64>("rs.add", &(3, 4)).await;
    assert_eq!(own.timeout(PATIENCE).await.unwrap(), 7, "ours is signed too");
    assert!(letters(&running).await.is_empty());
    theirs.signal(Signal::TERM);
    theirs.ended(PATIENCE).await;
    running.stop().await;
}

#[tokio::test]
async fn what_nobody_trusted_has_signed_is_archived_and_says_why() {
    let Some(celery) = Celery::find() else { return };
    let rig = Rig::start().await;
    python(&rig, &celery, &["keys"]).until("that is all").await;
    let running = Running::with(settings(&rig), tasks()).await;
    let own = running.call::<i64>("rs.add", &(3, 4)).await;
    assert_eq!(own.timeout(PATIENCE).await.unwrap(), 7, "its queue is there");
    let refused = [
        ("nobody", "not signed, and [security] takes only signed messages"),
        ("forger", "the signature does not fit the body"),
        ("stranger", "its certificate is unknown"),
        ("past", "its certificate expired at "),
    ];
    for (who, _) in refused {
        python(&rig, &celery, &["send", who]).until("that is all").await;
    }
    eventually("all are archived", async || letters(&running).await.len() == refused.len()).await;
    for (letter, (who, why)) in letters(&running).await.iter().zip(refused) {
        let error = letter.error.as_deref().unwrap_or_default();
        assert!(error.contains(why), "{who}: {error}");
        assert_eq!(letter.task.as_deref(), Some("rs.add"));
    }
    running.stop().await;

    let mut moving = settings(&rig);
    moving.security.unsigned = Unsigned::Accept;
    moving.worker.queues = vec!["default".to_owned()];
    let running = Running::with(moving, tasks()).await;
    python(&rig, &celery, &["send", "nobody"]).until("that is all").await;
    let done = async || running.status.finished() == 1;
    eventually("the unsigned one is run", done).await;
    assert_eq!(letters(&running).await.len(), refused.len());
    running.stop().await;
}
