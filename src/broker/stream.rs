//! Reads a stream from a place in it to its present end. Takes nothing out.
//!
//! AMQP cannot ask where a stream ends (the count of its messages is seconds old). But a consumer
//! can begin at the last chunk, so the end is where that chunk has been passed and nothing more
//! comes.

use super::declare;
use super::memory;
use super::{Broker, DeclareError, RawMessage};
use crate::topology::Queue;
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Where in a stream to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStart {
    /// At the oldest message.
    First,
    /// At the last chunk of messages that the broker has.
    Last,
    /// At this offset.
    Offset(u64),
    /// At about this time. RabbitMQ finds a chunk of messages, so some may be older.
    Time(SystemTime),
}

/// Why a stream could not be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// It cannot be looked at.
    #[error(transparent)]
    Unknown(#[from] DeclareError),
    /// The broker does not let us read it, or the connection broke.
    #[error("reading stream \"{stream}\" broke off: {why}")]
    Interrupted {
        /// The stream.
        stream: String,
        /// What happened.
        why: String,
    },
}

impl StreamError {
    /// Whether the user lacks a permission.
    pub fn is_forbidden(&self) -> bool {
        match self {
            Self::Unknown(error) => matches!(error, DeclareError::Forbidden { .. }),
            Self::Interrupted { why, .. } => why.contains("ACCESS_REFUSED"),
        }
    }
}

/// A reader that ends when it has caught up.
#[derive(Debug)]
pub struct StreamReader(Source);

#[derive(Debug)]
enum Source {
    Channel(Box<Reading>),
    Memory(memory::Reader),
}

/// A stream of RabbitMQ being read.
#[derive(Debug)]
struct Reading {
    stream: String,
    channel: Channel,
    consumer: Consumer,
    /// An offset in the last chunk, as of when reading began.
    near_end: Option<u64>,
    /// When the last chunk was reached.
    caught_up: Option<Instant>,
    unacknowledged: u16,
}

/// So many messages are under way; a stream wants a limit.
const PREFETCH: u16 = 64;

/// Before the last chunk, a silence this long means that nothing more comes, whatever was
/// expected: after a crash its offsets may have a gap.
const BROKEN_OFF: Duration = Duration::from_secs(5);

/// In and behind the last chunk, a silence this long is the end.
const QUIET: Duration = Duration::from_millis(750);

/// A stream that is written to all the time is read no longer than this behind what was its last
/// chunk.
const RUNNING_ON: Duration = Duration::from_secs(5);

impl Broker {
    /// Reads `stream` from `start` to its present end.
    ///
    /// # Errors
    /// There is no such stream, or it may not be read.
    pub async fn read_stream(
        &self,
        stream: &str,
        start: StreamStart,
    ) -> Result<StreamReader, StreamError> {
        if let Some(memory) = self.memory() {
            return Ok(StreamReader(Source::Memory(memory.read_stream(stream, start)?)));
        }
        let connection = self.connection().await?;
        let near_end = near_end(&connection, stream).await?;
        let channel = declare::open(&connection).await?;
        let consumer = consume(&channel, stream, start.argument(), PREFETCH).await;
        let consumer = consumer.map_err(|error| interrupted(stream, &error))?;
        let stream = stream.to_owned();
        let caught_up = near_end.is_none().then(Instant::now);
        let reading = Reading { stream, channel, consumer, near_end, caught_up, unacknowledged: 0 };
        Ok(StreamReader(Source::Channel(Box::new(reading))))
    }
}

impl StreamReader {
    /// The next message and its offset; `None` at the end.
    ///
    /// # Errors
    /// The connection broke. What was read is good; read on from the next offset.
    pub async fn next(&mut self) -> Result<Option<(u64, RawMessage)>, StreamError> {
        match &mut self.0 {
            Source::Channel(reading) => reading.next().await,
            Source::Memory(reader) => Ok(reader.next()),
        }
    }

    /// Says that we listen no more.
    pub async fn close(self) {
        if let Source::Channel(reading) = self.0 {
            declare::close(&reading.channel).await;
        }
    }
}

impl Reading {
    async fn next(&mut self) -> Result<Option<(u64, RawMessage)>, StreamError> {
        let patience = if self.caught_up.is_some() { QUIET } else { BROKEN_OFF };
        let delivery = match tokio::time::timeout(patience, self.consumer.next()).await {
            Err(_) => return Ok(None),
            Ok(Some(delivery)) => delivery,
            Ok(None) => return Err(interrupted(&self.stream, &"the consumer was cancelled")),
        };
        let delivery = delivery.map_err(|error| interrupted(&self.stream, &error))?;
        self.acknowledge(delivery.delivery_tag).await?;
        let Some((offset, message)) = message(delivery) else {
            return Err(interrupted(&self.stream, &"it is no stream"));
        };
        if self.caught_up.is_none() && self.near_end.is_some_and(|near_end| offset >= near_end) {
            self.caught_up = Some(Instant::now());
        }
        if self.caught_up.is_some_and(|since| since.elapsed() > RUNNING_ON) {
            return Ok(None);
        }
        Ok(Some((offset, message)))
    }

    async fn acknowledge(&mut self, tag: u64) -> Result<(), StreamError> {
        self.unacknowledged += 1;
        if self.unacknowledged < PREFETCH / 2 {
            return Ok(());
        }
        self.unacknowledged = 0;
        let acknowledged = self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await;
        acknowledged.map_err(|error| interrupted(&self.stream, &error))
    }
}

/// An offset in the last chunk. `None` when the stream is empty, or its last chunk has no messages.
async fn near_end(connection: &Connection, stream: &str) -> Result<Option<u64>, StreamError> {
    let channel = declare::open(connection).await?;
    let passive = Queue { declare: false, ..Queue::named(stream) };
    if let Err(error) = declare::declare_queue(&channel, &passive).await {
        return Err(declare::refusal(&error, passive.object()).into());
    }
    let arguments = AMQPValue::LongString("last".into());
    let consumer = consume(&channel, stream, arguments, 1).await;
    let mut consumer = consumer.map_err(|error| interrupted(stream, &error))?;
    let first = match tokio::time::timeout(QUIET, consumer.next()).await {
        Ok(Some(Ok(delivery))) => message(delivery).map(|(offset, _)| offset),
        Ok(Some(Err(error))) => return Err(interrupted(stream, &error)),
        Ok(None) => return Err(interrupted(stream, &"the consumer was cancelled")),
        Err(_) => None,
    };
    declare::close(&channel).await;
    Ok(first)
}

async fn consume(
    channel: &Channel,
    stream: &str,
    offset: AMQPValue,
    prefetch: u16,
) -> lapin::Result<Consumer> {
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let arguments = arguments(offset);
    let tag = format!("celeriac-read-{:016x}", fastrand::u64(..));
    let options = BasicConsumeOptions::default();
    channel.basic_consume(stream.into(), tag.into(), options, arguments).await
}

fn arguments(offset: AMQPValue) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), offset);
    arguments
}

impl StreamStart {
    /// What a consumer says that begins here.
    pub(super) fn arguments(self) -> FieldTable {
        arguments(self.argument())
    }

    fn argument(self) -> AMQPValue {
        match self {
            Self::First => AMQPValue::LongString("first".into()),
            Self::Last => AMQPValue::LongString("last".into()),
            Self::Offset(offset) => {
                AMQPValue::LongLongInt(i64::try_from(offset).unwrap_or(i64::MAX))
            }
            Self::Time(time) => {
                let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                AMQPValue::Timestamp(since.as_secs())
            }
        }
    }
}

/// `None` when the message has no offset, as in a queue that is no stream.
fn message(delivery: Delivery) -> Option<(u64, RawMessage)> {
    let message = RawMessage {
        exchange: delivery.exchange.to_string(),
        routing_key: delivery.routing_key.to_string(),
        properties: delivery.properties,
        body: delivery.data.into(),
        mandatory: true,
    };
    match message.header("x-stream-offset") {
        crate::protocol::HeaderValue::Int(offset) => Some((u64::try_from(offset).ok()?, message)),
        _ => None,
    }
}

fn interrupted(stream: &str, why: &impl ToString) -> StreamError {
    StreamError::Interrupted { stream: stream.to_owned(), why: why.to_string() }
}
