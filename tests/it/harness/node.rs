//! The broker: places apart, faults that happen, and nothing left behind.

use std::time::Duration;

use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::{Rig, eventually};

async fn declare(channel: &Channel, queue: &str) {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
}

async fn publish(channel: &Channel, queue: &str) {
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish("".into(), queue.into(), options, b"kept", persistent).await;
    sent.unwrap().await.unwrap();
}

#[tokio::test]
async fn each_test_has_a_place_of_its_own() {
    let (here, there) = (Rig::start().await, Rig::start().await);
    let (_connection, channel) = here.channel().await;
    declare(&channel, "mail/urgent").await;
    assert_eq!(here.queue("mail/urgent").await.unwrap().kind, "classic");
    assert_eq!(there.queue("mail/urgent").await, None);
}

#[tokio::test]
async fn what_waits_and_what_is_held_is_told_apart() {
    let rig = Rig::start().await;
    let (_connection, channel) = rig.channel().await;
    declare(&channel, "work").await;
    publish(&channel, "work").await;
    assert_eq!(rig.ready("work").await, 1);
    let options = BasicConsumeOptions::default();
    let _consumer = channel
        .basic_consume("work".into(), "test".into(), options, FieldTable::default())
        .await
        .unwrap();
    eventually("the message is held by the consumer", async || {
        let state = rig.queue("work").await.unwrap();
        (state.ready, state.unacknowledged, state.consumers) == (0, 1, 1)
    })
    .await;
}

#[tokio::test]
async fn an_operator_closes_the_connections_of_one_place_only() {
    let (here, there) = (Rig::start().await, Rig::start().await);
    let (mine, other) = (here.connection().await, there.connection().await);
    eventually("the connection is listed", async || here.connections().await.len() == 1).await;
    assert_eq!(here.close_connections().await, 1);
    eventually("it notices", async || !mine.status().connected()).await;
    assert!(other.status().connected());
}

#[tokio::test]
async fn a_killed_broker_comes_back_with_what_it_had_confirmed() {
    let rig = Rig::alone().await;
    let (connection, channel) = rig.channel().await;
    declare(&channel, "work").await;
    publish(&channel, "work").await;
    rig.node().kill().await;
    eventually("the connection is lost", async || !connection.status().connected()).await;
    rig.node().start().await;
    let (_connection, channel) = rig.channel().await;
    let kept = channel.basic_get("work".into(), BasicGetOptions::default()).await.unwrap();
    assert_eq!(kept.unwrap().delivery.data, b"kept");
}

#[tokio::test]
async fn a_memory_alarm_stops_publishing_until_it_is_cleared() {
    let rig = Rig::alone().await;
    let (_connection, channel) = rig.channel().await;
    declare(&channel, "work").await;
    rig.node().raise_memory_alarm().await;
    let publishing = publish(&channel, "work");
    tokio::pin!(publishing);
    assert!(timeout(Duration::from_millis(700), &mut publishing).await.is_err());
    rig.node().clear_memory_alarm().await;
    publishing.await;
    assert_eq!(rig.ready("work").await, 1);
}

#[tokio::test]
async fn a_broker_goes_away_with_the_test_that_asked_for_it() {
    let rig = Rig::alone().await;
    let host = rig.node().address().rsplit_once('@').unwrap().1.to_owned();
    assert!(TcpStream::connect(&host).await.is_ok());
    drop(rig);
    assert!(TcpStream::connect(&host).await.is_err());
}
