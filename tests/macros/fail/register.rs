//! What cannot be registered, and what cannot surround a task.

use celeriac::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(name = "img.resize", output = u64)]
struct Resize {
    width: u64,
}

async fn wrong_output(_job: Resize) -> anyhow::Result<String> {
    Ok(String::new())
}

fn not_a_task() {}

fn main() {
    let _ = TaskSet::new().handler(wrong_output);
    let _ = TaskSet::new().handler(not_a_task);
    let _ = TaskSet::new().layer(5);
    let _ = tasks![Resize];
}
