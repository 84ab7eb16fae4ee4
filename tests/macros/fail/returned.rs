//! What a task may not return.

use celeriac::prelude::*;

struct Foo;

#[task]
async fn plain() -> Foo {
    Foo
}

#[task]
async fn inside() -> anyhow::Result<Foo> {
    Ok(Foo)
}

fn main() {}
