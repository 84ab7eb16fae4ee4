//! What happens: work is sent, things are broken, and each time the work lands all the same.

use crate::folder::Start;
use crate::landed::{FOLLOWERS, Landed, Places, REFUSED, USERS};
use crate::screen::Event::{Fault, Healed, Step};
use crate::screen::Screen;
use crate::stage::Stage;
use crate::tools::{comes_true, is_alive};
use crate::video::{HEIGHTS, Video};
use crate::worker::{self, Worker};
use anyhow::{Context, bail};
use celeriac::client::{Client, NamedCall, TaskHandle};
use celeriac::publisher::SendOptions;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long the mail server stays away.
const OUTAGE: Duration = Duration::from_secs(4);

/// How long the delayed notification waits.
const COUNTDOWN: Duration = Duration::from_secs(2);

/// How long a step of the story may take that compresses nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often what landed is counted.
const LOOK: Duration = Duration::from_millis(250);

/// What the files do not tell.
#[derive(Debug)]
pub struct Facts {
    /// Programs that outlived the worker that was killed.
    pub orphans: usize,
    /// How long after it was sent the delayed notification landed.
    pub waited: Option<Duration>,
    /// How often the clock should have struck, and how often it did.
    pub strikes: (usize, usize),
}

/// The compressions, while they run.
struct Compressions {
    /// How far each says it is, from 0 to 1.
    shares: watch::Receiver<Vec<f64>>,
    bars: Vec<ProgressBar>,
}

/// Tells the whole story.
pub async fn tell(stage: &mut Stage) -> anyhow::Result<Facts> {
    let expected = stage.places().expected();
    let mut display = JoinSet::new();
    display.spawn(show(stage.places(), Arc::clone(&stage.screen)));
    let mut beside = JoinSet::new();
    let compressions = upload(stage, &mut beside).await?;
    register(stage, 0..USERS - 10).await?;
    let sent = format!(
        "{} thumbnails, {} renditions, {} mails, {} rows, each confirmed by the broker",
        expected.thumbnails,
        expected.renditions,
        USERS - 10,
        USERS - 10 + stage.videos.len()
    );
    stage.screen.tell(Step, "sent", &sent);

    let orphans = kill_the_worker(stage, compressions).await?;
    kill_the_scheduler(stage).await?;
    stage.watch.kill().await?;
    stage.screen.tell(Fault, "kill -9", "of the monitor, which stays away for the next two faults");
    close_the_mail_server(stage).await?;
    release_a_bug(stage).await?;
    stage.watch.start_again().await?;
    let text = "the monitor reads on where it was: RabbitMQ kept what it was not told";
    stage.screen.tell(Healed, "recovered", text);
    let all_but_one = Landed { notifications: expected.notifications - 1, ..expected };
    everything_lands(stage, &all_but_one).await;
    while let Some(ended) = beside.join_next().await {
        ended??;
    }
    let waited = wait_in_the_broker(stage).await?;
    let strikes = stage.clock.stop(stage.app.config()).await?;
    display.shutdown().await;
    Ok(Facts { orphans, waited, strikes })
}

/// Sends what follows an upload. The followers hear of a video when all its renditions are there,
/// which is awaited in `beside`.
async fn upload(
    stage: &Stage,
    beside: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<Compressions> {
    let (shares, watched) = watch::channel(vec![0.0; stage.videos.len() * HEIGHTS.len()]);
    let mut bars = Vec::new();
    let client = stage.client();
    let first = Arc::new(AtomicBool::new(true));
    for video in &stage.videos {
        let mut renditions = Vec::new();
        for (index, height) in HEIGHTS.into_iter().enumerate() {
            let handle = compress(stage, video, height).await?;
            let place = (video.number - 1) * HEIGHTS.len() + index;
            let bar = stage.screen.bar(&format!("video {}, {height}p", video.number));
            renditions.push(follow(handle, place, shares.clone(), bar.clone()));
            bars.push(bar);
        }
        let (notifier, first, number) = (client.clone(), Arc::clone(&first), video.number);
        beside.spawn(async move {
            join_all(renditions).await;
            let unusual = if first.swap(false, Ordering::Relaxed) { REFUSED } else { 0 };
            notify(&notifier, number, unusual).await
        });
        let event = json!({"event": "uploaded", "who": format!("author {number}")});
        client.send("analytics.count", &(), &event, SendOptions::default()).await?;
    }
    // Sent last, with the higher priority that celeriac.toml gives them.
    for video in &stage.videos {
        let target = stage.folder.thumbnail(video.number);
        let kwargs = json!({"path": video.path, "target": target});
        client.send("video.thumbnail", &(), &kwargs, SendOptions::default()).await?;
    }
    Ok(Compressions { shares: watched, bars })
}

async fn compress(stage: &Stage, video: &Video, height: u16) -> anyhow::Result<TaskHandle> {
    let target = stage.folder.rendition(video.number, height);
    let kwargs = json!({"path": video.path, "height": height, "target": target});
    let call = stage.client().call("video.compress", &(), &kwargs, SendOptions::default());
    call.await.context("sending a compression")
}

/// Notes how far a task says it is, until it ends.
async fn follow(
    mut handle: TaskHandle,
    place: usize,
    shares: watch::Sender<Vec<f64>>,
    bar: ProgressBar,
) {
    loop {
        let document = handle.next().await;
        if document.state.is_ready() {
            return bar.finish_and_clear();
        }
        let told = document.result.decode::<Value>().ok();
        let share = told.and_then(|told| told.get("progress")?.as_f64()).unwrap_or_default();
        shares.send_modify(|shares| shares[place] = share);
        bar.set_position((share * 1000.0) as u64);
    }
}

/// Notifies the followers of a video's author, all of them at once. Some have unusual names.
async fn notify(client: &Client, video: usize, unusual: usize) -> anyhow::Result<()> {
    let calls = (0..FOLLOWERS).map(|follower| {
        let balloon = if follower < unusual { "🎈" } else { "" };
        let name = format!("follower{follower}{balloon}");
        NamedCall {
            task: "follower.notify".to_owned(),
            args: (),
            kwargs: json!({"follower": name, "video": video}),
            options: SendOptions::default(),
        }
    });
    client.send_all(calls).map(|sent| sent.map(drop)).try_collect::<()>().await?;
    Ok(())
}

/// Users register: each gets a mail and a row.
async fn register(stage: &Stage, users: std::ops::Range<usize>) -> anyhow::Result<()> {
    let client = stage.client();
    for user in users {
        let to = format!("user{user}@demo.example");
        let event = json!({"event": "registered", "who": to});
        client.send("mail.welcome", &(), &json!({"to": to}), SendOptions::default()).await?;
        client.send("analytics.count", &(), &event, SendOptions::default()).await?;
    }
    Ok(())
}

/// Kills the worker in the middle of a compression, and starts another. How many of the process
/// groups that ran are left.
async fn kill_the_worker(
    stage: &mut Stage,
    mut compressions: Compressions,
) -> anyhow::Result<usize> {
    let midway = |shares: &Vec<f64>| shares.iter().any(|share| (0.2..0.9).contains(share));
    let seen = tokio::time::timeout(stage.patience(), compressions.shares.wait_for(midway)).await;
    let share = seen.context("no compression said how far it is")??;
    let share = share.iter().copied().find(|share| (0.2..0.9).contains(share)).unwrap_or_default();

    let starts = stage.folder.starts();
    let running: Vec<Start> = starts.into_iter().filter(|start| is_alive(start.group)).collect();
    stage.worker.kill().await?;
    compressions.bars.iter().for_each(ProgressBar::reset);
    let words = format!("of the worker, while {} videos are compressed", running.len());
    let text = format!("{words} (one is at {:.0} %)", share * 100.0);
    stage.screen.tell(Fault, "kill -9", &text);

    let left = || running.iter().filter(|start| is_alive(start.group)).count();
    comes_true(Duration::from_secs(5), async || left() == 0).await;
    let orphans = left();
    let gone = match orphans {
        0 => "their ffmpeg processes went with it".to_owned(),
        some => format!("{some} of their processes are STILL THERE"),
    };
    stage.worker = Worker::start(&stage.folder).await?;
    let text = format!("{gone}; RabbitMQ hands the tasks to a new worker");
    stage.screen.tell(Healed, "recovered", &text);
    Ok(orphans)
}

/// Kills the scheduler that leads.
async fn kill_the_scheduler(stage: &mut Stage) -> anyhow::Result<()> {
    stage.screen.tell(Fault, "kill -9", "of the scheduler that leads");
    let took = stage.clock.kill_the_leader().await?;
    let text = format!("the other leads after {} ms, and no second is left out", took.as_millis());
    stage.screen.tell(Healed, "recovered", &text);
    Ok(())
}

/// Closes the mail server while mails are sent, and opens it again.
async fn close_the_mail_server(stage: &mut Stage) -> anyhow::Result<()> {
    let before = stage.folder.logged("trying again");
    stage.smtp.close().await;
    let text = "the mail server is down, and 10 more users register";
    stage.screen.tell(Fault, "outage", text);
    register(stage, USERS - 10..USERS).await?;
    sleep(OUTAGE).await;
    let failed = || stage.folder.logged("trying again") - before;
    comes_true(PATIENCE, async || failed() > 0).await;
    let failed = failed();
    stage.smtp.reopen().await?;
    let text = format!("it is back; {failed} attempts failed, and their mails wait in RabbitMQ");
    stage.screen.tell(Healed, "recovered", &text);
    Ok(())
}

/// Lets the broken release refuse what it gets wrong, mends it, and gives the messages back.
async fn release_a_bug(stage: &Stage) -> anyhow::Result<()> {
    let inbox = stage.http.inbox();
    let buried = || stage.folder.logged("kept in the archive");
    let refused = async || inbox.refused() == REFUSED && buried() >= REFUSED;
    if !comes_true(stage.patience(), refused).await {
        bail!("the archive did not get {REFUSED} messages; see {}", stage.folder.log().display());
    }
    let text =
        format!("a release refuses followers called like \"ann🎈\": HTTP 422, {REFUSED} times");
    stage.screen.tell(Fault, "bug", &text);
    stage.screen.more("no retry mends that, so the messages are kept in the archive, whole");

    stage.http.fix();
    let command = ["dead", "requeue", "task:follower.notify reason:rejected", "--yes"];
    worker::run(&stage.folder, &command).await?;
    stage.screen.tell(
        Healed,
        "fixed",
        "celeriac dead requeue 'task:follower.notify reason:rejected'",
    );
    let text = format!("{REFUSED} messages go back to their queue, and this time they arrive");
    stage.screen.more(&text);
    Ok(())
}

/// Sends a notification for later, and measures when it lands.
async fn wait_in_the_broker(stage: &Stage) -> anyhow::Result<Option<Duration>> {
    let kwargs = json!({"follower": "later", "video": 0});
    let inbox = stage.http.inbox();
    let begun = Instant::now();
    let options = SendOptions::default().countdown(COUNTDOWN);
    let sent = stage.client().send("follower.notify", &(), &kwargs, options).await?;
    let arrived = || inbox.taken_at(sent.id.as_str());
    comes_true(PATIENCE, async || arrived().is_some()).await;
    let waited = arrived().map(|at| at - begun);
    if let Some(waited) = waited {
        let text = format!(
            "a notification sent for {COUNTDOWN:?} later came after {:.2} s; it waited in RabbitMQ",
            waited.as_secs_f64()
        );
        stage.screen.tell(Step, "on time", &text);
    }
    Ok(waited)
}

/// Waits until everything that is expected is there, or nothing comes any more.
async fn everything_lands(stage: &Stage, expected: &Landed) {
    let places = stage.places();
    let (mut last, mut moved) = (places.count().await, Instant::now());
    while last != *expected && moved.elapsed() < stage.patience() {
        sleep(LOOK).await;
        let landed = places.count().await;
        if landed != last {
            (last, moved) = (landed, Instant::now());
        }
    }
    if last == *expected {
        stage.screen.tell(Step, "landed", &last.words());
    }
}

/// Shows how much has landed, until it is stopped.
async fn show(places: Places, screen: Arc<Screen>) {
    let expected = places.expected();
    loop {
        screen.progress(&places.count().await, &expected);
        sleep(LOOK).await;
    }
}
