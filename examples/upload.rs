//! A video is uploaded: three things are made of it side by side, then its owner is told, and
//! analytics hear of each step. Stands in for the programs that would do the work.
//!
//! Needs a RabbitMQ; `CELERIAC_BROKER_URL` says where, else the one on this machine is used.
//!
//! ```sh
//! eval "$(make broker-up)" && CELERIAC_BROKER_URL=$AMQP_URL cargo run --example upload
//! ```

#![expect(clippy::print_stdout, reason = "a program may print")]

use celeriac::config::Loader;
use celeriac::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::Notify;

/// A file that was made of the video.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Made {
    path: String,
    bytes: u64,
}

#[task(name = "video.thumbnail")]
async fn thumbnail(path: String) -> anyhow::Result<Made> {
    Ok(Made { path: format!("{path}.jpg"), bytes: 9_000 })
}

#[task(name = "video.compress", time_limit = "10m", max_retries = 2)]
async fn compress(path: String, height: u32) -> anyhow::Result<Made> {
    Ok(Made { path: format!("{path}.{height}p.mp4"), bytes: u64::from(height) * 10_000 })
}

/// The compressed files, smallest first.
#[task(name = "video.publish")]
async fn publish(mut renditions: Vec<Made>) -> anyhow::Result<Vec<String>> {
    renditions.sort_by_key(|made| made.bytes);
    Ok(renditions.into_iter().map(|made| made.path).collect())
}

#[task(name = "user.notify")]
async fn notify(ready: (Made, Vec<String>), user: u64) -> anyhow::Result<String> {
    let (thumbnail, files) = ready;
    Ok(format!("user {user}: {} files are ready, see {}", files.len(), thumbnail.path))
}

#[task(name = "analytics.seen")]
async fn seen(thumbnail: Made) -> anyhow::Result<()> {
    println!("analytics: {} has {} bytes", thumbnail.path, thumbnail.bytes);
    Ok(())
}

#[task(name = "analytics.failed")]
async fn failed(id: String) -> anyhow::Result<()> {
    println!("analytics: task {id} has failed");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Loader::new().environment(std::env::vars()).load()?.config;
    let app = App::connect(config).await?;
    let done = Notify::new();
    let tasks = tasks![thumbnail, compress, publish, notify, seen, failed];
    let worker = Worker::new(&app).with(tasks).run_until(done.notified());

    let caller = async {
        let path = "cat.mp4".to_owned();
        // A chord within a group within a chord.
        let files = [1080, 720, 360].map(|height| compress(path.clone(), height));
        let files = group(files).then(publish::partial());
        let image = thumbnail(path).on_success(seen::partial());
        let upload = join((image, files)).then(notify::partial(42)).on_error(failed::partial());
        println!("{}", upload.delay(&app).await?.timeout(Duration::from_secs(60)).await?);
        done.notify_one();
        anyhow::Ok(())
    };
    let (worked, called) = tokio::join!(worker, caller);
    app.close().await;
    worked?;
    called
}
