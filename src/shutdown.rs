//! Stopping in two steps: drain, then abort.

use tokio_util::sync::CancellationToken;

/// Shared by every service of a process. Cloning is cheap; all clones are one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// use celeriac::shutdown::Shutdown;
///
/// let shutdown = Shutdown::new();
/// let service = tokio::spawn({
///     let shutdown = shutdown.clone();
///     async move { shutdown.draining().await }
/// });
/// shutdown.drain();
/// service.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Shutdown {
    /// A shutdown that nobody has asked for yet.
    ///
    /// ```
    /// # use celeriac::shutdown::Shutdown;
    /// assert!(!Shutdown::new().is_draining());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in no more work; what runs may finish.
    ///
    /// ```
    /// # use celeriac::shutdown::Shutdown;
    /// let shutdown = Shutdown::new();
    /// shutdown.drain();
    /// assert!(shutdown.is_draining() && !shutdown.is_aborting());
    /// ```
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Stops what still runs. Implies [`Shutdown::drain`].
    ///
    /// ```
    /// # use celeriac::shutdown::Shutdown;
    /// let shutdown = Shutdown::new();
    /// shutdown.abort();
    /// assert!(shutdown.is_draining() && shutdown.is_aborting());
    /// ```
    pub fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
    }

    /// Completes once draining has been asked for. Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::shutdown::Shutdown;
    /// # let shutdown = Shutdown::new();
    /// # let (_work, mut next) = tokio::sync::mpsc::channel::<u32>(1);
    /// # shutdown.drain();
    /// loop {
    ///     tokio::select! {
    ///         () = shutdown.draining() => break,
    ///         Some(job) = next.recv() => tracing::info!(job, "begun"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Completes once aborting has been asked for. Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::shutdown::Shutdown;
    /// # let shutdown = Shutdown::new();
    /// # shutdown.abort();
    /// let long = std::future::pending::<()>();
    /// let is_done = tokio::select! {
    ///     () = shutdown.aborting() => false,
    ///     () = long => true,
    /// };
    /// assert!(!is_done);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn aborting(&self) {
        self.abort.cancelled().await;
    }

    /// Whether draining has been asked for.
    ///
    /// ```
    /// # use celeriac::shutdown::Shutdown;
    /// let shutdown = Shutdown::new();
    /// let clone = shutdown.clone();
    /// clone.drain();
    /// assert!(shutdown.is_draining());
    /// ```
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Whether aborting has been asked for.
    ///
    /// ```
    /// # use celeriac::shutdown::Shutdown;
    /// let shutdown = Shutdown::new();
    /// assert!(!shutdown.is_aborting());
    /// shutdown.abort();
    /// assert!(shutdown.is_aborting());
    /// ```
    pub fn is_aborting(&self) -> bool {
        self.abort.is_cancelled()
    }

    /// A token that is cancelled when aborting is asked for; give children of it to running work.
    ///
    /// ```
    /// # use celeriac::shutdown::Shutdown;
    /// let shutdown = Shutdown::new();
    /// let work = shutdown.abort_token().child_token();
    /// work.cancel(); // this work alone
    /// assert!(!shutdown.is_aborting());
    /// ```
    pub fn abort_token(&self) -> CancellationToken {
        self.abort.clone()
    }
}
