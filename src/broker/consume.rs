//! Consuming: a stream of deliveries that outlives connections.
//!
//! [`Consumption`] opens a channel of its own, consumes, and opens another when the channel or the
//! connection breaks or the broker cancels the consumer. A delivery belongs to the channel that
//! brought it: when that channel is gone the delivery is void, because the broker hands the message
//! out again.

use super::acks::{Ack, Ledger};
use super::connection::{Link, Up};
use super::declare::{declare, declare_on};
use super::stream::StreamStart;
use super::{Consume, Delivery, Settle};
use crate::topology::names;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    BasicRejectOptions,
};
use lapin::{Channel, Consumer};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::{debug, info, warn};

/// Deliveries of one queue over connections to RabbitMQ.
pub(super) struct Consumption {
    link: Link,
    consume: Arc<Consume>,
    queue: Arc<str>,
    state: State,
    /// The channel that what is here came by, also while its consumer is replaced and after it was
    /// cancelled. `None` before the first one, and once its deliveries are void.
    line: Option<Arc<Line>>,
    /// A consumer that was cancelled for another prefetch; what it has brought comes first.
    leaving: Option<Open>,
    prefetch: u16,
    /// Sends acknowledgements of the current channel when their time has come.
    flusher: JoinSet<()>,
}

enum State {
    /// A channel is being opened, or a consumer started on the channel that is there.
    Opening(BoxFuture<'static, Option<Open>>),
    Consuming(Open),
    Stopped,
}

struct Open {
    line: Arc<Line>,
    consumer: Consumer,
    /// Completes when the connection is lost, also when the channel cannot tell.
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// One consuming channel: what acknowledgements go through.
#[derive(Debug)]
struct Line {
    channel: Channel,
    /// A stream takes nothing back.
    is_stream: bool,
    ledger: Mutex<Ledger>,
    /// Acknowledgements are sent when so many are due: never more than half of what may be here.
    every: AtomicUsize,
    /// And this long after the first of them.
    within: Duration,
    /// Told when a delivery is the first to wait for its acknowledgement.
    finished: Notify,
    /// The broker took its deliveries back although the channel is still open.
    void: AtomicBool,
    /// Cancelled when the connection is lost.
    gone: CancellationToken,
    /// Which of the connections it is on.
    generation: u64,
}

/// The life of the channel that brought a delivery. Cloning is cheap.
#[derive(Debug, Clone)]
pub(super) struct Life {
    line: Arc<Line>,
}

/// How long the broker may take to answer before its connection is taken for dead.
const ANSWER: Duration = Duration::from_secs(10);

/// The same, when we are about to stop and lose nothing by not hearing it.
const GOODBYE: Duration = Duration::from_secs(2);

/// Settles one delivery of a [`Consumption`].
#[derive(Debug)]
pub(super) struct Receipt {
    line: Arc<Line>,
    tag: u64,
}

impl Consumption {
    pub(super) fn new(link: Link, consume: Consume) -> Self {
        let consume = Arc::new(consume);
        let prefetch = consume.prefetch.max(1);
        let opening = open(link.clone(), Arc::clone(&consume), prefetch).boxed();
        Self {
            queue: consume.queue.as_str().into(),
            link,
            consume,
            state: State::Opening(opening),
            line: None,
            leaving: None,
            prefetch,
            flusher: JoinSet::new(),
        }
    }

    /// The queue that is consumed.
    pub(super) fn queue(&self) -> &Arc<str> {
        &self.queue
    }

    /// How many deliveries may be with us, not acknowledged.
    pub(super) fn prefetch(&self) -> u16 {
        self.prefetch
    }

    /// Whether a consumer is running at the broker.
    pub(super) fn is_consuming(&self) -> bool {
        let is_stopped = matches!(self.state, State::Stopped);
        !is_stopped && self.line.as_ref().is_some_and(|line| !line.is_gone())
    }

    /// Waits until the first consumer has started. Cancel safe.
    pub(super) async fn opened(&mut self) {
        if let State::Opening(opening) = &mut self.state
            && let Some(open) = opening.await
        {
            self.consuming(open);
        }
    }

    /// Changes the prefetch of the running consumer. Deliveries that are here stay valid.
    ///
    /// RabbitMQ applies a prefetch when a consumer starts, so the consumer is replaced by another
    /// on the same channel. What a quorum queue has under way to the old one at that moment goes
    /// back to the queue, and comes again marked as redelivered.
    ///
    /// While a consumer is being started this does nothing: ask again once it runs.
    pub(super) fn set_prefetch(&mut self, prefetch: u16) {
        let State::Consuming(current) = &self.state else { return };
        self.prefetch = prefetch.max(1);
        let line = Arc::clone(&current.line);
        let (old, consume) = (current.consumer.tag(), Arc::clone(&self.consume));
        let (link, prefetch) = (self.link.clone(), self.prefetch);
        let opening = async move {
            match replace(line, old, &consume, prefetch).await {
                Some(open) => Some(open),
                None => open(link, consume, prefetch).await,
            }
        };
        let state = std::mem::replace(&mut self.state, State::Opening(opening.boxed()));
        if let State::Consuming(leaving) = state {
            self.leaving = Some(leaving);
        }
    }

    /// Starts a fresh consumer on a fresh channel; what is here becomes void.
    pub(super) fn restart(&mut self) {
        if let Some(line) = self.line.take() {
            line.void.store(true, Ordering::Release);
        }
        self.leaving = None;
        let link = self.link.clone();
        let opening = open(link, Arc::clone(&self.consume), self.prefetch).boxed();
        self.state = State::Opening(opening);
    }

    /// Takes the connection for dead: every channel on it ends, and another is made.
    pub(super) fn abandon_connection(&mut self) {
        self.link.abandon();
    }

    fn consuming(&mut self, open: Open) {
        // The flusher of a channel may just be waiting for the time of what is due on it.
        if !self.line.as_ref().is_some_and(|line| Arc::ptr_eq(line, &open.line)) {
            // Replacing the set ends the flusher of the channel before.
            self.flusher = JoinSet::new();
            self.flusher.spawn(Arc::clone(&open.line).flush_in_time());
        }
        self.line = Some(Arc::clone(&open.line));
        self.state = State::Consuming(open);
    }

    /// Takes in nothing more and gives back what has not been looked at. What has been handed out
    /// can still be settled.
    pub(super) async fn stop(&mut self) {
        let open = match std::mem::replace(&mut self.state, State::Stopped) {
            State::Consuming(open) => Some(open),
            // Only a consumer that takes the place of another has deliveries to give back.
            State::Opening(opening) if self.line.is_some() => {
                timeout(GOODBYE, opening).await.ok().flatten()
            }
            State::Opening(_) | State::Stopped => None,
        };
        if let Some(Open { line, consumer, .. }) = &open {
            let tag = consumer.tag();
            let cancelling = line.channel.basic_cancel(tag, BasicCancelOptions::default());
            match timeout(GOODBYE, cancelling).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%error, "consumer not cancelled, its channel is gone"),
                Err(_) => debug!("consumer not cancelled, the broker does not answer"),
            }
        }
        for Open { line, mut consumer, .. } in self.leaving.take().into_iter().chain(open) {
            while let Some(Some(Ok(delivery))) = consumer.next().now_or_never() {
                line.open(delivery.delivery_tag);
                line.nack(delivery.delivery_tag);
            }
            self.line = Some(line);
        }
    }

    /// Sends the acknowledgements that are due and closes the channel once the broker has read
    /// them. Call it when everything handed out is settled.
    pub(super) async fn close(mut self) {
        self.stop().await;
        let Some(line) = &self.line else { return };
        line.flush();
        // Closing waits for the broker's answer, so the acknowledgements before it have arrived.
        match timeout(GOODBYE, line.channel.close(200, "done".into())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "consuming channel was closed already"),
            Err(_) => debug!("consuming channel not closed, the broker does not answer"),
        }
        // Whatever was not settled goes back to the queue with its channel.
        line.void.store(true, Ordering::Release);
    }
}

impl Stream for Consumption {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let this = &mut *self;
        loop {
            if let Some(leaving) = &mut this.leaving {
                match leaving.consumer.poll_next_unpin(cx) {
                    Poll::Ready(Some(Ok(delivery))) => {
                        return Poll::Ready(Some(accept(&this.queue, &leaving.line, delivery)));
                    }
                    Poll::Ready(_) => this.leaving = None,
                    Poll::Pending => {}
                }
            }
            match &mut this.state {
                State::Stopped => return Poll::Ready(None),
                State::Opening(opening) => match ready!(opening.poll_unpin(cx)) {
                    Some(open) => this.consuming(open),
                    None => return Poll::Ready(None),
                },
                State::Consuming(open) => match open.consumer.poll_next_unpin(cx) {
                    Poll::Ready(Some(Ok(delivery))) => {
                        return Poll::Ready(Some(accept(&this.queue, &open.line, delivery)));
                    }
                    Poll::Ready(Some(Err(error))) => {
                        warn!(queue = %this.queue, %error, "consumer lost, consuming again");
                        this.restart();
                    }
                    Poll::Ready(None) => {
                        warn!(queue = %this.queue, "the broker cancelled the consumer, consuming again");
                        this.restart();
                    }
                    Poll::Pending => {
                        ready!(open.gone.poll_unpin(cx));
                        this.restart();
                    }
                },
            }
        }
    }
}

impl Life {
    /// Whether the channel is gone, and with it everything it brought.
    pub(super) fn is_over(&self) -> bool {
        self.line.is_gone()
    }

    /// Waits until the connection is lost. A channel that ends alone is noticed by whoever takes
    /// the next delivery. Cancel safe.
    pub(super) async fn over(&self) {
        self.line.gone.cancelled().await;
    }

    /// Which of the connections it is on, for [`super::Broker::fenced`].
    pub(super) fn generation(&self) -> u64 {
        self.line.generation
    }

    /// Whether both are of one channel.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.line, &other.line)
    }
}

impl Receipt {
    /// The life that this delivery shares with its channel.
    pub(super) fn life(&self) -> Life {
        Life { line: Arc::clone(&self.line) }
    }

    /// Whether the broker has taken the delivery back, so that settling it means nothing and the
    /// message is handed out again.
    pub(super) fn is_void(&self) -> bool {
        self.line.is_void()
    }

    /// Acknowledges: the broker forgets the message. Returns at once; the acknowledgement is sent
    /// with others of its run.
    pub(super) fn ack(self) {
        self.line.finish(self.tag);
    }

    /// As [`Receipt::ack`], and sends the acknowledgement at once.
    pub(super) fn ack_now(self) {
        self.line.finish(self.tag);
        self.line.flush();
    }

    /// Gives the message back to its queue, at once. It does not count as a failed delivery on
    /// RabbitMQ 4.3.
    pub(super) fn give_back(self) {
        self.line.nack(self.tag);
    }

    /// Refuses the message: the queue's dead-letter exchange gets it.
    pub(super) fn reject(self) {
        self.line.reject(self.tag);
    }
}

impl std::fmt::Debug for Consumption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumption")
            .field("queue", &self.queue)
            .field("prefetch", &self.prefetch)
            .finish_non_exhaustive()
    }
}

fn accept(queue: &Arc<str>, line: &Arc<Line>, delivery: lapin::message::Delivery) -> Delivery {
    line.open(delivery.delivery_tag);
    let routing_key = names::sent_key(delivery.exchange.as_str(), delivery.routing_key.as_str());
    Delivery {
        queue: Arc::clone(queue),
        routing_key: routing_key.to_owned(),
        exchange: delivery.exchange.to_string(),
        redelivered: delivery.redelivered,
        properties: delivery.properties,
        body: delivery.data.into(),
        settle: Settle::of_channel(Receipt { line: Arc::clone(line), tag: delivery.delivery_tag }),
    }
}

/// Opens a channel and consumes on it; tries until it works. `None` when no connection will come.
async fn open(link: Link, consume: Arc<Consume>, prefetch: u16) -> Option<Open> {
    let mut told = None;
    let backoff = crate::backoff::Backoff {
        first: Duration::from_millis(100),
        factor: 2.0,
        max: Duration::from_secs(5),
        jitter: 0.2,
    };
    for failures in 0.. {
        let up = link.up().await?;
        let opened = tokio::select! {
            biased;
            () = up.gone.cancelled() => continue,
            opened = timeout(ANSWER, try_open(&up, &consume, prefetch)) => opened,
        };
        let Ok(opened) = opened else {
            warn!(queue = %consume.queue, "no answer from the broker, connecting again");
            up.gone.cancel();
            continue;
        };
        match opened {
            Ok(open) => {
                if told.is_some() {
                    info!(queue = %consume.queue, "consuming again");
                }
                return Some(open);
            }
            Err(error) => {
                let repairing = timeout(ANSWER, repair(&up, &consume, &error));
                // Whatever comes of it, consuming is tried again.
                let repaired = up.gone.run_until_cancelled(repairing).await;
                let text = error.to_string();
                if !matches!(repaired, Some(Ok(true))) && told.as_ref() != Some(&text) {
                    warn!(queue = %consume.queue, %error, "cannot consume, trying until it works");
                    told = Some(text);
                }
            }
        }
        tokio::time::sleep(backoff.random_wait(failures)).await;
    }
    None
}

/// Declares the queue if that it is missing is why it cannot be consumed; whether it is there now.
async fn repair(up: &Up, consume: &Consume, error: &lapin::Error) -> bool {
    let is_missing = matches!(
        error.kind(),
        lapin::ErrorKind::ProtocolError(refused) if refused.get_id() == NOT_FOUND
    );
    let Some(topology) = consume.repair.as_ref().filter(|_| is_missing) else { return false };
    let declared = declare(&up.connection, topology).await;
    match &declared {
        Ok(()) => info!(queue = %consume.queue, "the queue was missing and is declared"),
        Err(error) => warn!(queue = %consume.queue, %error, "the queue is missing"),
    }
    declared.is_ok()
}

/// AMQP's reply code for something that does not exist.
const NOT_FOUND: u16 = 404;

async fn try_open(up: &Up, consume: &Consume, prefetch: u16) -> Result<Open, lapin::Error> {
    let channel = up.connection.create_channel().await?;
    if let Some(topology) = &consume.declare {
        declare_on(&channel, topology).await?;
    }
    let line = Arc::new(Line {
        channel,
        is_stream: consume.stream.is_some(),
        ledger: Mutex::default(),
        every: AtomicUsize::new(1),
        within: consume.acks.within,
        finished: Notify::new(),
        void: AtomicBool::new(false),
        gone: up.gone.clone(),
        generation: up.generation,
    });
    let consumer = start(&line, consume, prefetch).await?;
    Ok(Open::new(line, consumer))
}

async fn start(line: &Line, consume: &Consume, prefetch: u16) -> Result<Consumer, lapin::Error> {
    let every = consume.acks.every.clamp(1, usize::from(prefetch / 2).max(1));
    line.every.store(every, Ordering::Relaxed);
    line.channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let tag = format!("{}-{}", consume.tag, uuid::Uuid::new_v4().simple());
    line.channel
        .basic_consume(
            consume.queue.as_str().into(),
            tag.as_str().into(),
            BasicConsumeOptions::default(),
            consume.stream.map(StreamStart::arguments).unwrap_or_default(),
        )
        .await
}

/// Puts another consumer in the place of `old` on the same channel. `None` when the channel or its
/// connection is gone. A quorum queue counts the old consumer, too, while that one has
/// unacknowledged messages.
async fn replace(
    line: Arc<Line>,
    old: lapin::types::ShortString,
    consume: &Consume,
    prefetch: u16,
) -> Option<Open> {
    let replacing = async {
        line.channel.basic_cancel(old, BasicCancelOptions::default()).await?;
        start(&line, consume, prefetch).await
    };
    let started = tokio::select! {
        biased;
        () = line.gone.cancelled() => return None,
        started = replacing => started,
    };
    match started {
        Ok(consumer) => Some(Open::new(line, consumer)),
        Err(error) => {
            debug!(%error, "consumer not replaced, opening another channel");
            None
        }
    }
}

impl Open {
    fn new(line: Arc<Line>, consumer: Consumer) -> Self {
        let gone = Box::pin(line.gone.clone().cancelled_owned());
        Self { line, consumer, gone }
    }
}

impl Line {
    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, tag: u64) {
        self.ledger().open(tag);
    }

    fn is_gone(&self) -> bool {
        self.is_void() || !self.channel.status().connected()
    }

    /// What is known without asking the channel. lapin changes a channel's status twice per
    /// message, so that asking for it once per task makes two threads wait for each other; that
    /// the channel is closed is known here as soon as its consumer has ended.
    fn is_void(&self) -> bool {
        self.void.load(Ordering::Acquire) || self.gone.is_cancelled()
    }

    async fn flush_in_time(self: Arc<Self>) {
        loop {
            self.finished.notified().await;
            tokio::time::sleep(self.within).await;
            self.flush();
        }
    }

    fn finish(&self, tag: u64) {
        let waiting = self.ledger().finish(tag);
        if waiting >= self.every.load(Ordering::Relaxed) {
            self.flush();
        } else if waiting == 1 {
            self.finished.notify_one();
        }
    }

    /// Sends every acknowledgement that is due. The frames are queued in order; nothing waits for
    /// them, because an acknowledgement that is lost only means another delivery.
    fn flush(&self) {
        let mut ledger = self.ledger();
        if self.is_gone() {
            return;
        }
        for ack in ledger.flush() {
            let (tag, multiple) = match ack {
                Ack::UpTo(tag) => (tag, true),
                Ack::One(tag) => (tag, false),
            };
            let sent = self.channel.basic_ack(tag, BasicAckOptions { multiple }).now_or_never();
            if let Some(Err(error)) = sent {
                debug!(%error, "acknowledgement not sent, the broker delivers again");
                return;
            }
        }
    }

    /// Gives one back. The ledger stays locked until the frame is queued: a run of acknowledgements
    /// that passes over this delivery must not reach the broker before it, or it would acknowledge
    /// what is given back.
    ///
    /// A stream closes the whole connection for it (540 NOT_IMPLEMENTED, with everything that is on
    /// its way there), and has nothing to take back: its messages stay where they are.
    fn nack(&self, tag: u64) {
        if self.is_stream {
            self.finish(tag);
            return;
        }
        let mut ledger = self.ledger();
        ledger.settle(tag);
        let options = BasicNackOptions { requeue: true, ..Default::default() };
        if let Some(Err(error)) = self.channel.basic_nack(tag, options).now_or_never() {
            debug!(%error, "delivery not given back, its channel is gone");
        }
    }

    /// Refuses one, in the same order as [`Line::nack`].
    fn reject(&self, tag: u64) {
        if self.is_stream {
            self.finish(tag);
            return;
        }
        let mut ledger = self.ledger();
        ledger.settle(tag);
        let options = BasicRejectOptions { requeue: false };
        if let Some(Err(error)) = self.channel.basic_reject(tag, options).now_or_never() {
            debug!(%error, "delivery not rejected, its channel is gone");
        }
    }
}
