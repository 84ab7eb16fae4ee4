//! The program under test: somebody signs up, and a mail and a statistic follow.

use celeriac::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What sends mails. The real one would speak SMTP; a test counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mailer {
    /// So many mails fail before one goes out.
    pub(crate) failures: u32,
    pub(crate) tried: Arc<AtomicU32>,
    pub(crate) sent: Arc<AtomicU32>,
}

impl Mailer {
    async fn send(&self, _to: u64) -> anyhow::Result<()> {
        let tried = self.tried.fetch_add(1, Ordering::SeqCst);
        anyhow::ensure!(tried >= self.failures, "the mail server is busy");
        self.sent.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Welcomes a user.
#[task(name = "mail.welcome", queue = "mail", max_retries = 5, backoff = "1m..10m")]
pub(crate) async fn welcome(
    State(mailer): State<Mailer>,
    user: u64,
    #[arg(default)] _template: Option<String>,
) -> anyhow::Result<()> {
    mailer.send(user).await
}

/// Looks whether a user has come back.
#[task(name = "stats.returned")]
pub(crate) async fn returned(user: u64) -> anyhow::Result<bool> {
    Ok(user > 10)
}

/// What a web handler would call.
pub(crate) async fn sign_up(app: &App, user: u64) -> Result<(), SendError> {
    welcome(user, None).send(app).await?;
    returned(user).countdown(Duration::from_secs(7 * 86_400)).send(app).await?;
    Ok(())
}
