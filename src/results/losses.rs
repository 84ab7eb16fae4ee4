//! How a store's listening connection is kept: asked whether it is there, and made again.

use super::{StoreError, Watched};
use crate::backoff::Backoff;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{info, warn};

/// How often a silent connection is asked whether it is there.
const PING: Duration = Duration::from_secs(15);

/// The waits between connections.
const PAUSES: Backoff = Backoff {
    first: Duration::from_millis(50),
    factor: 2.0,
    max: Duration::from_secs(5),
    jitter: 0.5,
};

/// The connections that were lost since one listened.
#[derive(Debug, Default)]
pub(super) struct Losses(u32);

impl Losses {
    /// One is lost: waits until the next may be made. What is watched then is taken anew.
    pub(super) async fn wait(&mut self, error: &StoreError, watched: &Watched) {
        watched.close();
        let wait = PAUSES.random_wait(self.0);
        self.0 = self.0.saturating_add(1);
        warn!(%error, ?wait, "not listening for results, connecting again");
        tokio::time::sleep(wait).await;
    }

    /// One listens.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.0) > 0 {
            info!("listening for results again");
        }
    }
}

/// When a connection is asked whether it is there.
pub(super) fn pings() -> Interval {
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}
