//! Giving letters back to their queues, and setting them aside.
//!
//! A letter is published first, confirmed, and only then marked as requeued. Whoever dies between
//! the two leaves a letter that looks open and is out: requeued again, its task runs twice, with
//! the same id. The other order could lose it.

use super::letter::Mark;
use super::{Archive, ArchiveError, DeadLetter, Deed, State};
use crate::broker::{Broker, PublishError, RawMessage};
use crate::clock;
use crate::protocol::header;
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How letters are requeued.
#[derive(Debug, Clone, PartialEq)]
pub struct Requeue {
    /// At most this many per second; `None` for as fast as the broker takes them.
    pub rate: Option<f64>,
    /// Whether the count of retries and the record of attempts go on where they ended.
    pub retries: Retries,
    /// To this queue instead of the one each letter came from.
    pub queue: Option<String>,
    /// Who does it; noted in the archive.
    pub by: String,
}

/// What becomes of the count of retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Retries {
    /// The task has all its retries again.
    #[default]
    Reset,
    /// The task has only the retries that it had left.
    Keep,
}

/// What became of one letter.
#[derive(Debug)]
pub struct Done {
    /// Its place in the archive.
    pub offset: u64,
    /// Whether it is out, and marked.
    pub result: Result<(), RequeueError>,
}

/// Why a letter was not requeued or set aside.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequeueError {
    /// Nothing tells which queue it came from.
    #[error("nothing tells which queue it came from; name one")]
    NoQueue,
    /// It is still in the archive, open.
    #[error(transparent)]
    NotPublished(PublishError),
    /// It was published, but the archive does not know. Requeued again, it runs twice.
    #[error("it was done, but could not be marked as done in the archive: {0}")]
    NotMarked(PublishError),
    /// The archive has dropped it since it was found.
    #[error("it is not in the archive any more")]
    Gone,
}

/// So many letters are on their way at once.
const IN_FLIGHT: usize = 32;

/// How long one publication may take.
const DEADLINE: Duration = Duration::from_secs(30);

impl Archive {
    /// Publishes letters again, each to the queue that it came from, and marks them. Tells `done`
    /// of each.
    ///
    /// Letters that are not open are requeued all the same: choose with a
    /// [`Filter`](super::Filter).
    ///
    /// Dropping the future stops after what is on its way; what is done is marked, except for the
    /// letters on their way, of which some may be out and not marked.
    ///
    /// # Errors
    /// The archive could not be read to the end. What `done` was told holds.
    pub async fn requeue(
        &self,
        letters: &[DeadLetter],
        how: &Requeue,
        mut done: impl FnMut(Done),
    ) -> Result<(), ArchiveError> {
        let chosen: BTreeMap<u64, &DeadLetter> =
            letters.iter().map(|letter| (letter.offset, letter)).collect();
        let mut missing: BTreeSet<u64> = chosen.keys().copied().collect();
        let mut messages = self.messages(missing.clone()).await?;
        let mut pace = how.rate.map(pace);
        let mut under_way = futures::stream::FuturesUnordered::new();
        while let Some((offset, message)) = messages.next().await? {
            missing.remove(&offset);
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            let letter = chosen[&offset];
            under_way.push(async move { self.requeue_one(letter, message, how).await });
            if under_way.len() >= IN_FLIGHT {
                under_way.next().await.into_iter().for_each(&mut done);
            }
        }
        messages.close().await;
        while let Some(one) = under_way.next().await {
            done(one);
        }
        let gone = missing.into_iter();
        gone.for_each(|offset| done(Done { offset, result: Err(RequeueError::Gone) }));
        Ok(())
    }

    /// Marks letters as discarded: they stay in the archive, and are not open any more. Tells
    /// `done` of each.
    pub async fn discard(&self, letters: &[DeadLetter], by: &str, mut done: impl FnMut(Done)) {
        let mut under_way = futures::stream::FuturesUnordered::new();
        for letter in letters {
            under_way.push(self.discard_one(letter, by));
            if under_way.len() >= IN_FLIGHT {
                under_way.next().await.into_iter().for_each(&mut done);
            }
        }
        while let Some(one) = under_way.next().await {
            done(one);
        }
    }

    /// Marks a letter as discarded.
    pub async fn discard_one(&self, letter: &DeadLetter, by: &str) -> Done {
        let state = State::Discarded(Deed { at: self.clock.now(), by: by.to_owned() });
        let marked = self.mark(letter, state).await;
        Done { offset: letter.offset, result: marked.map_err(RequeueError::NotPublished) }
    }

    /// Publishes a letter again, of which [`whole`](Self::whole) has found the message, and marks
    /// it. How fast these follow each other is the caller's to say.
    ///
    /// Dropped in the middle, it may be out and not marked.
    pub async fn requeue_one(
        &self,
        letter: &DeadLetter,
        message: RawMessage,
        how: &Requeue,
    ) -> Done {
        let result = self.give_back(letter, message, how, &self.broker).await;
        Done { offset: letter.offset, result }
    }

    /// The same, for whoever would rather leave a letter in doubt than have its task run twice: when
    /// the connection breaks while it is on its way it is not sent again, and
    /// [`PublishError::Fenced`] says that it may be out or not.
    pub async fn requeue_once(
        &self,
        letter: &DeadLetter,
        message: RawMessage,
        how: &Requeue,
    ) -> Done {
        let once = self.broker.fenced(self.broker.generation());
        Done { offset: letter.offset, result: self.give_back(letter, message, how, &once).await }
    }

    async fn give_back(
        &self,
        letter: &DeadLetter,
        message: RawMessage,
        how: &Requeue,
        broker: &Broker,
    ) -> Result<(), RequeueError> {
        let queue = how.queue.as_ref().or(letter.queue.as_ref()).ok_or(RequeueError::NoQueue)?;
        let at = self.clock.now();
        let message = Arc::new(revive(message, queue, how.retries, at));
        let published = broker.publish(message, DEADLINE).await;
        published.map_err(RequeueError::NotPublished)?;
        let state = State::Requeued(Deed { at, by: how.by.clone() });
        self.mark(letter, state).await.map_err(RequeueError::NotMarked)
    }

    async fn mark(&self, letter: &DeadLetter, state: State) -> Result<(), PublishError> {
        let mark = Mark::of(letter, state).message(&self.settings.exchange);
        self.broker.publish(Arc::new(mark), DEADLINE).await
    }
}

/// The message as it was sent, addressed to the queue alone: by its own routing key it could reach
/// other queues a second time.
fn revive(message: RawMessage, queue: &str, retries: Retries, now: SystemTime) -> RawMessage {
    let expires = message.text_header("expires").and_then(|text| clock::parse_iso(&text));
    let is_over = expires.is_some_and(|expires| expires <= now);
    let reset = retries == Retries::Reset;
    let fresh = message.afresh().without_headers(|name| match name {
        "expires" => is_over,
        header::DELIVERIES => true,
        header::ATTEMPTS | header::SNOOZES | "retries" => reset,
        _ => false,
    });
    RawMessage { exchange: String::new(), routing_key: queue.to_owned(), ..fresh }
}

fn pace(per_second: f64) -> tokio::time::Interval {
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second.max(1e-3)));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    pace
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::HeaderValue;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn revived(retries: Retries, expires_in: i64) -> Vec<String> {
        let expires = Duration::from_secs(expires_in.unsigned_abs());
        let expires = if expires_in < 0 { NOW - expires } else { NOW + expires };
        let headers = [
            ("task", HeaderValue::Text("t".to_owned())),
            ("retries", HeaderValue::Int(3)),
            ("expires", HeaderValue::Text(clock::to_iso(expires))),
            (header::ATTEMPTS, HeaderValue::List(Vec::new())),
            (header::DELIVERIES, HeaderValue::Int(9)),
            ("celeriac-dead-reason", HeaderValue::Text("exhausted".to_owned())),
            ("x-death", HeaderValue::List(Vec::new())),
        ];
        let message = revive(RawMessage::note("celeriac.dead", headers), "mail", retries, NOW);
        assert_eq!((message.exchange.as_str(), message.routing_key.as_str()), ("", "mail"));
        message.headers().into_keys().collect()
    }

    #[test]
    fn a_letter_goes_back_as_it_was_sent_with_all_its_retries() {
        assert_eq!(revived(Retries::Reset, 60), ["expires", "task"]);
    }

    #[test]
    fn retries_are_kept_on_request_and_a_past_expiry_never() {
        assert_eq!(revived(Retries::Keep, -60), [header::ATTEMPTS, "retries", "task"]);
    }
}
