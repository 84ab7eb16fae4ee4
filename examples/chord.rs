//! Many tasks side by side, and one that is given all their results: with nothing but RabbitMQ.
//!
//! Needs a RabbitMQ; `CELERIAC_BROKER_URL` says where, else the one on this machine is used.
//!
//! ```sh
//! eval "$(make broker-up)" && CELERIAC_BROKER_URL=$AMQP_URL cargo run --example chord
//! ```

#![expect(clippy::print_stdout, reason = "a program may print")]

use celeriac::config::Loader;
use celeriac::prelude::*;
use std::time::Duration;
use tokio::sync::Notify;

#[task(name = "words.count")]
async fn count(text: String) -> anyhow::Result<usize> {
    Ok(text.split_whitespace().count())
}

#[task(name = "words.total")]
async fn total(counts: Vec<usize>) -> anyhow::Result<usize> {
    Ok(counts.iter().sum())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Loader::new().environment(std::env::vars()).load()?.config;
    let app = App::connect(config).await?;
    let done = Notify::new();
    let worker = Worker::new(&app).register::<count>().register::<total>();
    let worker = worker.run_until(done.notified());

    let caller = async {
        let pages = (1..=100).map(|words| count("word ".repeat(words)));
        let sum = group(pages).then(total::partial()).delay(&app).await?;
        println!("{} words", sum.timeout(Duration::from_secs(60)).await?);
        done.notify_one();
        anyhow::Ok(())
    };
    let (worked, called) = tokio::join!(worker, caller);
    app.close().await;
    worked?;
    called
}
