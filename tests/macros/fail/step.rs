//! Steps of a workflow that do not fit.

use celeriac::prelude::*;

#[task]
async fn add(a: i64, b: i64) -> anyhow::Result<i64> {
    Ok(a + b)
}

#[task]
async fn hash(text: String) -> anyhow::Result<u64> {
    Ok(text.len() as u64)
}

#[task]
async fn total(numbers: Vec<u64>) -> anyhow::Result<u64> {
    Ok(numbers.iter().sum())
}

fn main() {
    let _ = add(1, 2).then(hash::partial());
    let _ = celeriac::publisher::group([add(1, 2), add(3, 4)]).then(total::partial());
}
