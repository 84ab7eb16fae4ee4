//! A queue that Celery's workers consume is paused as far as they can: until they restart.

use super::{Stage, THEIRS};
use crate::rig::{PATIENCE, eventually};
use celeriac::control::{Caller, Heeded, Pause, pause, resume};
use std::time::SystemTime;

#[tokio::test]
async fn celerys_workers_are_told_and_said_to_forget_it() {
    let Some(stage) = Stage::start().await else { return };
    let _theirs = stage.with_python().await;
    let mut caller = Caller::open(stage.ours.app.broker()).await.unwrap();
    let said = || Pause::new("ana", SystemTime::now(), "smtp down");

    let told = pause(&mut caller, "python", said(), PATIENCE).await.unwrap();
    let expected = Heeded::UntilRestart("no longer consuming from python".to_owned());
    assert_eq!(told.workers.iter().collect::<Vec<_>>(), [(&THEIRS.to_owned(), &expected)]);
    let consumers = async |number| {
        eventually("its consumer", async || stage.rig.consumers("python").await == Some(number))
            .await;
    };
    consumers(0).await;

    let told = resume(&mut caller, "python", said(), PATIENCE).await.unwrap();
    let expected = Heeded::UntilRestart("add consumer python".to_owned());
    assert_eq!(told.workers.iter().collect::<Vec<_>>(), [(&THEIRS.to_owned(), &expected)]);
    consumers(1).await;
    caller.close().await;
    stage.stop().await;
}
