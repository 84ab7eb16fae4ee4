//! The ways in which an attempt can end, and what follows.
//!
//! Needs a RabbitMQ; `CELERIAC_BROKER_URL` says where, else the one on this machine is used.
//!
//! ```sh
//! eval "$(make broker-up)" && CELERIAC_BROKER_URL=$AMQP_URL cargo run --example retry
//! ```

#![expect(clippy::print_stdout, reason = "a program may print")]

use celeriac::prelude::*;
use std::io;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
#[error("the key is wrong")]
struct AuthError;

/// Tried again when the network fails, after 250 ms, 500 ms and so on; never when the key is wrong.
#[task(
    name = "demo.fetch",
    max_retries = 4,
    backoff = "250ms..10s",
    retry_on = [io::Error],
    give_up_on = [AuthError]
)]
async fn fetch(ctx: Ctx, key: String) -> anyhow::Result<String> {
    println!("fetch with {key:?}: attempt {}", ctx.attempt());
    if key != "right" {
        return Err(AuthError.into()); // to the archive at once
    }
    if ctx.attempt() < 3 {
        return Err(io::Error::from(io::ErrorKind::ConnectionReset).into()); // tried again
    }
    Ok("the page".to_owned())
}

/// Says itself what follows.
#[task(name = "demo.deliver")]
async fn deliver(ctx: Ctx, parcel: String) -> anyhow::Result<String> {
    match (parcel.as_str(), ctx.attempt()) {
        ("fragile", 1) => ctx.retry(Duration::from_millis(500)), // an attempt, after this long
        ("returned", _) => Err(Discard::because("nobody is waiting for it").into()), // forgotten
        ("ticking", _) => Err(DeadLetter::because("a person must look at this").into()),
        _ => Ok(format!("{parcel} delivered at attempt {}", ctx.attempt())),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::from_env().await?;
    let stop = CancelToken::new();
    let worker =
        Worker::new(&app).with(tasks![fetch, deliver]).run_until(stop.clone().cancelled_owned());

    let caller = async {
        println!("fetched {}", fetch("right".to_owned()).delay(&app).await?.await?);
        match fetch("wrong".to_owned()).delay(&app).await?.await {
            Ok(page) => println!("fetched {page}"),
            Err(error) => println!("given up: {error}"),
        }
        for parcel in ["fragile", "returned", "ticking"] {
            match deliver(parcel.to_owned()).delay(&app).await?.await {
                Ok(done) => println!("{done}"),
                Err(error) => println!("{parcel}: {error}"),
            }
        }
        // A call may say otherwise than the attribute.
        let hasty = fetch("right".to_owned()).max_retries(0).delay(&app).await?;
        println!("without retries: {}", hasty.await.is_err());
        println!("`celeriac dead list` shows the three that were given up");
        stop.cancel();
        anyhow::Ok(())
    };
    let (worked, called) = tokio::join!(worker, caller);
    app.close().await;
    worked?;
    called
}
