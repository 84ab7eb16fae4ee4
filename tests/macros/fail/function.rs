//! Functions that cannot be tasks.

use celeriac::prelude::*;

#[task]
async fn generic<T>(value: T) {}

struct Mailer;

impl Mailer {
    #[task]
    async fn method(&self, to: String) {}
}

#[task]
struct NoFunction;

fn main() {}
