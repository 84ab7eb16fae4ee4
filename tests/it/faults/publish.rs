//! Publishing: what the caller is told is what the broker did.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use celeriac::app::App;
use celeriac::broker::PublishError;
use celeriac::config::Config;
use celeriac::protocol::Format;
use celeriac::publisher::{SendError, SendOptions};
use celeriac::topology::{QueueKind, QueueTable};
use futures::future::join_all;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind};

use crate::rig::{Rig, config, eventually};

/// So many messages are on their way at once; every seventh to nowhere.
const MANY: usize = 8_000;

fn is_unroutable(number: usize) -> bool {
    number.is_multiple_of(7)
}

/// The task exchange with one queue, made by the test so that the program declares nothing.
async fn declare(channel: &Channel, queue: &str) {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let exchange = "celeriac".into();
    let table = FieldTable::default;
    channel.exchange_declare(exchange, ExchangeKind::Topic, durable, table()).await.unwrap();
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.into(), options, table()).await.unwrap();
    let options = QueueBindOptions::default();
    let (exchange, key) = ("celeriac".into(), queue.into());
    channel.queue_bind(queue.into(), exchange, key, options, table()).await.unwrap();
}

/// A client that declares nothing itself.
async fn client_only(url: &str) -> App {
    App::connect(without_declaring(url)).await.unwrap()
}

fn without_declaring(url: &str) -> Config {
    let mut config = config(url, QueueKind::Classic);
    config.topology.declare = false;
    config.broker.reconnect.max = Duration::from_millis(200);
    config
}

fn within(deadline: Duration) -> SendOptions {
    SendOptions::default().deadline(deadline)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_thousands_on_their_way_none_is_mistaken_for_another() {
    let rig = Rig::start().await;
    let (_connection, channel) = rig.channel().await;
    declare(&channel, "default").await;
    let app = client_only(&rig.url()).await;
    let client = app.client();
    let sends = (0..MANY).map(|number| async move {
        let queue = if is_unroutable(number) { "nowhere" } else { "default" };
        client.send("task", &(number,), &(), SendOptions::default().queue(queue)).await
    });
    let mut wrong = Vec::new();
    for (number, sent) in join_all(sends).await.into_iter().enumerate() {
        let told = match &sent {
            Ok(_) => false,
            Err(SendError::Publish(PublishError::Unroutable { routing_key, .. })) => {
                assert_eq!(routing_key, "nowhere");
                true
            }
            Err(other) => panic!("{other}"),
        };
        if told != is_unroutable(number) {
            wrong.push(number);
        }
    }
    assert!(wrong.is_empty(), "{} of {MANY} mistaken: {wrong:?}", wrong.len());
    let routed = (0..MANY).filter(|number| !is_unroutable(*number)).count();
    assert_eq!(rig.ready("default").await as usize, routed);
    app.close().await;
}

/// Why the publisher keeps its own account of what came back. When this test fails, lapin has been
/// mended, and the account may go.
///
/// The messages are held back and let go at once: then the broker confirms many with one
/// acknowledgement, and lapin takes these in no order, but what came back in the order it came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_library_alone_mistakes_some_for_others() {
    let rig = Rig::start().await;
    let (_connection, channel) = rig.channel().await;
    declare(&channel, "default").await;
    let proxy = rig.proxy().await;
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&rig.url_through(&proxy), properties).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let publish = async |number: usize| {
        let key = if is_unroutable(number) { "nowhere" } else { "default" };
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let (exchange, key) = ("celeriac".into(), key.into());
        let sent = channel.basic_publish(exchange, key, options, b"body", Default::default()).await;
        matches!(sent.unwrap().await.unwrap(), Confirmation::Ack(Some(_)))
    };
    let mut wrong = 0;
    let mut rounds = 0;
    while wrong == 0 && rounds < 20 {
        rounds += 1;
        proxy.freeze();
        let mut sending = std::pin::pin!(join_all((0..MANY).map(&publish)));
        assert!(futures::poll!(&mut sending).is_pending());
        proxy.thaw();
        let told = sending.await;
        wrong = (0..MANY).filter(|number| told[*number] != is_unroutable(*number)).count();
    }
    eprintln!("lapin alone, round {rounds}: {wrong} of {MANY} confirmations are another message's");
    assert!(wrong > 0, "lapin pairs returns with confirms rightly now");
}

#[tokio::test]
async fn a_message_for_nobody_is_unroutable_and_one_for_no_exchange_says_so() {
    let rig = Rig::start().await;
    let app = client_only(&rig.url()).await;
    let sent = app.client().send("task", &(), &(), SendOptions::default()).await.unwrap_err();
    assert!(no_exchange(&sent), "{sent}");
    assert!(!sent.is_transient());
    let (_connection, channel) = rig.channel().await;
    declare(&channel, "default").await;
    let nowhere = SendOptions::default().queue("nowhere");
    let sent = app.client().send("task", &(), &(), nowhere).await.unwrap_err();
    let SendError::Publish(PublishError::Unroutable { routing_key, .. }) = &sent else {
        panic!("{sent}")
    };
    assert_eq!(routing_key, "nowhere");
    assert!(!sent.is_transient());
    app.client().send("task", &(), &(), SendOptions::default()).await.unwrap();
    app.close().await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_takes_again_when_there_is_room() {
    let rig = Rig::start().await;
    let mut config = config(&rig.url(), QueueKind::Classic);
    let table =
        QueueTable { kind: Some(QueueKind::Classic), max_length: Some(2), ..QueueTable::default() };
    config.queues.insert("default", table);
    let app = App::connect(config).await.unwrap();
    let send = async || app.client().send("task", &(), &(), SendOptions::default()).await;
    send().await.unwrap();
    send().await.unwrap();
    let refused = send().await.unwrap_err();
    let SendError::Publish(PublishError::Nacked { routing_key }) = &refused else {
        panic!("{refused}")
    };
    assert_eq!(routing_key, "default");
    assert!(refused.is_transient());
    assert_eq!(rig.ready("default").await, 2);
    // It is refused at once, and tried again when there is room.
    let mut waiting = std::pin::pin!(send());
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err());
    rig.purge("default").await;
    waiting.await.unwrap();
    app.close().await;
}

#[tokio::test]
async fn what_cannot_be_sent_at_all_is_refused_before_it_is_sent() {
    let rig = Rig::start().await;
    let mut config = config(&rig.url(), QueueKind::Classic);
    config.publisher.max_message = 1_000;
    let app = App::connect(config).await.unwrap();
    let client = app.client();
    let options = SendOptions::default;
    let large = client.send("task", &("x".repeat(1_000),), &(), options()).await.unwrap_err();
    assert!(matches!(large, SendError::TooLarge { size: 1_001.., limit: 1_000 }), "{large}");
    let keyed_by_lists = BTreeMap::from([(vec![1], 2)]);
    let json = options().format(Format::Json);
    let unwritable = client.send("task", &(keyed_by_lists,), &(), json).await.unwrap_err();
    assert!(matches!(unwritable, SendError::Encode(_)), "{unwritable}");
    let no_list = client.send("task", &7, &(), options()).await.unwrap_err();
    assert!(matches!(no_list, SendError::Encode(_)), "{no_list}");
    assert_eq!(rig.queue("default").await, None, "nothing was declared, so nothing was sent");
    app.close().await;
}

/// The broker closes the channel, and does not say for what.
#[tokio::test]
async fn a_message_that_breaks_every_channel_is_refused_long_before_the_deadline() {
    let rig = Rig::alone_with("max_message_size = 65536").await;
    let app = App::connect(config(&rig.url(), QueueKind::Classic)).await.unwrap();
    let client = app.client();
    let minute = Duration::from_secs(60);
    client.send("task", &(1,), &(), within(minute)).await.unwrap();
    let began = Instant::now();
    let large = client.send("task", &("x".repeat(100_000),), &(), within(minute)).await;
    let Err(SendError::Publish(PublishError::Refused(why))) = large else { panic!("{large:?}") };
    assert!(why.contains("larger than"), "{why}");
    assert!(began.elapsed() < minute / 2, "{:?}", began.elapsed());
    client.send("task", &(2,), &(), within(minute)).await.unwrap();
    assert_eq!(rig.ready("default").await, 2);
    app.close().await;
}

/// However the connection is lost, an answer comes at the deadline, and it says what is known.
#[tokio::test]
async fn without_a_connection_the_caller_is_told_at_the_deadline() {
    let rig = Rig::start().await;
    let proxy = rig.proxy().await;
    let mut config = config(&rig.url_through(&proxy), QueueKind::Classic);
    config.broker.reconnect.max = Duration::from_millis(100);
    let app = App::connect(config).await.unwrap();
    let client = app.client();
    client.send("task", &(), &(), SendOptions::default()).await.unwrap();
    let deadline = Duration::from_millis(300);
    let later = || within(deadline).countdown(Duration::from_secs(1));
    let slack = Duration::from_secs(5);

    proxy.freeze();
    let started = Instant::now();
    let now = client.send("task", &(), &(), within(deadline)).await.unwrap_err();
    assert!(matches!(now, SendError::Publish(PublishError::Unconfirmed(_))), "{now}");
    let delayed = client.send("task", &(), &(), later()).await.unwrap_err();
    assert!(delayed.is_transient(), "{delayed}");
    assert!(started.elapsed() < slack, "{:?}", started.elapsed());
    proxy.thaw();

    proxy.refuse();
    eventually("the loss is noticed", async || !app.broker().is_connected()).await;
    let started = Instant::now();
    for options in [within(deadline), later()] {
        let lost = client.send("task", &(), &(), options).await.unwrap_err();
        let SendError::Publish(PublishError::Disconnected { waited, .. }) = &lost else {
            panic!("{lost}")
        };
        assert!(*waited >= deadline && lost.is_transient());
    }
    assert!(started.elapsed() < slack, "{:?}", started.elapsed());

    let patient = within(Duration::from_secs(30));
    let (sent, ()) = tokio::join!(client.send("task", &(), &(), patient), async {
        proxy.admit();
    });
    sent.unwrap();
    app.close().await;
}

fn no_exchange(error: &SendError) -> bool {
    matches!(error, SendError::Publish(PublishError::NoExchange { exchange }) if exchange == "celeriac")
}
