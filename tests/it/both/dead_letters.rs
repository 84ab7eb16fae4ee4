//! What queues give up, where it goes, and what is told of it.

use super::stage::{Stage, bodies, message, message_with, next, queue};
use celeriac::broker::{RawMessage, StreamStart};
use celeriac::protocol::HeaderValue::{self, Int, List, Table};
use celeriac::topology::{
    Binding, Delay, Destination, Exchange, ExchangeKind, Queue, Settings, Topology, names,
};
use std::time::Duration;

super::both!(
    a_refused_message_goes_where_its_queue_says,
    a_message_waits_no_longer_than_it_or_its_queue_may,
    one_that_may_wait_longer_holds_up_those_behind_it,
    a_message_handed_out_in_vain_too_often_is_given_up,
    what_would_go_round_for_ever_is_dropped,
    the_ladder_leads_to_the_queue,
    what_leaves_the_ladder_and_finds_no_queue_is_kept,
    a_stream_keeps_plain_headers_and_counts_its_messages,
);

fn text(text: &str) -> HeaderValue {
    text.into()
}

fn dying(name: &str, further: &[(&str, HeaderValue)]) -> Queue {
    let mut queue = queue(name, further);
    queue.arguments.insert("x-dead-letter-exchange".to_owned(), text("morgue"));
    queue
}

async fn with_morgue(stage: &Stage, queues: Vec<Queue>) {
    let exchange = Exchange::new("morgue", ExchangeKind::Topic);
    let bindings = vec![Binding::to_queue("morgue", "dead", "#")];
    let queues = [vec![queue("dead", &[])], queues].concat();
    stage.declare(vec![exchange], queues, bindings).await;
}

/// The newest death, but when it was.
fn death(delivery: &celeriac::broker::Delivery) -> Vec<(String, HeaderValue)> {
    let List(deaths) = RawMessage::from(delivery).header("x-death") else { panic!("no death") };
    let Table(mut death) = deaths[0].clone() else { panic!("no table") };
    assert!(matches!(death.remove("time"), Some(HeaderValue::Time(_))));
    death.into_iter().collect()
}

fn expected(death: &[(&str, HeaderValue)]) -> Vec<(String, HeaderValue)> {
    death.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

async fn a_refused_message_goes_where_its_queue_says(stage: Stage) {
    let other = ("x-dead-letter-routing-key", text("other"));
    with_morgue(&stage, vec![dying("q", &[]), dying("renamed", &[other])]).await;
    for name in ["q", "renamed"] {
        let copied = message("", name, name).with_headers([("CC", List(vec![text("nobody")]))]);
        stage.publish(copied).await.unwrap();
        stage.take(name, 1).await.remove(0).settle.reject();
        let dead = stage.take("dead", 1).await.remove(0);
        let key = if name == "q" { "q" } else { "other" };
        assert_eq!((dead.exchange.as_str(), dead.routing_key.as_str()), ("morgue", key));
        // Whether it is marked as redelivered differs: since 4.3 it is.
        let first = |part: &str| RawMessage::from(&dead).header(&format!("x-first-death-{part}"));
        assert_eq!(
            [first("queue"), first("reason"), first("exchange")].map(Some),
            [Some(text(name)), Some(text("rejected")), Some(text(""))]
        );
        let told = [
            ("count", Int(1)),
            ("exchange", text("")),
            ("queue", text(name)),
            ("reason", text("rejected")),
            ("routing-keys", List(vec![text(name), text("nobody")])),
        ];
        assert_eq!(death(&dead), expected(&told), "{name}");
        dead.settle.ack();
    }
    stage.end().await;
}

async fn a_message_waits_no_longer_than_it_or_its_queue_may(stage: Stage) {
    let ttl = ("x-message-ttl", Int(400));
    with_morgue(&stage, vec![dying("q", &[ttl]), dying("free", &[])]).await;
    stage.put("q", "by queue").await;
    stage
        .publish(message_with("", "free", "by itself", |it| it.expiration = Some(200)))
        .await
        .unwrap();
    let dead = stage.take("dead", 2).await;
    assert_eq!(bodies(&dead), ["by itself", "by queue"]);
    let own = death(&dead[0]);
    assert!(own.contains(&("original-expiration".to_owned(), text("200"))), "{own:?}");
    assert!(own.contains(&("reason".to_owned(), text("expired"))));
    assert_eq!(stage.ready("q").await, Some(0));
    stage.end().await;
}

async fn one_that_may_wait_longer_holds_up_those_behind_it(stage: Stage) {
    with_morgue(&stage, vec![dying("q", &[])]).await;
    for (body, millis) in [("long", 600), ("short", 100)] {
        let message = message_with("", "q", body, |it| it.expiration = Some(millis));
        stage.publish(message).await.unwrap();
    }
    assert_eq!(bodies(&stage.take("dead", 2).await), ["long", "short"]);
    stage.end().await;
}

async fn a_message_handed_out_in_vain_too_often_is_given_up(stage: Stage) {
    let quorum = [("x-queue-type", text("quorum")), ("x-delivery-limit", Int(1))];
    with_morgue(&stage, vec![dying("q", &quorum)]).await;
    stage.put("q", "poison").await;
    for _ in 0..2 {
        let mut deliveries = stage.consume("q", 1);
        let held = next(&mut deliveries).await;
        deliveries.close().await;
        drop(held);
    }
    let dead = stage.take("dead", 1).await;
    assert!(death(&dead[0]).contains(&("reason".to_owned(), text("delivery_limit"))));
    stage.end().await;
}

async fn what_would_go_round_for_ever_is_dropped(stage: Stage) {
    let round = queue(
        "round",
        &[
            ("x-message-ttl", Int(50)),
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text("round")),
        ],
    );
    stage.declare(vec![], vec![round], vec![]).await;
    stage.put("round", "lost").await;
    stage.until_ready("round", 0).await;
    stage.end().await;
}

/// A ladder of the lowest four levels would do, but then it would not be ours.
async fn the_ladder_leads_to_the_queue(stage: Stage) {
    let settings = Settings::default();
    let broker = stage.broker();
    broker.declare(&Topology::dead(&settings)).await.unwrap();
    broker.declare_ladder(&Topology::ladder(&settings)).await.unwrap();
    broker.declare(&Topology::work(&settings, &["work".to_owned()])).await.unwrap();
    let destination = Destination::queue(names::TASKS, "work");
    for (body, millis) in [("long", 1_375), ("short", 125)] {
        let delay = Delay::new(Duration::from_millis(millis)).unwrap().unwrap();
        let message = message(names::TASKS, "work", body);
        stage.publish(message.delayed(delay.entry(), delay.bcc(&destination))).await.unwrap();
    }
    let arrived = stage.take("work", 2).await;
    assert_eq!(bodies(&arrived), ["short", "long"]);
    let List(deaths) = RawMessage::from(&arrived[1]).header("x-death") else { panic!("no death") };
    let queue = |death: &HeaderValue| match death {
        Table(death) => death["queue"].clone(),
        other => panic!("{other:?}"),
    };
    let mut path: Vec<_> = deaths.iter().map(queue).collect();
    let level = |level| text(&names::delay_level(level));
    assert_eq!(path.remove(0), level(0), "the newest is the first");
    // RabbitMQ 3 keeps the others in no order.
    assert!(path.len() == 2 && path.contains(&level(1)) && path.contains(&level(3)), "{path:?}");
    assert_eq!(arrived[1].routing_key, "work");
    stage.end().await;
}

async fn what_leaves_the_ladder_and_finds_no_queue_is_kept(stage: Stage) {
    let settings = Settings::default();
    stage.broker().declare(&Topology::dead(&settings)).await.unwrap();
    stage.broker().declare_ladder(&Topology::ladder(&settings)).await.unwrap();
    let delay = Delay::new(Duration::from_millis(125)).unwrap().unwrap();
    let destination = Destination::queue(names::TASKS, "gone");
    let message = message(names::TASKS, "gone", "kept");
    stage.publish(message.delayed(delay.entry(), delay.bcc(&destination))).await.unwrap();
    let kept = stage.take(&names::dead_arrival(names::DEAD), 1).await;
    assert_eq!(bodies(&kept), ["kept"]);
    assert!(death(&kept[0]).contains(&("queue".to_owned(), text("celeriac.delay.0"))));
    stage.end().await;
}

async fn a_stream_keeps_plain_headers_and_counts_its_messages(stage: Stage) {
    let settings = Settings::default();
    stage.broker().declare(&Topology::dead(&settings)).await.unwrap();
    let headers = [("plain", Int(7)), ("nested", List(vec![Int(1)]))];
    for body in ["0", "1", "2"] {
        let letter = message(&settings.dead.exchange, "", body).with_headers(headers.clone());
        stage.publish(letter).await.unwrap();
    }
    let stream = &settings.dead.stream;
    for (start, expected) in
        [(StreamStart::First, vec![0, 1, 2]), (StreamStart::Offset(2), vec![2])]
    {
        let mut reader = stage.broker().read_stream(stream, start).await.unwrap();
        let mut offsets = Vec::new();
        while let Some((offset, letter)) = reader.next().await.unwrap() {
            offsets.push(offset);
            assert_eq!(letter.body, offset.to_string().as_bytes());
            assert_eq!(letter.header("plain"), Int(7));
            assert_eq!(letter.header("nested"), HeaderValue::Null);
        }
        reader.close().await;
        assert_eq!(offsets, expected);
    }
    stage.end().await;
}
