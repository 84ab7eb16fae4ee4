//! The leader is lost in every way there is; each due run is sent, and once.
//!
//! What may be sent twice is what was published and not yet written down when the leader was lost:
//! decision 0013 has the analysis. Such runs have one id; they are counted here.

use std::time::{Duration, SystemTime};

use super::runs::{account, take};
use super::team::{Loss, Team};
use crate::rig::{Rig, within};

/// A run per second, each of which is made up for.
const FILE: &str = r#"
[log]
level = "info"
[ops]
listen = ""
socket = ""
[scheduler]
heartbeat = "{heartbeat}"
[queues.default]
[schedules.tick]
task = "tick"
every = "1s"
missed = "all"
missed_within = "10m"
"#;

const SECOND: Duration = Duration::from_secs(1);

fn file(heartbeat: &str) -> String {
    FILE.replace("{heartbeat}", heartbeat)
}

/// Awaits that the queue holds a run that was due after now, so that the leader is at work.
async fn until_at_work(rig: &Rig) {
    let before = match rig.consumers("default").await {
        Some(_) => rig.ready("default").await,
        None => 0,
    };
    within(Duration::from_secs(60), "runs go on arriving", async || {
        rig.consumers("default").await.is_some() && rig.ready("default").await >= before + 2
    })
    .await;
}

/// Loses the leader in each of these ways, `rest` apart, and counts what arrived.
async fn lose_leaders(rig: &Rig, heartbeat: &str, losses: &[Loss], rest: Duration) {
    let begun = SystemTime::now();
    let mut team = Team::start(rig, &file(heartbeat)).await;
    let mut took = Vec::new();
    for loss in losses {
        until_at_work(rig).await;
        within(rest + SECOND, "time passes", async || {
            begun.elapsed().is_ok_and(|it| it > rest * took.len() as u32)
        })
        .await;
        took.push((*loss, team.lose(*loss).await));
    }
    until_at_work(rig).await;
    let ended = SystemTime::now();
    team.stop().await;
    let arrived = take(rig).await;
    let (missing, doubled) = account(&arrived, SECOND);
    eprintln!(
        "{} runs in {:?}, {} terms, {doubled} sent twice; nobody led for {took:?}",
        arrived.len() - doubled,
        ended.duration_since(begun).unwrap(),
        team.term,
    );
    assert!(missing.is_empty(), "never sent: {missing:?}");
    // From the first second to the last, and no more.
    let dues = arrived.iter().map(|run| run.due);
    let (first, last) = (dues.clone().min().unwrap(), dues.max().unwrap());
    assert!(first < begun + 10 * SECOND, "the first was due {first:?}, begun {begun:?}");
    assert!(last + 5 * SECOND > ended && last <= ended + SECOND, "{last:?} {ended:?}");
    assert!(doubled <= losses.len(), "{doubled} sent twice in {} losses", losses.len());
    assert!(arrived.iter().all(|run| run.schedule == "tick" && run.term >= 1));
}

#[tokio::test]
async fn each_due_run_is_sent_however_the_leader_is_lost() {
    let rig = Rig::start().await;
    let losses = [Loss::Killed, Loss::Frozen, Loss::Cut, Loss::Silent, Loss::Replaced];
    lose_leaders(&rig, "1s", &losses, Duration::ZERO).await;
}

#[tokio::test]
async fn each_due_run_is_sent_although_the_broker_blocks_and_restarts() {
    let rig = Rig::alone().await;
    let losses = [Loss::Blocked, Loss::BrokerRestarted, Loss::Killed];
    lose_leaders(&rig, "1s", &losses, Duration::ZERO).await;
}

/// `make soak`: two minutes for each way, with the settings of every day.
#[tokio::test]
#[ignore = "takes twelve minutes; `make soak` runs it"]
async fn for_two_minutes_of_each_loss_every_due_run_is_sent() {
    for loss in
        [Loss::Killed, Loss::Frozen, Loss::Cut, Loss::Silent, Loss::Replaced, Loss::BrokerRestarted]
    {
        let rig = Rig::alone().await;
        lose_leaders(&rig, "5s", &[loss; 6], Duration::from_secs(20)).await;
    }
}
