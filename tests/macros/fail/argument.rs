//! Parameters that can neither travel nor be supplied.

use celeriac::prelude::*;

#[derive(Clone)]
struct Pool;

type Database = State<Pool>;

#[task]
async fn alias(pool: Database, user_id: u64) -> anyhow::Result<()> {
    Ok(())
}

#[task]
async fn marked(#[extract] pool: Pool) -> anyhow::Result<()> {
    Ok(())
}

fn main() {}
