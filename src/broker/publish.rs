//! Publishing: mandatory and confirmed, many messages in flight.
//!
//! One [`Pump`] owns the publishing channel and every confirm that is awaited on it. It has to be
//! one place: lapin hands a returned message to whichever confirm happens to complete next, so an
//! unroutable message may look confirmed while a routed one looks returned. The pump collects all
//! confirms that are ready, notes which messages came back, and only then answers; a message is
//! matched by its address and id, not by whose confirm carried it.
//!
//! When the channel or the connection breaks, the outcome of what was in flight is unknown. The
//! waiting publisher sends the same message again, with the same id, until its deadline.

use super::connection::{Link, Up};
use super::headers::MOST_HEADER_BYTES;
use super::message::RawMessage;
use crate::backoff::Backoff;
use crate::in_flight::InFlight;
use futures::FutureExt;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::debug;

/// Why a message was not published.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// No queue is bound for the address; the broker gave the message back.
    #[error(
        "no queue takes exchange \"{exchange}\", routing key \"{routing_key}\"; \
         start a worker that consumes it or run `celeriac topology apply`"
    )]
    Unroutable {
        /// The exchange; empty for the default exchange.
        exchange: String,
        /// The routing key.
        routing_key: String,
    },

    /// The exchange does not exist.
    #[error("there is no exchange \"{exchange}\"; run `celeriac topology apply`")]
    NoExchange {
        /// The exchange.
        exchange: String,
    },

    /// The broker took the message and then refused it, also when it was sent again: as a full
    /// queue does.
    #[error(
        "the broker refused the message for routing key \"{routing_key}\" (is the queue full?)"
    )]
    Nacked {
        /// The routing key.
        routing_key: String,
    },

    /// No confirm came in time. The broker may or may not have the message; sending it again with
    /// the same id is safe.
    #[error("the broker did not confirm within {0:?}; it may have the message or not")]
    Unconfirmed(Duration),

    /// The broker takes no publications, because it runs out of memory or disk.
    #[error("the broker blocks publishing ({reason}), waited {waited:?}")]
    Blocked {
        /// What the broker said.
        reason: String,
        /// How long it was waited for.
        waited: Duration,
    },

    /// There was no connection to the broker before the deadline. The message was not sent.
    #[error("not connected to the broker, waited {waited:?}: {reason}")]
    Disconnected {
        /// Why there is no connection.
        reason: String,
        /// How long it was waited for.
        waited: Duration,
    },

    /// The connection that this was to be published on, and on no other, is gone. The broker may or
    /// may not have the message.
    #[error("the connection was lost, and this is published on no other")]
    Fenced,

    /// The broker does not accept this message at all.
    #[error("the broker does not accept the message: {0}")]
    Refused(String),
}

impl PublishError {
    /// Whether publishing the same message again can succeed. It can also duplicate it.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Nacked { .. }
                | Self::Unconfirmed(_)
                | Self::Blocked { .. }
                | Self::Disconnected { .. }
        )
    }
}

/// The handle that publishes. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Confirms {
    jobs: mpsc::Sender<Job>,
    link: Link,
}

/// Runs the publishing channel; see the module.
#[derive(Debug)]
pub(crate) struct Pump {
    jobs: mpsc::Receiver<Job>,
    link: Link,
    in_flight: usize,
}

/// One publication on its way.
#[derive(Debug)]
struct Job {
    message: Arc<RawMessage>,
    /// The only life of the connection on which it may be published, if there is one.
    fence: Option<u64>,
    answer: oneshot::Sender<Answer>,
}

/// What became of one publication.
#[derive(Debug)]
enum Answer {
    Final(Result<(), PublishError>),
    Nacked,
    /// The channel, which was opened at `opened`, broke because the exchange was missing then.
    NoExchange {
        exchange: String,
        opened: Instant,
    },
    /// The channel, which was opened at `opened`, broke; the outcome is unknown.
    Interrupted {
        error: Arc<str>,
        sent: bool,
        opened: Instant,
    },
}

/// A publication whose confirm has come, or whose channel is gone.
struct Settled {
    job: Job,
    outcome: Result<Confirmed, lapin::Error>,
}

/// What the broker said, with the message if that came back. The message is in a box: hundreds of
/// these are moved about, and next to none comes back.
enum Confirmed {
    Ack(Option<Box<BasicReturnMessage>>),
    Nack(Option<Box<BasicReturnMessage>>),
    NotRequested,
}

impl From<Confirmation> for Confirmed {
    fn from(confirmation: Confirmation) -> Self {
        match confirmation {
            Confirmation::Ack(returned) => Self::Ack(returned.map(Box::new)),
            Confirmation::Nack(returned) => Self::Nack(returned.map(Box::new)),
            Confirmation::NotRequested => Self::NotRequested,
        }
    }
}

/// Whether a message breaks the channels it is published on.
#[derive(Debug, Default)]
struct Suspicion {
    broken: u32,
    last: Option<Instant>,
}

impl Suspicion {
    /// So many channels that break with the same message in flight are broken by it.
    const CHANNELS: u32 = 3;

    /// The channel that was opened then broke with the message in flight. One whose connection was
    /// just lost breaks again and again until somebody notices; it counts once.
    fn note(&mut self, opened: Instant) {
        self.broken += u32::from(self.last.replace(opened) != Some(opened));
    }

    fn is_certain(&self) -> bool {
        self.broken >= Self::CHANNELS
    }
}

/// A message that is refused is sent again this often: a quorum queue refuses for a moment also
/// when it elects, or when its node is too busy to note a new publisher.
const REFUSALS: u32 = 4;

/// The waits between, 0.75 s in all.
const REFUSED: Backoff = Backoff {
    first: Duration::from_millis(50),
    factor: 2.0,
    max: Duration::from_millis(400),
    jitter: 0.0,
};

impl Confirms {
    /// A publishing handle and its pump, with at most `in_flight` unconfirmed messages.
    pub(crate) fn new(link: Link, in_flight: usize) -> (Self, Pump) {
        let in_flight = in_flight.max(1);
        let (jobs, receiver) = mpsc::channel(in_flight);
        (Self { jobs, link: link.clone() }, Pump { jobs: receiver, link, in_flight })
    }

    /// Publishes and waits for the confirm, over reconnections, until `deadline`. With a `fence` it
    /// is published on the connection of that number only.
    ///
    /// Dropping the future gives up waiting; the message may be published all the same.
    pub(crate) async fn publish(
        &self,
        message: Arc<RawMessage>,
        fence: Option<u64>,
        deadline: Duration,
    ) -> Result<(), PublishError> {
        check_headers(&message)?;
        let started = Instant::now();
        let ends = started + deadline;
        let mut sent = false;
        let mut refusals = 0;
        let mut suspicion = Suspicion::default();
        loop {
            let (answer, answered) = oneshot::channel();
            let job = Job { message: Arc::clone(&message), fence, answer };
            let attempt = async {
                self.jobs.send(job).await.ok()?;
                answered.await.ok()
            };
            match tokio::time::timeout_at(ends, attempt).await {
                Ok(Some(Answer::Final(result))) => return result,
                Ok(Some(Answer::Nacked)) => {
                    let pause = REFUSED.wait(refusals, 0.0);
                    refusals += 1;
                    if refusals > REFUSALS || Instant::now() + pause >= ends {
                        let routing_key = message.routing_key.clone();
                        return Err(PublishError::Nacked { routing_key });
                    }
                    tokio::time::sleep(pause).await;
                }
                Ok(Some(Answer::NoExchange { exchange, opened })) => {
                    // An older channel may have been broken by an earlier message, before somebody
                    // declared the exchange.
                    if opened > started {
                        return Err(PublishError::NoExchange { exchange });
                    }
                    debug!(exchange, "the exchange was missing, sending the message again");
                }
                Ok(Some(Answer::Interrupted { error, .. })) if self.is_beyond(fence) => {
                    debug!(%error, "not published, its connection is gone");
                    return Err(PublishError::Fenced);
                }
                Ok(Some(Answer::Interrupted { error, sent: was_sent, opened })) => {
                    sent |= was_sent;
                    debug!(%error, "publication interrupted, sending it again");
                    if was_sent && !is_about_an_exchange(&error) && self.link.is_up() {
                        suspicion.note(opened);
                    }
                    if suspicion.is_certain() {
                        return Err(PublishError::Refused(error.to_string()));
                    }
                }
                // The connection was given up with the message on its way.
                Ok(None) if !self.jobs.is_closed() => {
                    sent = true;
                    if fence.is_some() {
                        return Err(PublishError::Fenced);
                    }
                }
                Ok(None) => return Err(self.missed(started.elapsed(), sent)),
                Err(_) => return Err(self.missed(deadline, sent)),
            }
        }
    }

    /// Whether the connection with this number is gone.
    fn is_beyond(&self, fence: Option<u64>) -> bool {
        fence.is_some_and(|fence| !self.link.is_up() || self.link.generation() != fence)
    }

    /// Why nothing was confirmed for `waited`.
    fn missed(&self, waited: Duration, sent: bool) -> PublishError {
        if let Some(reason) = self.link.blocked() {
            return PublishError::Blocked { reason: reason.to_string(), waited };
        }
        if sent || self.link.is_up() {
            return PublishError::Unconfirmed(waited);
        }
        let reason = self.link.last_error().map_or("closed".to_owned(), |why| why.to_string());
        PublishError::Disconnected { reason, waited }
    }
}

impl Pump {
    /// Publishes what is asked for until every handle is gone.
    pub(crate) async fn run(mut self) {
        while let Some(up) = self.link.up().await {
            match open(&up.connection).await {
                Ok(channel) => {
                    if self.serve(Arc::new(channel), &up).await.is_none() {
                        return;
                    }
                }
                Err(error) => {
                    debug!(%error, "no publishing channel yet");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Serves one channel until it breaks. `None` when every handle is gone.
    async fn serve(&mut self, channel: Arc<Channel>, up: &Up) -> Option<()> {
        let mut in_flight = InFlight::default();
        let mut account = Account::new();
        loop {
            tokio::select! {
                biased;
                Some(first) = in_flight.next(), if !in_flight.is_empty() => {
                    settle(first, &mut in_flight, &mut account);
                    if !channel.status().connected() {
                        drain(in_flight, account).await;
                        return Some(());
                    }
                }
                job = self.jobs.recv(), if in_flight.len() < self.in_flight => match job {
                    Some(job) if job.answer.is_closed() => {}
                    Some(job) if job.fence.is_some_and(|fence| fence != up.generation) => {
                        // Whoever asked may have stopped waiting.
                        let _ = job.answer.send(Answer::Final(Err(PublishError::Fenced)));
                    }
                    Some(job) => {
                        let sending = in_flight.hold(send(Arc::clone(&channel), job));
                        in_flight.push(sending);
                    }
                    None => {
                        drain(in_flight, account).await;
                        return None;
                    }
                },
                // Given up although it looks alive: no confirm is waited for any more.
                () = up.gone.cancelled() => return Some(()),
            }
        }
    }
}

/// Headers that do not fit into a frame would cost everybody the connection.
fn check_headers(message: &RawMessage) -> Result<(), PublishError> {
    let bytes = message.header_bytes();
    if bytes <= MOST_HEADER_BYTES {
        return Ok(());
    }
    Err(PublishError::Refused(format!(
        "its headers take {bytes} bytes, at most {MOST_HEADER_BYTES} fit; send large data in the body"
    )))
}

async fn open(connection: &lapin::Connection) -> Result<Channel, lapin::Error> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

async fn send(channel: Arc<Channel>, job: Job) -> Settled {
    let message = &job.message;
    // Awaited where it is made: in a variable it would be held twice.
    let sent = channel
        .basic_publish(
            message.exchange.as_str().into(),
            message.routing_key.as_str().into(),
            BasicPublishOptions { mandatory: message.mandatory, ..Default::default() },
            &message.body,
            message.properties.clone(),
        )
        .await;
    let outcome = match sent {
        Ok(confirm) => confirm.await.map(Confirmed::from),
        Err(error) => Err(error),
    };
    Settled { job, outcome }
}

/// Answers `first` and everything else that is ready, after all returns among them are known.
fn settle(first: Settled, in_flight: &mut InFlight<Settled>, account: &mut Account) {
    let mut batch = vec![first];
    while let Some(Some(settled)) = in_flight.next().now_or_never() {
        batch.push(settled);
    }
    answer(batch, account);
}

/// Waits for all that is in flight and answers it.
async fn drain(mut in_flight: InFlight<Settled>, mut account: Account) {
    let mut batch = Vec::new();
    while let Some(settled) = in_flight.next().await {
        batch.push(settled);
    }
    answer(batch, &mut account);
}

fn answer(mut batch: Vec<Settled>, account: &mut Account) {
    for settled in &mut batch {
        if let Ok(Confirmed::Ack(message) | Confirmed::Nack(message)) = &mut settled.outcome {
            account.note(message.take());
        }
    }
    for Settled { job, outcome } in batch {
        let answer = judge(&job.message, outcome, account);
        // Whoever asked may have stopped waiting.
        let _ = job.answer.send(answer);
    }
}

fn judge(
    message: &RawMessage,
    outcome: Result<Confirmed, lapin::Error>,
    account: &mut Account,
) -> Answer {
    if matches!(outcome, Ok(Confirmed::Ack(_))) && !account.take(message) {
        return Answer::Final(Ok(()));
    }
    let (exchange, routing_key) = (message.exchange.clone(), message.routing_key.clone());
    match outcome {
        Ok(Confirmed::Ack(_)) => {
            Answer::Final(Err(PublishError::Unroutable { exchange, routing_key }))
        }
        Ok(Confirmed::Nack(_)) => Answer::Nacked,
        Ok(Confirmed::NotRequested) => {
            let error = "the publishing channel is not in confirm mode".into();
            Answer::Interrupted { error, sent: true, opened: account.opened }
        }
        Err(error) if names_exchange(&error, &exchange) => {
            Answer::NoExchange { exchange, opened: account.opened }
        }
        Err(error) => {
            let sent = !matches!(
                error.kind(),
                lapin::ErrorKind::InvalidChannelState(..)
                    | lapin::ErrorKind::InvalidConnectionState(..)
            );
            Answer::Interrupted { error: error.to_string().into(), sent, opened: account.opened }
        }
    }
}

/// Whether the broker closed the channel because `exchange` does not exist.
fn names_exchange(error: &lapin::Error, exchange: &str) -> bool {
    let text = error.to_string();
    is_about_an_exchange(&text) && text.contains(&format!("no exchange '{exchange}'"))
}

/// Whether the broker closed the channel because some exchange does not exist.
fn is_about_an_exchange(error: &str) -> bool {
    error.contains("NOT_FOUND - no exchange")
}

/// What is known of one channel.
#[derive(Debug)]
struct Account {
    opened: Instant,
    /// Messages that came back and whose confirm has not been answered yet.
    returned: HashMap<Key, u32>,
}

/// What tells one message from another: address, correlation id, message id.
type Key = (String, String, Option<String>, Option<String>);

impl Account {
    fn new() -> Self {
        Self { opened: Instant::now(), returned: HashMap::new() }
    }

    fn note(&mut self, message: Option<Box<BasicReturnMessage>>) {
        let Some(message) = message else { return };
        let delivery = &message.delivery;
        let properties = &delivery.properties;
        // Whoever published it is told, and knows whether that matters.
        debug!(
            exchange = %delivery.exchange, routing_key = %delivery.routing_key,
            reply = %message.reply_text, "a message came back from the broker"
        );
        let key = key(delivery.exchange.as_str(), delivery.routing_key.as_str(), properties);
        *self.returned.entry(key).or_default() += 1;
    }

    /// Whether `message` came back. Forgets it.
    fn take(&mut self, message: &RawMessage) -> bool {
        if self.returned.is_empty() {
            return false;
        }
        let key = key(&message.exchange, &message.routing_key, &message.properties);
        match self.returned.get_mut(&key) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) => drop(self.returned.remove(&key)),
            None => return false,
        }
        true
    }
}

fn key(exchange: &str, routing_key: &str, properties: &lapin::BasicProperties) -> Key {
    let text = |value: &Option<lapin::types::ShortString>| value.as_ref().map(ToString::to_string);
    (
        exchange.to_owned(),
        routing_key.to_owned(),
        text(properties.correlation_id()),
        text(properties.message_id()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_breaks_again_and_again_does_not_convict_a_message() {
        let mut suspicion = Suspicion::default();
        let opened = Instant::now();
        (0..5).for_each(|_| suspicion.note(opened));
        assert!(!suspicion.is_certain());
        (1..3).for_each(|later| suspicion.note(opened + Duration::from_secs(later)));
        assert!(suspicion.is_certain());
    }
}
