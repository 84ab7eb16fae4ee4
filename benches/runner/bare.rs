//! What a bare lapin loop costs: the least a Rust program can do about these messages.

use crate::messages::{Kind, Message};
use crate::side::{Meter, QUEUE, REPLIES, Side};
use anyhow::{Context, Result, ensure};
use futures::stream::FuturesOrdered;
use futures::{StreamExt, TryStreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) async fn connect(url: &str) -> Result<Connection> {
    Connection::connect(url, ConnectionProperties::default()).await.context("connecting")
}

/// A channel on which publications are confirmed.
pub(crate) async fn confirming(connection: &Connection) -> Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Publishes as many messages of one kind, `window` of them unconfirmed.
pub(crate) async fn fill(channel: &Channel, kind: Kind, count: usize, window: usize) -> Result<()> {
    let mut make = kind.maker()?;
    let messages = futures::stream::iter((0..count).map(|_| make()));
    // Awaiting each publication before the next would cost a wake-up per message.
    let posted = messages.map(|message| post(channel, QUEUE, message)).buffer_unordered(window);
    posted.try_collect().await
}

pub(crate) async fn publish(side: &Side, window: usize) -> Result<()> {
    let connection = connect(&side.url).await?;
    let channel = confirming(&connection).await?;
    let meter = Meter::ready()?;
    fill(&channel, Kind::Sparse, side.count, window).await?;
    meter.report(Vec::new())
}

pub(crate) async fn drain(side: &Side, prefetch: u16, ack_every: usize) -> Result<()> {
    let connection = connect(&side.url).await?;
    let channel = connection.create_channel().await?;
    let meter = Meter::ready()?;
    let mut consumer = consume(&channel, prefetch).await?;
    for number in 1..=side.count {
        let delivery = next(&mut consumer).await?;
        ensure!(sum(&delivery)? == 5 || sum(&delivery)? == 3, "not the messages that were sent");
        if number.is_multiple_of(ack_every) || number == side.count {
            let options = BasicAckOptions { multiple: ack_every > 1 };
            channel.basic_ack(delivery.delivery_tag, options).await?;
        }
    }
    channel.close(200, "done".into()).await?;
    meter.report(Vec::new())
}

pub(crate) async fn reply(side: &Side, prefetch: u16, ack_every: usize) -> Result<()> {
    let (consuming, publishing) = (connect(&side.url).await?, connect(&side.url).await?);
    let channel = consuming.create_channel().await?;
    let replies = confirming(&publishing).await?;
    let meter = Meter::ready()?;
    let mut consumer = consume(&channel, prefetch).await?;
    let mut waiting = FuturesOrdered::new();
    let (mut taken, mut done) = (0, 0);
    while done < side.count {
        tokio::select! {
            biased;
            Some(replied) = waiting.next(), if !waiting.is_empty() => {
                let tag = replied?;
                done += 1;
                if done % ack_every == 0 || done == side.count || waiting.is_empty() {
                    channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
                }
            }
            delivery = next(&mut consumer), if taken < side.count => {
                let delivery = delivery?;
                taken += 1;
                let (tag, answer) = (delivery.delivery_tag, answer(&delivery)?);
                let replies = &replies;
                waiting.push_back(async move {
                    post(replies, REPLIES, answer).await?;
                    anyhow::Ok(tag)
                });
            }
        }
    }
    channel.close(200, "done".into()).await?;
    meter.report(Vec::new())
}

/// Publishes two hundred messages a second, each with the time in it, and reads them.
pub(crate) async fn latency(side: &Side) -> Result<()> {
    let (consuming, publishing) = (connect(&side.url).await?, connect(&side.url).await?);
    let channel = consuming.create_channel().await?;
    let sending = confirming(&publishing).await?;
    let mut consumer = consume(&channel, 250).await?;
    let mut make = Kind::Sparse.maker()?;
    let meter = Meter::ready()?;
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    let send = async {
        for _ in 0..side.count {
            pace.tick().await;
            let body = rmp_serde::to_vec_named(&((now(), 0), Empty {}, Empty {}))?;
            post(&sending, QUEUE, Message { body, ..make() }).await?;
        }
        anyhow::Ok(())
    };
    let receive = async {
        let mut times = Vec::with_capacity(side.count);
        while times.len() < side.count {
            let delivery = next(&mut consumer).await?;
            let (sent, _) = arguments(&delivery)?;
            times.push((String::new(), (now() - sent) as f64));
            channel.basic_ack(delivery.delivery_tag, BasicAckOptions::default()).await?;
        }
        anyhow::Ok(times)
    };
    let ((), times) = futures::try_join!(send, receive)?;
    meter.report(times)
}

pub(crate) async fn idle(side: &Side, seconds: u64) -> Result<()> {
    let (consuming, publishing) = (connect(&side.url).await?, connect(&side.url).await?);
    let channel = consuming.create_channel().await?;
    let _sending = confirming(&publishing).await?;
    let mut consumer = consume(&channel, 250).await?;
    let delivery = next(&mut consumer).await?;
    channel.basic_ack(delivery.delivery_tag, BasicAckOptions::default()).await?;
    let meter = Meter::ready()?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    meter.report(Vec::new())
}

/// Microseconds since 1970.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

/// A map without entries.
#[derive(serde::Serialize)]
pub(crate) struct Empty {}

async fn consume(channel: &Channel, prefetch: u16) -> Result<Consumer> {
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    Ok(channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default()).await?)
}

async fn next(consumer: &mut Consumer) -> Result<Delivery> {
    Ok(consumer.next().await.context("the consumer has ended")??)
}

/// Publishes a message and waits for its confirm.
async fn post(channel: &Channel, queue: &str, message: Message) -> Result<()> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let Message { properties, body } = message;
    let posted = channel.basic_publish("".into(), queue.into(), options, &body, properties);
    let confirmation = posted.await?.await?;
    ensure!(matches!(confirmation, Confirmation::Ack(None)), "not taken: {confirmation:?}");
    Ok(())
}

/// Decodes a message as far as a worker has to: which task, which id, its arguments.
fn sum(delivery: &Delivery) -> Result<i64> {
    let (a, b) = arguments(delivery)?;
    Ok(a + b)
}

fn arguments(delivery: &Delivery) -> Result<(i64, i64)> {
    let headers = delivery.properties.headers().as_ref().context("no headers")?.inner();
    let text = |name: &str| match headers.get(name) {
        Some(AMQPValue::LongString(text)) => std::str::from_utf8(text.as_bytes()).ok(),
        _ => None,
    };
    let (_task, _id) = text("task").zip(text("id")).context("no task, no id")?;
    type Body = ((i64, i64), BTreeMap<String, i64>, BTreeMap<String, Option<i64>>);
    let is_json = delivery.properties.content_type().as_ref();
    let (arguments, ..): Body = match is_json.is_some_and(|kind| kind.as_str().ends_with("json")) {
        true => serde_json::from_slice(&delivery.data)?,
        false => rmp_serde::from_slice(&delivery.data)?,
    };
    Ok(arguments)
}

fn answer(delivery: &Delivery) -> Result<Message> {
    #[derive(serde::Serialize)]
    struct Reply<'a> {
        task_id: &'a str,
        status: &'static str,
        result: i64,
        traceback: Option<()>,
        children: [(); 0],
    }
    let id = delivery.properties.correlation_id().as_ref().context("no id")?;
    let result = sum(delivery)?;
    let reply =
        Reply { task_id: id.as_str(), status: "SUCCESS", result, traceback: None, children: [] };
    let properties = BasicProperties::default()
        .with_content_type("application/x-msgpack".into())
        .with_content_encoding("binary".into())
        .with_correlation_id(id.clone())
        .with_delivery_mode(1);
    Ok(Message { properties, body: rmp_serde::to_vec_named(&reply)? })
}
