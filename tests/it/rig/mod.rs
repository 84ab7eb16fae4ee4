//! What an integration test stands on: a broker, a place in it of its own, the real program, faults.
//!
//! ```ignore
//! let rig = Rig::start().await;                       // own virtual host on the shared broker
//! let mut worker = rig.celeriac(&["worker"], CONFIG).await;
//! worker.until("consuming").await;
//! ```
//!
//! Tests that stop, kill or choke the broker take [`Rig::alone`], which has a broker to itself.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "a harness offers more than the tests of one day use"
)]

mod browser;
mod celery;
mod gathering;
mod management;
mod node;
mod process;
mod proxy;
mod rabbit;
mod raw;
mod stores;
mod worker;

use std::time::Duration;

pub use browser::{Browser, Scripts};
pub use celery::Celery;
pub use gathering::Gathering;
pub use node::Node;
pub use process::{Process, Signal};
pub use proxy::Proxy;
pub use rabbit::{QueueState, Rig};
pub use raw::RawAmqp;
pub use stores::Server;
pub use worker::{Running, add, config};

/// How long a test waits for something that is about to happen, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Awaits `condition`, asking again and again; `what` tells what was waited for when it never came.
///
/// For what the broker tells only when asked. Where there is an event, await that instead.
pub async fn eventually<F>(what: &str, condition: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    within(PATIENCE, what, condition).await;
}

/// As [`eventually`], with a time limit of its own.
pub async fn within<F>(limit: Duration, what: &str, mut condition: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let asking = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(limit, asking).await.is_err() {
        panic!("waited {limit:?} in vain: {what}");
    }
}
