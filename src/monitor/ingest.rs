//! Reads streams into the index, and goes on where it was when it starts again.
//!
//! What is read gathers for a moment and is applied in one transaction together with the offset
//! behind it. While one batch is applied the next gathers, and no more than that: the stream keeps
//! what we do not take, and waits for us.

use super::change::{Beat, Change, Micros, change, micros};
use super::feed::Feed;
use super::index::{Batch, Index, IndexError};
use super::redact::Redact;
use super::status::Status;
use crate::archive::Entry;
use crate::broker::{AckPolicy, Broker, Consume, Deliveries, Delivery, RawMessage, StreamStart};
use crate::clock::Clock;
use crate::control::audit::Record;
use crate::events;
use crate::protocol::HeaderValue;
use crate::shutdown::Shutdown;
use crate::topology::Topology;
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

/// Events gather for so long before they are applied together,
const GATHER: Duration = Duration::from_millis(100);

/// and never more than this.
const TOGETHER: usize = 5_000;

/// RabbitMQ's own marks in a stream, one or so where a segment begins, have offsets too. What
/// retention takes away are whole segments.
const OWN: u64 = 16;

/// So many messages are under way. Each holds up to 64 KiB of events.
const PREFETCH: u16 = 100;

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// What workers and senders tell.
    Events,
    /// What was given up, and what became of it.
    Dead,
    /// What people did.
    Audit,
}

/// Reads one stream into the index.
#[derive(Debug)]
pub(super) struct Ingest {
    pub(super) broker: Broker,
    pub(super) source: Source,
    pub(super) stream: String,
    /// Declared when the stream is missing.
    pub(super) repair: Topology,
    pub(super) index: Index,
    pub(super) feed: Feed,
    pub(super) redact: Redact,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) status: Status,
    /// Told after every batch what it was about.
    pub(super) news: watch::Sender<News>,
}

/// What the last batches were about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct News {
    /// How many batches were applied.
    pub(super) batches: u64,
    /// How many steps of tasks were.
    pub(super) steps: u64,
    /// Names of workers that came online in the last one.
    pub(super) online: Vec<String>,
}

/// Where in the stream we are.
struct Place {
    deliveries: Deliveries,
    /// From where this consumer began.
    began: Option<u64>,
    /// The offset behind everything that was taken.
    next: Option<u64>,
}

impl Ingest {
    /// Reads until `shutdown` drains; what was taken is applied before the end.
    ///
    /// # Errors
    /// When the index takes no more.
    pub(super) async fn run(self, shutdown: &Shutdown) -> Result<(), IndexError> {
        let source = self.source;
        let next = self.index.write(move |writer| writer.next_offset(source)).await?;
        info!(stream = self.stream, from = next, "reading");
        let mut place = Place { deliveries: self.consume(next), began: next, next };
        loop {
            let (batch, is_last) = self.gather(&mut place, shutdown).await;
            if let Some(batch) = batch {
                self.apply(batch).await?;
            }
            if is_last {
                place.deliveries.close().await;
                self.note_reading(false);
                return Ok(());
            }
        }
    }

    fn consume(&self, next: Option<u64>) -> Deliveries {
        self.broker.consume(Consume {
            queue: self.stream.clone(),
            stream: Some(next.map_or(StreamStart::First, StreamStart::Offset)),
            declare: None,
            repair: Some(self.repair.clone()),
            prefetch: PREFETCH,
            acks: AckPolicy { every: usize::from(PREFETCH) / 4, within: GATHER },
            tag: "celeriac-monitor".to_owned(),
        })
    }

    /// Takes what comes within a moment after the first; whether it is the last.
    async fn gather(&self, place: &mut Place, shutdown: &Shutdown) -> (Option<Batch>, bool) {
        let mut batch: Option<Batch> = None;
        let mut ends = Instant::now() + GATHER;
        loop {
            if batch.as_ref().is_some_and(|batch| batch.changes.len() >= TOGETHER) {
                return (batch, false);
            }
            tokio::select! {
                biased;
                () = shutdown.draining() => return (batch, true),
                () = sleep_until(ends) => {
                    self.note_reading(place.deliveries.is_consuming());
                    if batch.is_some() {
                        return (batch, false);
                    }
                    ends = Instant::now() + GATHER;
                }
                delivery = place.deliveries.next() => {
                    let Some(delivery) = delivery else { return (batch, true) };
                    if batch.is_none() {
                        ends = Instant::now() + GATHER;
                    }
                    self.take(delivery, place, &mut batch);
                }
            }
        }
    }

    /// Takes one message into the batch.
    fn take(&self, delivery: Delivery, place: &mut Place, batch: &mut Option<Batch>) {
        let message = RawMessage::from(&delivery);
        delivery.settle.ack();
        let Some(offset) = offset(&message) else {
            return warn!(stream = self.stream, "it is no stream; its messages are not read");
        };
        if place.next.is_some_and(|next| offset < next) {
            // The broker sends whole chunks. After a loss of the connection it begins where this
            // consumer began, which may be long ago.
            if place.began != place.next {
                place.deliveries = self.consume(place.next);
                place.began = place.next;
            }
            return;
        }
        self.note_gap(place, offset);
        place.next = Some(offset + 1);
        let batch = batch.get_or_insert_with(|| Batch::new(self.source));
        batch.next = offset + 1;
        if let Err(error) = self.read(offset, message, &mut batch.changes) {
            self.status.count_unreadable();
            warn!(stream = self.stream, offset, error, "a message is left out");
        }
    }

    /// Adds what a message of the stream changes.
    fn read(
        &self,
        offset: u64,
        message: RawMessage,
        changes: &mut Vec<Change>,
    ) -> Result<(), String> {
        match self.source {
            Source::Events => {
                let told = events::read(&message).map_err(|error| error.to_string())?;
                let first = changes.len();
                changes.extend(told.iter().filter_map(change));
                changes[first..].iter_mut().for_each(|change| self.redact.apply(change));
                self.feed.take(&told, &self.redact, micros(self.clock.now()));
            }
            Source::Dead => changes.push(Change::Dead(Entry::read(offset, message))),
            Source::Audit => changes.push(Change::Audit(Record::read(&message)?)),
        }
        Ok(())
    }

    fn note_reading(&self, reads: bool) {
        if self.source == Source::Events {
            self.status.set_reading(reads);
        }
    }

    /// Says so, once, when the stream no longer has what is next.
    fn note_gap(&self, place: &Place, offset: u64) {
        let gap = place.next.map_or(0, |next| offset - next);
        if gap > OWN && self.source == Source::Events {
            self.status.count_missed(gap);
            warn!(
                stream = self.stream,
                messages = gap,
                "the stream no longer had these messages; raise `retain`, or do not leave the \
                 monitor away for so long"
            );
        }
    }

    async fn apply(&self, batch: Batch) -> Result<(), IndexError> {
        let events = batch.changes.len();
        let is_step = |change: &&Change| matches!(change, Change::Task(..));
        let steps = batch.changes.iter().filter(is_step).count() as u64;
        let newest = batch.changes.iter().filter_map(Change::told).max();
        let online = batch.changes.iter().filter_map(Change::online);
        let online: Vec<_> = online.map(str::to_owned).collect();
        let totals = self.index.write(move |writer| writer.apply(&batch)).await?;
        self.status.count(&totals);
        if let Some(newest) = newest {
            self.status.applied(events, newest, self.clock.now());
        }
        self.news.send_modify(|news| {
            news.batches += 1;
            news.steps += steps;
            news.online = online;
        });
        Ok(())
    }
}

impl Source {
    /// Under which name the offset stands.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Events => "events.next",
            Self::Dead => "dead.next",
            Self::Audit => "audit.next",
        }
    }
}

impl Change {
    /// When it was told by a worker.
    fn told(&self) -> Option<Micros> {
        match self {
            Self::Task(step, _) => Some(step.at),
            Self::Worker(pulse) => Some(pulse.at),
            Self::Dead(_) | Self::Audit(_) => None,
        }
    }

    /// The worker that came online.
    fn online(&self) -> Option<&str> {
        match self {
            Self::Worker(pulse) if pulse.beat == Beat::Online => Some(&pulse.node),
            _ => None,
        }
    }
}

fn offset(message: &RawMessage) -> Option<u64> {
    match message.header("x-stream-offset") {
        HeaderValue::Int(offset) => u64::try_from(offset).ok(),
        _ => None,
    }
}
