//! Asks workers to tell of their tasks, which they do only when somebody wants to know.

use super::Monitor;
use super::ingest::News;
use crate::control::{Arguments, Caller, Recipients};
use std::time::Duration;
use tokio::sync::watch;
use tracing::{debug, warn};

/// How long the command may take to the broker.
const PATIENCE: Duration = Duration::from_secs(5);

/// A failed try is repeated after so long.
const AGAIN: Duration = Duration::from_secs(5);

impl Monitor {
    /// Asks all workers at the start, and each that comes online later. Never ends.
    pub(super) async fn invite(&self, mut news: watch::Receiver<News>) {
        if !self.settings.enable_events {
            return std::future::pending().await;
        }
        let mut caller = self.caller().await;
        ask(&mut caller, Recipients::All).await;
        while news.changed().await.is_ok() {
            let online = news.borrow_and_update().online.clone();
            if !online.is_empty() {
                ask(&mut caller, Recipients::Named(online)).await;
            }
        }
        std::future::pending().await
    }

    async fn caller(&self) -> Caller {
        loop {
            match Caller::open(&self.broker).await {
                Ok(caller) => return caller,
                Err(error) => warn!(%error, "workers cannot be asked to tell of their tasks yet"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

async fn ask(caller: &mut Caller, workers: Recipients) {
    let method = "enable_events";
    while let Err(error) = caller.tell(method, Arguments::new(), workers.clone(), PATIENCE).await {
        debug!(%error, "workers are not asked to tell of their tasks yet");
        tokio::time::sleep(AGAIN).await;
    }
}
