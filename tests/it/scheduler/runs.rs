//! What arrived in the queue of the scheduled task.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use celeriac::clock::parse_iso;
use futures::StreamExt;
use lapin::Connection;
use lapin::options::{BasicAckOptions, BasicConsumeOptions};
use lapin::types::{AMQPValue, FieldTable};

use crate::rig::Rig;

/// One message that arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    pub id: String,
    pub schedule: String,
    pub due: SystemTime,
    pub term: i64,
}

/// Takes everything out of queue `default`.
pub async fn take(rig: &Rig) -> Vec<Arrived> {
    let waiting = rig.ready("default").await as usize;
    take_all(rig.connection().await, waiting).await
}

/// Takes so many messages out of queue `default`.
pub async fn take_all(connection: Connection, waiting: usize) -> Vec<Arrived> {
    let channel = connection.create_channel().await.unwrap();
    let options = BasicConsumeOptions::default();
    let consumer =
        channel.basic_consume("default".into(), "t".into(), options, FieldTable::default()).await;
    let mut arrived = Vec::new();
    let mut consumer = consumer.unwrap().take(waiting);
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery.unwrap();
        let headers = delivery.properties.headers().clone().unwrap();
        arrived.push(Arrived {
            id: text(&headers, "id"),
            schedule: text(&headers, "periodic_task_name"),
            due: parse_iso(&text(&headers, "celeriac-due")).unwrap(),
            term: match headers.inner().get("celeriac-term") {
                Some(AMQPValue::LongInt(term)) => (*term).into(),
                // Sent by hand.
                None => 0,
                other => panic!("term {other:?}"),
            },
        });
        delivery.ack(BasicAckOptions::default()).await.unwrap();
    }
    connection.close(200, "done".into()).await.unwrap();
    arrived
}

fn text(headers: &FieldTable, name: &str) -> String {
    match headers.inner().get(name) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        other => panic!("header {name}: {other:?}"),
    }
}

/// Due times of which nothing arrived, between the first and the last that did, and how many
/// messages came besides the first of their run.
pub fn account(arrived: &[Arrived], every: Duration) -> (Vec<SystemTime>, usize) {
    let dues: BTreeSet<SystemTime> = arrived.iter().map(|run| run.due).collect();
    let (first, last) = (*dues.first().unwrap(), *dues.last().unwrap());
    let expected = std::iter::successors(Some(first), |due| Some(*due + every));
    let missing = expected.take_while(|due| *due < last).filter(|due| !dues.contains(due));
    let mut by_due: BTreeMap<SystemTime, BTreeSet<&str>> = BTreeMap::new();
    for run in arrived {
        by_due.entry(run.due).or_default().insert(&run.id);
    }
    // What comes twice is recognisably the same.
    assert!(by_due.values().all(|ids| ids.len() == 1), "{by_due:?}");
    (missing.collect(), arrived.len() - dues.len())
}
