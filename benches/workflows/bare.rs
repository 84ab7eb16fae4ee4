//! A chain without workers: what its way through RabbitMQ costs a client that does nothing else.

use anyhow::{Context, Result};
use futures::stream::{FuturesUnordered, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use std::time::{Duration, Instant};

/// Bytes of our message of one step in JSON, properties and headers aside, and of each later step that
/// it carries.
const STEP: usize = 156;

const QUEUE: &str = "bare";

/// More than a chain has steps, because it acknowledges at the end.
const PREFETCH: u16 = 1_000;

/// Two connections, as a worker has: one that publishes with confirms, one that consumes.
pub(crate) struct Bare {
    publish: Channel,
    consumer: Consumer,
    _connections: [Connection; 2],
}

impl Bare {
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let connect = || Connection::connect(url, ConnectionProperties::default());
        let connections = [connect().await?, connect().await?];
        let publish = connections[0].create_channel().await?;
        publish.confirm_select(ConfirmSelectOptions::default()).await?;
        let consume = connections[1].create_channel().await?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        consume.queue_declare(QUEUE.into(), durable, FieldTable::default()).await?;
        consume.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let (options, nothing) = (BasicConsumeOptions::default(), FieldTable::default());
        let consumer = consume.basic_consume(QUEUE.into(), "".into(), options, nothing).await?;
        Ok(Self { publish, consumer, _connections: connections })
    }

    /// Publishes a message of each step's size, persistent and mandatory, when the one before has
    /// arrived. Confirms are awaited beside that, and everything is acknowledged at the end.
    pub(crate) async fn chain(&mut self, steps: usize) -> Result<Duration> {
        let began = Instant::now();
        let mut confirms = FuturesUnordered::new();
        let mut last = None;
        for left in (0..steps).rev() {
            let body = vec![b'x'; STEP * (left + 1)];
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let persistent = BasicProperties::default().with_delivery_mode(2);
            confirms.push(
                self.publish
                    .basic_publish("".into(), QUEUE.into(), options, &body, persistent)
                    .await?,
            );
            let arrived = loop {
                tokio::select! {
                    arrived = self.consumer.next() => break arrived,
                    Some(confirmed) = confirms.next() => drop(confirmed?),
                }
            };
            last = Some(arrived.context("the consumer ended")??);
        }
        let taken = began.elapsed();
        while let Some(confirmed) = confirms.next().await {
            confirmed?;
        }
        if let Some(delivery) = last {
            delivery.acker.ack(BasicAckOptions { multiple: true }).await?;
        }
        Ok(taken)
    }
}
