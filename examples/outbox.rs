//! An order and its task in one transaction: the task is sent if and only if the order is there.
//!
//! Needs a RabbitMQ; `CELERIAC_BROKER_URL` says where, else the one on this machine is used. The
//! database is a file of SQLite in the folder for temporary files.
//!
//! ```sh
//! eval "$(make broker-up)" && CELERIAC_BROKER_URL=$AMQP_URL cargo run --example outbox
//! ```

#![expect(clippy::print_stdout, reason = "a program may print")]

use celeriac::config::Loader;
use celeriac::outbox::Outbox;
use celeriac::outbox::sqlx::{self, SqlitePool};
use celeriac::prelude::*;
use std::time::Duration;

#[task(name = "order.confirm")]
async fn confirm(item: String) -> anyhow::Result<String> {
    Ok(format!("{item} is on its way"))
}

/// Writes an order and stages its task; an order of nothing fails, and takes the task with it.
async fn order(app: &App, database: &SqlitePool, item: &str) -> anyhow::Result<TaskHandle<String>> {
    let mut tx = database.begin().await?;
    let staged = confirm(item.to_owned()).stage(app, &mut *tx).await?;
    sqlx::query("INSERT INTO orders (item) VALUES ($1)").bind(item).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(staged.handle())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = std::env::temp_dir().join("celeriac-outbox.db");
    let url = format!("sqlite:{}", file.display());
    let mut config = Loader::new().environment(std::env::vars()).load()?.config;
    config.outbox.url = url.as_str().into(); // as `url` of [outbox]: the worker below sends what is there

    let outbox = Outbox::open(&config.outbox.url)?;
    outbox.create_table().await?; // or a migration with what `celeriac outbox init --print` says
    let database = SqlitePool::connect(&url).await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS orders (item text NOT NULL CHECK (item <> ''))")
        .execute(&database)
        .await?;

    let app = App::connect(config).await?;
    let tea = order(&app, &database, "tea").await?;
    if let Err(error) = order(&app, &database, "").await {
        println!("no order and no task: {error}");
    }
    println!("{} task is staged", outbox.backlog().await?.staged);

    let stop = CancelToken::new();
    let worker = Worker::new(&app).register::<confirm>().run_until(stop.clone().cancelled_owned());
    let caller = async {
        println!("{}", tea.timeout(Duration::from_secs(30)).await?);
        stop.cancel();
        anyhow::Ok(())
    };
    let (worked, called) = tokio::join!(worker, caller);
    app.close().await;
    worked?;
    called
}
