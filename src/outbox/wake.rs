//! Waiting until something may have been staged.

use super::Outbox;
#[cfg(feature = "postgres")]
use super::table::CHANNEL;
#[cfg(feature = "postgres")]
use crate::store::sql::Listener;
use std::time::Duration;

/// Waits for the next look at an empty table.
#[derive(Debug)]
pub(super) struct Wake {
    poll: Duration,
    #[cfg(feature = "postgres")]
    listener: Option<Listener>,
}

impl Wake {
    pub(super) fn new(poll: Duration) -> Self {
        Self {
            poll,
            #[cfg(feature = "postgres")]
            listener: None,
        }
    }

    /// Completes when it is time to look: PostgreSQL tells at once, elsewhere after a while. Cancel
    /// safe: what is missed is found by looking.
    #[cfg(feature = "postgres")]
    pub(super) async fn wait(&mut self, outbox: &Outbox) {
        let Some(listener) = &mut self.listener else {
            self.listener = outbox.database().listen(CHANNEL).await.unwrap_or_default();
            // What was staged before it listened was not heard.
            if self.listener.is_none() {
                tokio::time::sleep(self.poll).await;
            }
            return;
        };
        let heard = tokio::time::timeout(self.poll, listener.next()).await;
        if matches!(heard, Ok(Err(_))) {
            self.listener = None;
        }
    }

    #[cfg(not(feature = "postgres"))]
    pub(super) async fn wait(&mut self, _: &Outbox) {
        tokio::time::sleep(self.poll).await;
    }
}
