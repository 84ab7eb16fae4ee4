//! Removing what has expired, where the store does not do it by itself.

use super::ResultBackend;
use crate::shutdown::Shutdown;
use std::time::Duration;
use tracing::{debug, warn};

/// How often a worker looks for what has expired.
const EVERY: Duration = Duration::from_secs(60);

/// Removes expired results in small batches until `shutdown` drains.
///
/// Several workers may do so at once. They begin at different times, so that they share the work.
pub async fn purge(backend: &dyn ResultBackend, shutdown: &Shutdown) {
    let mut wait = EVERY.mul_f64(fastrand::f64());
    loop {
        tokio::select! {
            () = shutdown.draining() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = match backend.purge().await {
            Ok(0) => EVERY,
            Ok(count) => {
                debug!(count, "expired results removed");
                Duration::ZERO
            }
            Err(error) => {
                warn!(%error, "expired results not removed, trying again later");
                EVERY
            }
        };
    }
}
