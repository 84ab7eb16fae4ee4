//! Parameters that do not own their data.

use celeriac::prelude::*;

#[task]
async fn text(name: &str) -> anyhow::Result<()> {
    Ok(())
}

#[task]
async fn list(names: &[String]) -> anyhow::Result<()> {
    Ok(())
}

fn main() {}
