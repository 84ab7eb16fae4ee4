//! A call that is never sent.

#![deny(unused_must_use)]

use celeriac::prelude::*;

#[task]
async fn send_email(user_id: u64) -> anyhow::Result<u64> {
    Ok(user_id)
}

fn main() {
    send_email(42);
    send_email(42).priority(9);
}
