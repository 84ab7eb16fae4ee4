//! What one process knows of paused queues.

use super::pause::PAUSED;
use super::pauses::{Pause, Pauses};
use super::records::Read;
use crate::broker::{Broker, StreamError, StreamStart};
use crate::topology::names;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long the mark may take to come back before the stream is read without.
const CATCHING_UP: Duration = Duration::from_secs(5);

/// The wait before a stream that cannot be read is read again.
const AGAIN: Duration = Duration::from_secs(1);

/// After so many messages what is known is written again, so that it is never among the oldest, which
/// the broker drops. The stream has room for twenty times as many.
const OLD: u64 = 5_000;

/// What is known of paused queues. Cloning is cheap; all clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paused(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Whether any is: most workers never see one, and pay a load per task.
    any: AtomicBool,
    known: watch::Sender<Pauses>,
    /// All is known that was said before the connection of this generation was made. Before the first
    /// time, and where nothing is followed, this is not asked.
    current: AtomicU64,
    caught_up: watch::Sender<()>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            any: AtomicBool::new(false),
            known: watch::Sender::default(),
            current: AtomicU64::new(u64::MAX),
            caught_up: watch::Sender::default(),
        }
    }
}

impl Paused {
    /// Whether this queue is paused.
    pub(crate) fn contains(&self, queue: &str) -> bool {
        self.0.any.load(Ordering::Acquire) && self.0.known.borrow().of(queue).is_some()
    }

    /// Why this queue is paused, if it is.
    pub(crate) fn of(&self, queue: &str) -> Option<Pause> {
        self.0.known.borrow().of(queue).cloned()
    }

    /// All that is known now.
    pub(crate) fn now(&self) -> Pauses {
        self.0.known.borrow().clone()
    }

    /// Is told of every change.
    pub(crate) fn changes(&self) -> watch::Receiver<Pauses> {
        self.0.known.subscribe()
    }

    /// Completes when this queue is paused. Cancel safe.
    pub(crate) async fn until(&self, queue: &str) {
        let mut changes = self.changes();
        // The other end lives as long as `self`.
        let _ = changes.wait_for(|known| known.of(queue).is_some()).await;
    }

    /// Whether all is known that was said before the connection of this generation was made: what was
    /// said while there was none.
    pub(crate) fn is_current(&self, generation: u64) -> bool {
        self.0.current.load(Ordering::Acquire) >= generation
    }

    /// Completes when that is so, and in any case after some seconds. Cancel safe.
    pub(crate) async fn until_current(&self, generation: u64) {
        let mut caught_up = self.0.caught_up.subscribe();
        let waiting = caught_up.wait_for(|()| self.is_current(generation));
        if timeout(CATCHING_UP, waiting).await.is_err() {
            debug!("whether queues were paused while the connection was lost is not known");
        }
    }

    /// Takes in what another knows.
    pub(crate) fn hear(&self, pauses: Pauses) {
        self.0.known.send_if_modified(|known| known.merge(pauses));
        let any = !self.0.known.borrow().is_empty();
        self.0.any.store(any, Ordering::Release);
    }

    /// Follows the stream until `done`. `caught_up` is told once all that was said before is known.
    pub(crate) async fn follow(
        &self,
        broker: Broker,
        caught_up: watch::Sender<bool>,
        done: CancellationToken,
    ) {
        let mut records = PAUSED.read(&broker);
        let mut newest = 0;
        while let Some(Some(read)) = done.run_until_cancelled(records.next()).await {
            match read {
                Read::Record(message) => {
                    newest = records.passed();
                    match Pauses::read(&message.body) {
                        Some(pauses) => self.hear(pauses),
                        None => debug!("not a record of paused queues, ignored"),
                    }
                }
                Read::CaughtUp(generation) => {
                    self.0.current.store(generation, Ordering::Release);
                    self.0.caught_up.send_replace(());
                    caught_up.send_replace(true);
                    if records.passed().saturating_sub(newest) > OLD {
                        self.write_again(&broker).await;
                    }
                }
            }
        }
        records.close().await;
    }

    /// What is written again is no news to anybody, whatever was said meanwhile.
    async fn write_again(&self, broker: &Broker) {
        let known = self.now();
        if known == Pauses::default() {
            return;
        }
        match PAUSED.keep(broker, known.message(), CATCHING_UP).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "what is known of paused queues is not written again"),
            Err(error) => debug!(%error, "what is known of paused queues is not written again"),
        }
    }

    /// Waits until all that was said before is known, however long that takes: a queue that is paused
    /// must not be consumed. Where marks cannot be written, as under a memory alarm, the stream is read
    /// until it falls silent.
    pub(crate) async fn caught_up(&self, broker: &Broker, mut told: watch::Receiver<bool>) {
        let waiting = timeout(CATCHING_UP, told.wait_for(|caught_up| *caught_up));
        if matches!(waiting.await, Ok(Ok(_))) {
            return;
        }
        loop {
            match read_to_end(broker).await {
                Ok(pauses) => return self.hear(pauses),
                Err(error) if error.is_forbidden() => {
                    return warn!(%error, "paused queues will be consumed");
                }
                Err(error) => {
                    warn!(
                        %error, stream = names::PAUSED,
                        "which queues are paused is not known yet, consuming none"
                    );
                    sleep(AGAIN).await;
                }
            }
        }
    }
}

/// Which queues are paused, without writing anything.
pub(super) async fn read_to_end(broker: &Broker) -> Result<Pauses, StreamError> {
    let mut known = Pauses::default();
    let mut reader = broker.read_stream(names::PAUSED, StreamStart::First).await?;
    while let Some((_, message)) = reader.next().await? {
        if let Some(pauses) = Pauses::read(&message.body) {
            known.merge(pauses);
        }
    }
    reader.close().await;
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[tokio::test]
    async fn whoever_waits_is_told_of_a_pause() {
        let paused = Paused::default();
        let none = Pauses::default();
        let email = none.pause("email", Pause::new("ana", SystemTime::UNIX_EPOCH, ""), Vec::new());
        let here = paused.clone();
        let waiting = tokio::join!(here.until("email"), async { paused.hear(email.clone()) });
        assert_eq!(waiting, ((), ()));
        assert!(paused.contains("email") && !paused.contains("video"));
        paused.hear(email.resume("email", Pause::new("bo", SystemTime::UNIX_EPOCH, "")));
        assert!(!paused.contains("email"));
        paused.hear(email);
        assert!(!paused.contains("email"), "what is old changes nothing");
    }
}
