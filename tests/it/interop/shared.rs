//! One virtual host, the same queues, consumed by both fleets: whoever declares them first, classic and
//! quorum, with Celery's own queues for delays.

use std::time::Duration;

use celeriac::config::Config;
use celeriac::publisher::SendOptions;
use celeriac::topology::{QueueKind, QueueTable, Topology};
use serde_json::json;

use super::fleet::{self, rows};
use crate::rig::{Celery, PATIENCE, Process, Rig, Running, Server, Signal, eventually};

const SHARED: &str = include_str!("shared.py");
const QUEUES: [&str; 2] = ["classic", "quorum"];

/// Who is there first.
#[derive(Debug, Clone, Copy, PartialEq)]
enum First {
    Celery,
    Us,
}

#[tokio::test]
async fn both_fleets_share_queues_whoever_declares_them() {
    let Some(celery) = Celery::find() else { return };
    let Some(redis) = Server::redis().await else { return };
    tokio::join!(share(&celery, &redis, First::Celery), share(&celery, &redis, First::Us));
}

async fn share(celery: &Celery, redis: &Server, first: First) {
    let rig = Rig::start().await;
    let settings = settings(&rig, redis);
    let (ours, mut theirs) = match first {
        First::Celery => {
            let mut theirs = worker(celery, redis, &rig);
            theirs.until("ready.").await;
            (start(settings, redis).await, theirs)
        }
        First::Us => {
            let ours = start(settings, redis).await;
            let queues = QUEUES.map(str::to_owned);
            let ladder = Topology::celery_ladder(&ours.app.config().topology(), &queues);
            let broker = ours.app.broker();
            let declared = async || broker.declare(&ladder).await.is_ok();
            eventually("our queues are there, to be bound to Celery's delays", declared).await;
            let mut theirs = worker(celery, redis, &rig);
            theirs.until("ready.").await;
            (ours, theirs)
        }
    };
    for queue in QUEUES {
        let both = async || rig.consumers(queue).await == Some(2);
        eventually("both consume", both).await;
    }
    let mut producer = python(celery, redis, &rig, &["-c", SHARED]);
    let rows = rows(&mut producer).await;
    for kind in QUEUES {
        let expected = json!({
            "name": kind,
            "now": (0..20).collect::<Vec<_>>(),
            "later": (1..7).collect::<Vec<_>>(),
            "waited": true,
            "retried": 20,
            "fleets": ["celery", "ours"],
        });
        assert_eq!(rows[kind], expected, "{first:?} first");
        let later = SendOptions::default().queue(kind).countdown(Duration::from_millis(300));
        let sum = ours.app.client().call::<i64>("rs.add", &(20, 22), &(), later).await.unwrap();
        assert_eq!(sum.timeout(PATIENCE).await.unwrap(), 42);
    }
    theirs.signal(Signal::TERM);
    theirs.ended(PATIENCE).await;
    assert!(!theirs.output().contains("PRECONDITION"), "{}", theirs.output());
    ours.stop().await;
}

/// As Celery declares them: nothing that it does not say.
fn settings(rig: &Rig, redis: &Server) -> Config {
    let mut settings = fleet::settings(rig, redis, "classic");
    let kind = Some(QueueKind::Quorum);
    let table = QueueTable { kind, dead_letter: Some(false), ..QueueTable::default() };
    settings.queues.insert("quorum", table);
    settings.worker.queues = QUEUES.map(str::to_owned).to_vec();
    settings.worker.name = "ours@here".to_owned();
    settings
}

async fn start(settings: Config, redis: &Server) -> Running {
    Running::with(settings, fleet::registry(&redis.url())).await
}

fn worker(celery: &Celery, redis: &Server, rig: &Rig) -> Process {
    let arguments = ["-m", "celery", "-A", "app", "worker", "--pool=solo", "--loglevel=INFO"];
    python(celery, redis, rig, &[&arguments[..], &["--without-mingle"]].concat())
}

fn python(celery: &Celery, redis: &Server, rig: &Rig, arguments: &[&str]) -> Process {
    std::fs::write(rig.folder().join("app.py"), fleet::APP).unwrap();
    let env = [("REDIS_URL", redis.url()), ("SHARED", "yes".to_owned())];
    celery.python(arguments, &env, &rig.url(), rig.folder())
}
