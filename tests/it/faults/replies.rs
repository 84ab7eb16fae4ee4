//! Replies and events, which nobody has to take: confirmed all the same, and none in the way of
//! another.

use super::network::alert;
use crate::rig::{Rig, eventually};
use celeriac::broker::{Broker, PublishError, RawMessage, Settings};
use celeriac::ids::TaskId;
use celeriac::protocol::Format;
use celeriac::topology::QueueKind;
use futures::future::join_all;
use lapin::Channel;
use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

async fn connected(url: &str) -> Broker {
    let settings = Settings { url: url.into(), ..Settings::default() };
    Broker::connect(&settings, 100).await.unwrap()
}

async fn declare(channel: &Channel, queue: &str) {
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.into(), options, Default::default()).await.unwrap();
}

fn reply(queue: &str, body: String) -> Arc<RawMessage> {
    Arc::new(RawMessage::reply(queue, &TaskId::random(), Format::Json, body.into_bytes().into()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_arrive_although_the_connection_breaks_again_and_again() {
    const LANES: usize = 100;
    let rig = Rig::start().await;
    let proxy = rig.proxy().await;
    let (_connection, channel) = rig.channel().await;
    declare(&channel, "replies").await;
    let alert = alert(&rig.url_through(&proxy), QueueKind::Classic);
    let broker = Broker::connect(&alert.broker, 100).await.unwrap();
    let enough = CancellationToken::new();
    let sending = join_all((0..LANES).map(async |lane| {
        let mut sent = 0;
        while !enough.is_cancelled() {
            broker.publish(reply("replies", format!("{lane}-{sent}")), PATIENCE).await.unwrap();
            sent += 1;
        }
        sent
    }));
    let breaking = async {
        for _ in 0..3 {
            let accepted = proxy.accepted();
            proxy.cut_after(20_000);
            eventually("it connects again", async || proxy.accepted() > accepted).await;
        }
        eventually("all is well", async || broker.is_connected()).await;
        proxy.freeze();
        eventually("the silence is noticed", async || !broker.is_connected()).await;
        proxy.thaw();
        eventually("all is well", async || broker.is_connected()).await;
        let accepted = proxy.accepted();
        proxy.half_open();
        eventually("it connects again", async || proxy.accepted() >= accepted + 2).await;
        enough.cancel();
    };
    let (sent, ()) = tokio::join!(sending, breaking);
    let mut arrived = HashSet::new();
    let no_ack = BasicGetOptions { no_ack: true };
    while let Some(message) = channel.basic_get("replies".into(), no_ack).await.unwrap() {
        arrived.insert(String::from_utf8(message.delivery.data.clone()).unwrap());
    }
    assert_eq!(arrived.len(), sent.into_iter().sum::<usize>());
    broker.close().await;
}

#[tokio::test]
async fn one_for_no_exchange_says_so_and_those_beside_it_arrive() {
    let rig = Rig::start().await;
    let (_connection, channel) = rig.channel().await;
    declare(&channel, "replies").await;
    let broker = connected(&rig.url()).await;
    let astray = RawMessage::event("nowhere", "task.multi", "node", b"[]".as_slice().into());
    let astray = broker.publish(Arc::new(astray), PATIENCE);
    let good = join_all((0..50).map(|n| broker.publish(reply("replies", n.to_string()), PATIENCE)));
    let (astray, good) = tokio::join!(astray, good);
    assert_eq!(astray, Err(PublishError::NoExchange { exchange: "nowhere".to_owned() }));
    assert_eq!(good.into_iter().filter_map(Result::err).collect::<Vec<_>>(), []);
    assert!(rig.ready("replies").await >= 50);
    // No error, though no queue takes it: nobody waits.
    assert_eq!(broker.publish(reply("gone", "1".to_owned()), PATIENCE).await, Ok(()));
    broker.close().await;
}

#[tokio::test]
async fn without_a_connection_whoever_replies_is_told_at_the_deadline() {
    let rig = Rig::start().await;
    let proxy = rig.proxy().await;
    let broker = connected(&rig.url_through(&proxy)).await;
    proxy.freeze();
    let frozen = broker.publish(reply("gone", "1".to_owned()), Duration::from_millis(200)).await;
    assert_eq!(frozen, Err(PublishError::Unconfirmed(Duration::from_millis(200))));
    proxy.refuse();
    proxy.cut();
    proxy.thaw();
    let deadline = Duration::from_millis(500);
    eventually("the connection is lost", async || !broker.is_connected()).await;
    let cut = broker.publish(reply("gone", "1".to_owned()), deadline).await;
    assert!(matches!(cut, Err(PublishError::Disconnected { .. })), "{cut:?}");
    proxy.admit();
    assert_eq!(broker.publish(reply("gone", "1".to_owned()), PATIENCE).await, Ok(()));
    broker.close().await;
}
