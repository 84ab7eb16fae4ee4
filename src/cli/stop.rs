//! Stopping when the system says so.

use crate::shutdown::Shutdown;
use anyhow::Context;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

/// Drains `shutdown` at the first TERM or INT, unless it drains already.
///
/// With `grace` a second signal aborts it, and so does the end of this time.
pub(super) fn on_signal(
    shutdown: Shutdown,
    grace: Option<Duration>,
) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("waiting for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for signals")?;
    Ok(async move {
        tokio::select! {
            () = any(&mut terminate, &mut interrupt) => {}
            () = shutdown.draining() => {}
        }
        let Some(grace) = grace else {
            info!("stopping");
            return shutdown.drain();
        };
        info!(within = ?grace, "stopping: finishing what runs; signal again to stop now");
        shutdown.drain();
        match tokio::time::timeout(grace, any(&mut terminate, &mut interrupt)).await {
            Ok(()) => warn!("stopping now, giving back what runs"),
            Err(_) => warn!("time to drain is over, giving back what runs"),
        }
        shutdown.abort();
    })
}

async fn any(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
