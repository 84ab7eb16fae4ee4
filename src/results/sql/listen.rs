//! Waiting at PostgreSQL: one connection that is told the id of every task whose result is stored.
//!
//! Listening and then looking misses nothing, also after a loss: the connection is made again with
//! growing waits, and everything watched is looked for anew.

use super::Tables;
use super::statements::CHANNEL;
use crate::ids::TaskId;
use crate::results::losses::{Losses, pings};
use crate::results::{StoreError, Watched};
use std::convert::Infallible;

/// How many tasks are looked for at once.
const CHUNK: usize = 500;

/// Tells `watched` what is stored. Never ends.
pub(super) async fn listen(tables: &Tables, watched: &Watched) {
    let mut losses = Losses::default();
    loop {
        let Err(error) = attend(tables, watched, &mut losses).await;
        losses.wait(&error, watched).await;
    }
}

/// Listens on one connection until it is lost.
async fn attend(
    tables: &Tables,
    watched: &Watched,
    losses: &mut Losses,
) -> Result<Infallible, StoreError> {
    let not_here = || StoreError::permanent("this database tells nothing");
    let mut listener = tables.database.listen(CHANNEL).await?.ok_or_else(not_here)?;
    tell(tables, watched, &watched.open().begun).await?;
    losses.end();
    let mut ping = pings();
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
