//! A program that is tested without a broker and without waiting.
//!
//! ```sh
//! cargo test --example testing   # its tests
//! cargo run --example testing    # a week of it, in no time
//! ```

#![expect(clippy::print_stdout, reason = "a program may print")]

mod signup;
#[cfg(test)]
mod tests;

use celeriac::prelude::*;
use celeriac::testing::TestWorker;
use signup::{Mailer, returned, sign_up, welcome};
use std::time::Duration;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::in_memory();
    sign_up(&app, 42).await?;
    let worker =
        TestWorker::new(&app).state(Mailer::default()).register::<welcome>().register::<returned>();
    let report = worker.advance(Duration::from_secs(7 * 86_400)).await;
    for run in report.runs() {
        println!("{} attempt {}: {:?}", run.task, run.attempt, run.ending);
    }
    Ok(())
}
