//! A task that is written and addressed now, and sent later by whoever finds it.

use super::announce::Announcement;
use super::{Prepared, Publisher, SendError, Sent, UniqueError, trace};
use crate::broker::{PublishError, RawMessage};
use crate::clock;
use crate::ids::TaskId;
use crate::protocol::Limits;
use crate::topology::{Delay, Destination};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A task as a message with its address, for [`Publisher::send_parcel`].
///
/// Everything that its call said is settled: its id, its route, its arguments, when it may start and
/// when it expires, its signature.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    /// The task's id.
    pub id: TaskId,
    /// Its name.
    pub task: String,
    /// The queue it goes to, where that is known; bindings decide otherwise.
    pub queue: Option<String>,
    /// When it may start, if it waits.
    pub eta: Option<SystemTime>,
    /// The message, with its exchange and routing key.
    pub message: RawMessage,
}

impl Prepared {
    /// What was prepared, to be sent later.
    ///
    /// # Errors
    ///
    /// When the task is to be the only one of its key, which is known only when it is sent.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "sqlite")),
        expect(dead_code, reason = "there is nothing to stage it in")
    )]
    pub(crate) fn into_parcel(self) -> Result<(Parcel, Sent), SendError> {
        if self.claim.is_some() {
            return Err(UniqueError::Staged.into());
        }
        if let Some(span) = self.span {
            trace::end(&span, &Ok(()));
        }
        let message = Arc::unwrap_or_clone(self.message);
        let parcel = Parcel {
            id: self.sent.id.clone(),
            task: message.text_header("task").unwrap_or_default(),
            queue: self.sent.destination.queue.clone(),
            eta: self.sent.eta,
            message,
        };
        Ok((parcel, self.sent))
    }
}

impl Publisher {
    /// Sends what was written earlier, and waits for the broker's confirm. A wait that is over by now
    /// is none.
    ///
    /// # Errors
    ///
    /// See [`SendError`]. After [`PublishError::Unconfirmed`] it may have been sent; sending it again
    /// sends the same task.
    pub async fn send_parcel(&self, parcel: &Parcel, deadline: Duration) -> Result<(), SendError> {
        let destination = parcel.destination();
        let now = self.shared.clock.now();
        let wait = parcel.eta.map_or(Duration::ZERO, |eta| clock::until(eta, now));
        let message = Arc::new(parcel.message.clone());
        let published: Result<(), PublishError> = match Delay::new(wait)? {
            None => self.deliver(message, &destination, deadline).await,
            Some(delay) => self.delay(message, &delay, &destination, deadline).await,
        };
        published?;
        self.announce(parcel, destination);
        Ok(())
    }

    /// Tells monitors that it was sent, if anybody is told.
    fn announce(&self, parcel: &Parcel, destination: Destination) {
        let Some(events) = &self.events else { return };
        let Ok(envelope) = parcel.message.envelope(&Limits::default()) else { return };
        let sent = Sent {
            id: parcel.id.clone(),
            destination,
            eta: parcel.eta,
            keeps_result: true,
            outcome: super::UniqueOutcome::New,
        };
        Announcement::new(&envelope.headers).tell(&sent, events);
    }
}

impl Parcel {
    fn destination(&self) -> Destination {
        let RawMessage { exchange, routing_key, .. } = &self.message;
        Destination { queue: self.queue.clone(), ..Destination::exchange(exchange, routing_key) }
    }
}
