//! Stopping when the system says so.

use crate::shutdown::Shutdown;
use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

/// Drains `shutdown` at the first TERM or INT.
pub(super) fn on_signal(shutdown: Shutdown) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("waiting for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for signals")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping");
        shutdown.drain();
    })
}
