//! Options that are none, or have no such value.

use celeriac::prelude::*;

#[task(retrys = 3)]
async fn unknown() {}

#[task(time_limit = "30")]
async fn no_unit() {}

#[task(time_limit = "soon")]
async fn no_duration() {}

#[task(backoff = "1h..10s")]
async fn upside_down() {}

#[task(max_retries = -1)]
async fn negative() {}

#[task(rate = "often")]
async fn no_rate() {}

#[task(name = "")]
async fn nameless() {}

#[task(queue = "a", queue = "b")]
async fn twice() {}

#[task(priority = 256)]
async fn no_priority() {}

#[task(isolation = "thread")]
async fn no_isolation() {}

#[task(max_memory = "1 MiB")]
async fn shared_memory() {}

#[task(isolation = "process", max_memory = "lots")]
async fn no_size() {}

#[task(retry_on = [String])]
async fn no_error() {}

#[task]
async fn no_option(#[arg(defualt)] a: u8) {}

#[task]
async fn supplied(#[arg(default)] ctx: Ctx) {}

fn main() {}
