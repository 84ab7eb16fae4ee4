//! A consumer keeps every delivery, whatever is changed about it while it runs.

use crate::rig::{PATIENCE, Rig, eventually};
use celeriac::broker::{AckPolicy, Broker, Consume, RawMessage, Settings as BrokerSettings};
use celeriac::ids::TaskId;
use celeriac::protocol::{Envelope, Headers, Properties};
use celeriac::topology::{QueueKind, QueueTable, Settings, Topology};
use futures::{StreamExt, TryStreamExt};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const MESSAGES: usize = 3_000;

async fn filled(rig: &Rig, kind: QueueKind) -> Broker {
    let settings = BrokerSettings { url: rig.url().as_str().into(), ..BrokerSettings::default() };
    let broker = Broker::connect(&settings, 1_000).await.unwrap();
    let mut topology = Settings::default();
    topology.queues.insert("many", QueueTable { kind: Some(kind), ..QueueTable::default() });
    broker.declare(&Topology::dead(&topology)).await.unwrap();
    broker.declare(&Topology::ladder(&topology)).await.unwrap();
    broker.declare(&Topology::work(&topology, &["many".to_owned()])).await.unwrap();
    let publish = |number: usize| {
        let headers = Headers::new("t", TaskId::from(number.to_string()));
        let properties = Properties { persistent: true, ..Properties::default() };
        let envelope = Envelope { properties, headers, body: b"[[],{},null]".as_slice().into() };
        let message = RawMessage::try_new("", "many", &envelope).unwrap();
        let broker = broker.clone();
        async move { broker.publish(Arc::new(message), PATIENCE).await }
    };
    futures::stream::iter((0..MESSAGES).map(publish))
        .buffer_unordered(1_000)
        .try_collect::<Vec<()>>()
        .await
        .unwrap();
    broker
}

#[tokio::test]
async fn changing_the_prefetch_loses_and_repeats_nothing() {
    for kind in [QueueKind::Classic, QueueKind::Quorum] {
        let rig = Rig::start().await;
        let broker = filled(&rig, kind).await;
        let mut deliveries = broker.consume(Consume {
            queue: "many".to_owned(),
            stream: None,
            declare: None,
            repair: None,
            prefetch: 8,
            acks: AckPolicy { every: 50, within: Duration::from_millis(5) },
            tag: "it".to_owned(),
        });
        let mut seen = HashSet::new();
        let sizes = [8, 16, 200, 5, 100].into_iter().cycle();
        for (number, size) in (1..=MESSAGES).zip(sizes) {
            let delivery = timeout(PATIENCE, deliveries.next()).await.unwrap().unwrap();
            let id = delivery.envelope(&Default::default()).unwrap().headers.id;
            assert!(seen.insert(id.to_string()), "{id} came twice");
            delivery.settle.ack();
            if number % 37 == 0 {
                deliveries.set_prefetch(size);
            }
        }
        deliveries.close().await;
        eventually("nothing is left", async || {
            let queue = rig.queue("many").await.unwrap();
            queue.ready == 0 && queue.unacknowledged == 0
        })
        .await;
        broker.close().await;
    }
}
