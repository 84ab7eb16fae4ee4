//! Tasks one after the other, each given the result of the one before; the compiler checks that it
//! fits.
//!
//! Needs a RabbitMQ; `CELERIAC_BROKER_URL` says where, else the one on this machine is used.
//!
//! ```sh
//! eval "$(make broker-up)" && CELERIAC_BROKER_URL=$AMQP_URL cargo run --example chain
//! ```

#![expect(clippy::print_stdout, reason = "a program may print")]

use celeriac::config::Loader;
use celeriac::prelude::*;
use std::time::Duration;
use tokio::sync::Notify;

#[task(name = "order.price")]
async fn price(item: String, count: u32) -> anyhow::Result<f64> {
    let each = match item.as_str() {
        "tea" => 4.5,
        "coffee" => 6.0,
        other => return Err(Discard::because(format!("no such item: {other}")).into()),
    };
    Ok(each * f64::from(count))
}

#[task(name = "order.discount")]
async fn discount(price: f64, percent: f64) -> anyhow::Result<f64> {
    Ok(price * (100.0 - percent) / 100.0)
}

#[task(name = "order.invoice")]
async fn invoice(total: f64) -> anyhow::Result<String> {
    Ok(format!("please pay {total:.2}"))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Loader::new().environment(std::env::vars()).load()?.config;
    let app = App::connect(config).await?;
    let done = Notify::new();
    let worker = Worker::new(&app).register::<price>().register::<discount>().register::<invoice>();
    let worker = worker.run_until(done.notified());

    let caller = async {
        let order = |item: &str| {
            price(item.to_owned(), 10).then(discount::partial(20.0)).then(invoice::partial())
        };
        let text = order("tea").delay(&app).await?.timeout(Duration::from_secs(30)).await?;
        println!("{text}");
        // A step that fails ends the chain, and whoever waits for it.
        let failed = order("air").delay(&app).await?.timeout(Duration::from_secs(30)).await;
        println!("{}", failed.expect_err("nobody sells air"));
        done.notify_one();
        anyhow::Ok(())
    };
    let (worked, called) = tokio::join!(worker, caller);
    app.close().await;
    worked?;
    called
}
