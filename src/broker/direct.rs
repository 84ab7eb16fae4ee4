//! Publishing what cannot come back, straight from where it is wanted.
//!
//! The pump of [`publish`](super::publish) is there because a mandatory message may come back, and an
//! exchange may be missing: one message may tell the confirms of others. A message that is not
//! mandatory, on the default exchange, does neither. It is published and awaited in place, on a
//! channel that only its like use: nothing is handed to another task, and nobody has to be woken but
//! who waits for the confirm.

use super::connection::Link;
use super::message::RawMessage;
use super::publish::open;
use crate::in_flight::Boxes;
use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tracing::debug;

/// The channel, opened with the first message and again after it broke.
#[derive(Debug)]
pub(super) struct Direct {
    link: Link,
    channel: RwLock<Option<Arc<Channel>>>,
    opening: tokio::sync::Mutex<()>,
    /// What lapin does with a message takes a kilobyte while it lasts.
    boxes: Mutex<Boxes<Sent>>,
}

/// What became of one publication.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Confirmed,
    /// The broker may have it or not.
    Unconfirmed,
    Not,
}

impl Direct {
    pub(super) fn new(link: Link) -> Self {
        let (channel, opening, boxes) = Default::default();
        Self { link, channel, opening, boxes }
    }

    /// Whether this message may be published here.
    pub(super) fn takes(message: &RawMessage) -> bool {
        !message.mandatory && message.exchange.is_empty()
    }

    /// Publishes once and waits for the confirm.
    pub(super) async fn publish(&self, message: &Arc<RawMessage>) -> Sent {
        let Some(channel) = self.channel().await else { return Sent::Not };
        let mut sending = self.boxes().hold(send(channel, Arc::clone(message)));
        let sent = (&mut sending).await;
        self.boxes().release(sending);
        sent
    }

    fn boxes(&self) -> MutexGuard<'_, Boxes<Sent>> {
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn channel(&self) -> Option<Arc<Channel>> {
        match self.opened() {
            Some(channel) => Some(channel),
            None => Box::pin(self.open()).await,
        }
    }

    fn opened(&self) -> Option<Arc<Channel>> {
        let channel = self.channel.read().unwrap_or_else(PoisonError::into_inner);
        channel.clone().filter(|channel| channel.status().connected())
    }

    /// Opens it on the connection there is now, unless somebody else just did.
    async fn open(&self) -> Option<Arc<Channel>> {
        let _opening = self.opening.lock().await;
        if let Some(channel) = self.opened() {
            return Some(channel);
        }
        let connection = self.link.now()?;
        let opened = open(&connection).await.inspect_err(|error| debug!(%error, "no channel yet"));
        let channel = Arc::new(opened.ok()?);
        let mut kept = self.channel.write().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(Arc::clone(&channel));
        Some(channel)
    }
}

async fn send(channel: Arc<Channel>, message: Arc<RawMessage>) -> Sent {
    // Awaited where it is made: in a variable it would be held twice.
    let sent = channel
        .basic_publish(
            message.exchange.as_str().into(),
            message.routing_key.as_str().into(),
            BasicPublishOptions::default(),
            &message.body,
            message.properties.clone(),
        )
        .await;
    let confirmed = match sent {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    match confirmed {
        Ok(Confirmation::Ack(_)) => Sent::Confirmed,
        Ok(_) => Sent::Unconfirmed,
        Err(error) => {
            debug!(%error, "not confirmed");
            Sent::Unconfirmed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<'a, F>(_: impl Fn(&'a Direct, &'a Arc<RawMessage>) -> F) -> usize {
        size_of::<F>()
    }

    /// Each result that is sent has one, in a box with what is around it.
    #[test]
    fn the_future_of_a_reply_is_small() {
        assert!(size(Direct::publish) <= 200, "{} bytes", size(Direct::publish));
    }
}
