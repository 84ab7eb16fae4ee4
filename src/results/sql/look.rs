//! Waiting at SQLite, which tells nothing: looking again, less often while nothing comes.

use super::Tables;
use crate::backoff::Backoff;
use crate::results::Watched;
use std::time::Duration;
use tracing::warn;

/// How many tasks are looked for at once.
const CHUNK: usize = 500;

/// The waits between looks that found nothing.
const PAUSES: Backoff = Backoff {
    first: Duration::from_millis(10),
    factor: 1.5,
    max: Duration::from_millis(500),
    jitter: 0.2,
};

/// Tells `watched` what is stored. Never ends.
pub(super) async fn look(tables: &Tables, watched: &Watched) {
    let mut in_vain = 0;
    loop {
        let waiting = watched.unfinished();
        if waiting.is_empty() {
            watched.changed().await;
            in_vain = 0;
            continue;
        }
        for ids in waiting.chunks(CHUNK) {
            match tables.find(ids).await {
                Ok(found) => found.into_iter().for_each(|result| watched.tell(result)),
                Err(error) => warn!(%error, "results not looked for, trying again"),
            }
        }
        in_vain = if watched.unfinished().len() < waiting.len() { 0 } else { in_vain + 1 };
        tokio::select! {
            () = watched.changed() => in_vain = 0,
            () = tokio::time::sleep(PAUSES.random_wait(in_vain)) => {}
        }
    }
}
