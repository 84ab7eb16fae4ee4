//! Waiting at PostgreSQL: one connection that is told the id of every task whose result is stored.
//!
//! Listening and then looking misses nothing, also after a loss: the connection is made again with
//! growing waits, and everything watched is looked for anew.

use super::Tables;
use super::statements::CHANNEL;
use crate::backoff::Backoff;
use crate::ids::TaskId;
use crate::results::{StoreError, Watched};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

/// How many tasks are looked for at once.
const CHUNK: usize = 500;

/// How often a silent connection is asked whether it is there.
const PING: Duration = Duration::from_secs(15);

/// The waits between connections.
const PAUSES: Backoff = Backoff {
    first: Duration::from_millis(50),
    factor: 2.0,
    max: Duration::from_secs(5),
    jitter: 0.5,
};

/// Tells `watched` what is stored. Never ends.
pub(super) async fn listen(tables: &Tables, watched: &Watched) {
    let mut losses = 0;
    loop {
        let Err(error) = attend(tables, watched, &mut losses).await;
        watched.close();
        let wait = PAUSES.random_wait(losses);
        losses = losses.saturating_add(1);
        warn!(%error, ?wait, "not listening for results, connecting again");
        tokio::time::sleep(wait).await;
    }
}

/// Listens on one connection until it is lost.
async fn attend(
    tables: &Tables,
    watched: &Watched,
    losses: &mut u32,
) -> Result<Infallible, StoreError> {
    let not_here = || StoreError::permanent("this database tells nothing");
    let mut listener = tables.database.listen(CHANNEL).await?.ok_or_else(not_here)?;
    tell(tables, watched, &watched.open().begun).await?;
    if std::mem::take(losses) > 0 {
        info!("listening for results again");
    }
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            heard = listener.next() => {
                let heard = heard?.into_iter().map(TaskId::from);
                let heard: Vec<TaskId> = heard.filter(|id| watched.contains(id)).collect();
                tell(tables, watched, &heard).await?;
            }
            () = watched.changed() => tell(tables, watched, &watched.take().begun).await?,
            _ = ping.tick() => listener.ping().await?,
        }
    }
}

/// Looks for the results of tasks and tells them.
async fn tell(tables: &Tables, watched: &Watched, ids: &[TaskId]) -> Result<(), StoreError> {
    for ids in ids.chunks(CHUNK) {
        tables.find(ids).await?.into_iter().for_each(|result| watched.tell(result));
    }
    Ok(())
}
