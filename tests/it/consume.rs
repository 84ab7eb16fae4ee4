//! A consumer keeps every delivery, whatever is changed about it while it runs.

use crate::rig::{PATIENCE, Rig, eventually};
use celeriac::broker::{
    AckPolicy, Broker, Consume, Deliveries, Delivery, RawMessage, Settings as BrokerSettings,
    StreamStart,
};
use celeriac::ids::TaskId;
use celeriac::protocol::{Envelope, Headers, Properties};
use celeriac::topology::{QueueKind, QueueTable, Settings, Topology};
use futures::{StreamExt, TryStreamExt};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const MESSAGES: usize = 3_000;

async fn connected(rig: &Rig) -> Broker {
    connected_to(rig.url().as_str()).await
}

async fn connected_to(url: &str) -> Broker {
    let settings = BrokerSettings { url: url.into(), ..BrokerSettings::default() };
    Broker::connect(&settings, 1_000).await.unwrap()
}

/// A broker whose queue `many` holds so many messages.
async fn filled(rig: &Rig, kind: QueueKind, messages: usize) -> Broker {
    let broker = connected(rig).await;
    let mut topology = Settings::default();
    topology.queues.insert("many", QueueTable { kind: Some(kind), ..QueueTable::default() });
    broker.declare(&Topology::dead(&topology)).await.unwrap();
    broker.declare(&Topology::ladder(&topology)).await.unwrap();
    broker.declare(&Topology::work(&topology, &["many".to_owned()])).await.unwrap();
    publish(&broker, "many", messages).await;
    broker
}

async fn publish(broker: &Broker, queue: &str, messages: usize) {
    let publish = |number: usize| {
        let headers = Headers::new("t", TaskId::from(number.to_string()));
        let properties = Properties { persistent: true, ..Properties::default() };
        let envelope = Envelope { properties, headers, body: b"[[],{},null]".as_slice().into() };
        let message = RawMessage::try_new("", queue, &envelope).unwrap();
        async move { broker.publish(Arc::new(message), PATIENCE).await }
    };
    futures::stream::iter((0..messages).map(publish))
        .buffer_unordered(1_000)
        .try_collect::<Vec<()>>()
        .await
        .unwrap();
}

fn consume(queue: &str, prefetch: u16) -> Consume {
    Consume {
        queue: queue.to_owned(),
        stream: None,
        declare: None,
        repair: None,
        prefetch,
        acks: AckPolicy { every: 50, within: Duration::from_millis(5) },
        tag: "it".to_owned(),
    }
}

async fn next(deliveries: &mut Deliveries) -> Delivery {
    timeout(PATIENCE, deliveries.next()).await.unwrap().unwrap()
}

fn id(delivery: &Delivery) -> String {
    delivery.envelope(&Default::default()).unwrap().headers.id.to_string()
}

async fn until_settled(rig: &Rig) {
    eventually("nothing is left", async || {
        let queue = rig.queue("many").await.unwrap();
        queue.ready == 0 && queue.unacknowledged == 0
    })
    .await;
}

#[tokio::test]
async fn changing_the_prefetch_loses_and_repeats_nothing() {
    for kind in [QueueKind::Classic, QueueKind::Quorum] {
        let rig = Rig::start().await;
        let broker = filled(&rig, kind, MESSAGES).await;
        let mut deliveries = broker.consume(consume("many", 8));
        let mut seen = HashSet::new();
        let sizes = [8, 16, 200, 5, 100].into_iter().cycle();
        for (number, size) in (1..=MESSAGES).zip(sizes) {
            let delivery = next(&mut deliveries).await;
            assert!(seen.insert(id(&delivery)), "{} came twice", id(&delivery));
            delivery.settle.ack();
            if number % 37 == 0 {
                deliveries.set_prefetch(size);
            }
        }
        deliveries.close().await;
        until_settled(&rig).await;
        broker.close().await;
    }
}

/// At every moment between the two consumers.
#[tokio::test]
async fn what_is_acknowledged_while_the_prefetch_changes_and_it_stops_is_done() {
    const MOMENTS: usize = 40;
    let rig = Rig::start().await;
    let broker = filled(&rig, QueueKind::Quorum, MOMENTS).await;
    let mut done = HashSet::new();
    for moment in 0..MOMENTS {
        let mut deliveries = broker.consume(consume("many", 1));
        let delivery = next(&mut deliveries).await;
        // What is lost here comes first again.
        assert!(done.insert(id(&delivery)), "{} came twice", id(&delivery));
        deliveries.set_prefetch(2);
        let going_on = Duration::from_micros(100) * u32::try_from(moment).unwrap();
        if let Ok(another) = timeout(going_on, deliveries.next()).await {
            another.unwrap().settle.give_back();
        }
        deliveries.stop().await;
        delivery.settle.ack();
        deliveries.close().await;
    }
    until_settled(&rig).await;
    broker.close().await;
}

/// The time of the acknowledgement has not come when the consumer is replaced.
#[tokio::test]
async fn an_acknowledgement_that_waits_is_sent_although_the_prefetch_changes() {
    let rig = Rig::start().await;
    let _filled = filled(&rig, QueueKind::Quorum, 1).await;
    let proxy = rig.proxy().await;
    let broker = connected_to(&rig.url_through(&proxy)).await;
    let acks = AckPolicy { every: 50, within: Duration::from_millis(200) };
    let mut deliveries = broker.consume(Consume { acks, ..consume("many", 8) });
    let delivery = next(&mut deliveries).await;
    proxy.mute_after(BASIC_ACK);
    delivery.settle.ack();
    deliveries.set_prefetch(16);
    tokio::select! {
        more = deliveries.next() => panic!("{more:?}"),
        () = proxy.until_muted() => {}
    }
}

/// The class and the method of an acknowledgement in its frame.
const BASIC_ACK: &[u8] = &[0, 60, 0, 80];

/// A stream closes the connection of whoever gives something back to it.
#[tokio::test]
async fn a_stream_that_is_read_no_more_breaks_nothing_beside_it() {
    let rig = Rig::start().await;
    let broker = filled(&rig, QueueKind::Quorum, 2).await;
    let mut deliveries = broker.consume(consume("many", 1));
    let running = next(&mut deliveries).await;
    let connection = running.settle.life().generation();
    broker.declare(&Topology::revocations()).await.unwrap();
    publish(&broker, "celeriac.revoked", 20).await;
    let from_the_first =
        Consume { stream: Some(StreamStart::First), ..consume("celeriac.revoked", 50) };
    let mut records = broker.consume(from_the_first);
    next(&mut records).await.settle.ack();
    next(&mut records).await.settle.give_back();
    next(&mut records).await.settle.reject();
    records.stop().await;
    records.close().await;
    let mut others = broker.consume(consume("many", 1));
    let other = next(&mut others).await;
    assert_eq!(other.settle.life().generation(), connection, "the connection was closed");
    other.settle.ack();
    others.close().await;
    running.settle.ack();
    deliveries.close().await;
    until_settled(&rig).await;
    broker.close().await;
}
