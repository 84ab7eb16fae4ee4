//! Stopping in two steps: drain, then abort.

use tokio_util::sync::CancellationToken;

/// Shared by every service of a process. Cloning is cheap; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Shutdown {
    /// A shutdown that nobody has asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in no more work; what runs may finish.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Stops what still runs. Implies [`Shutdown::drain`].
    pub fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
    }

    /// Completes once draining has been asked for. Cancel safe.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Completes once aborting has been asked for. Cancel safe.
    pub async fn aborting(&self) {
        self.abort.cancelled().await;
    }

    /// Whether draining has been asked for.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Whether aborting has been asked for.
    pub fn is_aborting(&self) -> bool {
        self.abort.is_cancelled()
    }

    /// A token that is cancelled when aborting is asked for; give children of it to running work.
    pub fn abort_token(&self) -> CancellationToken {
        self.abort.clone()
    }
}
