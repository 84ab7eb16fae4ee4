//! Which queues a message comes to.

use super::stage::{Stage, message, queue, texts};
use celeriac::broker::PublishError;
use celeriac::protocol::HeaderValue;
use celeriac::topology::{Binding, Exchange, ExchangeKind};

super::both!(
    every_kind_of_exchange_leads_where_rabbitmq_leads,
    exchanges_lead_on_to_exchanges_and_to_their_alternate,
    copies_go_where_their_headers_say,
    what_no_queue_takes_comes_back,
);

async fn fill(stage: &Stage, names: &[&str]) {
    let queues = names.iter().map(|name| queue(name, &[])).collect();
    stage.declare(vec![], queues, vec![]).await;
}

async fn arrived(stage: &Stage, names: &[&str]) -> Vec<u32> {
    let mut ready = Vec::new();
    for name in names {
        ready.push(stage.ready(name).await.unwrap());
    }
    ready
}

async fn every_kind_of_exchange_leads_where_rabbitmq_leads(stage: Stage) {
    fill(&stage, &["a", "b"]).await;
    let headers = |value: &str, any: &str| Binding {
        arguments: [("k", value), ("other", "x"), ("x-match", any)]
            .map(|(name, value)| (name.to_owned(), value.into()))
            .into(),
        ..Binding::to_queue("h", if any == "any" { "a" } else { "b" }, "")
    };
    stage
        .declare(
            vec![
                Exchange::new("d", ExchangeKind::Direct),
                Exchange::new("t", ExchangeKind::Topic),
                Exchange::new("f", ExchangeKind::Fanout),
                Exchange::new("h", ExchangeKind::Headers),
            ],
            vec![],
            vec![
                Binding::to_queue("d", "a", "one"),
                Binding::to_queue("d", "b", "two"),
                Binding::to_queue("t", "a", "mail.*"),
                Binding::to_queue("t", "b", "mail.#"),
                Binding::to_queue("f", "a", "ignored"),
                Binding::to_queue("f", "b", ""),
                headers("v", "any"),
                headers("v", "all"),
            ],
        )
        .await;
    let cases = [
        (message("d", "one", ""), [1, 0]),
        (message("t", "mail", ""), [0, 1]),
        (message("t", "mail.send", ""), [1, 1]),
        (message("t", "mail.send.now", ""), [0, 1]),
        (message("t", "mail..now", ""), [0, 1]),
        (message("f", "whatever", ""), [1, 1]),
        (message("h", "", "").with_headers([("k", HeaderValue::from("v"))]), [1, 0]),
    ];
    let mut expected = [0, 0];
    for (message, [a, b]) in cases {
        let what = format!("{} {}", message.exchange, message.routing_key);
        stage.publish(message).await.unwrap();
        expected = [expected[0] + a, expected[1] + b];
        assert_eq!(arrived(&stage, &["a", "b"]).await, expected, "{what}");
    }
    stage.end().await;
}

async fn exchanges_lead_on_to_exchanges_and_to_their_alternate(stage: Stage) {
    fill(&stage, &["a", "rest"]).await;
    stage
        .declare(
            vec![
                Exchange::new("spare", ExchangeKind::Fanout),
                Exchange::new("inner", ExchangeKind::Direct).with_alternate("spare"),
                Exchange::new("outer", ExchangeKind::Topic),
            ],
            vec![],
            vec![
                Binding::to_exchange("outer", "inner", "#"),
                // A way back does not make messages go round.
                Binding::to_exchange("inner", "outer", "a"),
                Binding::to_queue("inner", "a", "a"),
                Binding::to_queue("spare", "rest", ""),
            ],
        )
        .await;
    for key in ["a", "z"] {
        stage.publish(message("outer", key, "")).await.unwrap();
    }
    assert_eq!(arrived(&stage, &["a", "rest"]).await, [1, 1]);
    stage.end().await;
}

async fn copies_go_where_their_headers_say(stage: Stage) {
    fill(&stage, &["a", "cc", "bcc"]).await;
    let copied =
        message("", "a", "x").with_headers([("CC", texts(&["cc", "a"])), ("BCC", texts(&["bcc"]))]);
    stage.publish(copied).await.unwrap();
    assert_eq!(arrived(&stage, &["a", "cc", "bcc"]).await, [1, 1, 1], "each once");
    let [seen] = &stage.take("bcc", 1).await[..] else { panic!("one") };
    let seen = celeriac::broker::RawMessage::from(seen);
    assert_eq!(seen.header("BCC"), HeaderValue::Null, "nobody sees it");
    assert_eq!(seen.header("CC"), texts(&["cc", "a"]));
    stage.end().await;
}

async fn what_no_queue_takes_comes_back(stage: Stage) {
    let lost = stage.publish(message("amq.topic", "nobody", "")).await;
    let (exchange, routing_key) = ("amq.topic".to_owned(), "nobody".to_owned());
    assert_eq!(lost, Err(PublishError::Unroutable { exchange, routing_key }));
    let lost = stage.publish(message("nowhere", "nobody", "")).await;
    assert_eq!(lost, Err(PublishError::NoExchange { exchange: "nowhere".to_owned() }));
    stage.end().await;
}
