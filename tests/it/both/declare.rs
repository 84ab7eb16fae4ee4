//! Declaring and asking.

use super::stage::{Stage, queue};
use celeriac::broker::{DeclareError, StreamError, StreamStart};
use celeriac::protocol::HeaderValue::{self, Int};
use celeriac::topology::{
    Binding, Exchange, ExchangeKind, Finding, Object, Queue, Settings, Topology,
};

super::both!(
    what_differs_is_told_by_argument,
    what_cannot_be_is_refused,
    what_is_missing_is_told,
    the_whole_topology_can_be_declared_again,
);

fn topology(exchanges: Vec<Exchange>, queues: Vec<Queue>, bindings: Vec<Binding>) -> Topology {
    Topology { exchanges, queues, bindings }
}

async fn what_differs_is_told_by_argument(stage: Stage) {
    let exchange = Exchange::new("e", ExchangeKind::Topic);
    let existing = queue("q", &[("x-message-ttl", Int(5)), ("x-max-length", Int(3))]);
    stage.declare(vec![exchange.clone()], vec![existing], vec![]).await;
    let wanted = topology(
        vec![Exchange { kind: ExchangeKind::Direct, ..exchange }],
        vec![queue("q", &[("x-message-ttl", Int(6))])],
        vec![],
    );
    let mut found: Vec<_> = stage
        .broker()
        .differences(&wanted)
        .await
        .unwrap()
        .into_iter()
        .map(|finding| match finding {
            Finding::Differs(it) => {
                (it.object.name().to_owned(), it.argument.clone(), it.ours(), it.theirs())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    found.sort();
    let line = |line: [&str; 4]| {
        let [name, argument, ours, theirs] = line.map(str::to_owned);
        (name, argument, ours, theirs)
    };
    let expected = [
        line(["e", "type", "direct", "topic"]),
        line(["q", "x-max-length", "none", "3"]),
        line(["q", "x-message-ttl", "6", "5"]),
    ];
    assert_eq!(found, expected);
    let refused = stage.broker().declare(&wanted).await;
    assert!(matches!(refused, Err(DeclareError::Differs(_))), "{refused:?}");
    stage.end().await;
}

async fn what_cannot_be_is_refused(stage: Stage) {
    let quorum = ("x-queue-type", HeaderValue::from("quorum"));
    let strategy = ("x-dead-letter-strategy", HeaderValue::from("at-least-once"));
    let refused = [
        queue("a", &[("x-delivery-limit", Int(3))]),
        queue("b", &[quorum.clone(), ("x-max-priority", Int(3))]),
        queue("c", &[("x-queue-type", "stream".into()), ("x-message-ttl", Int(3))]),
        queue("d", &[("x-queue-type", "pile".into())]),
        queue("e", &[strategy]),
        Queue { exclusive: true, ..queue("f", &[quorum]) },
    ];
    for queue in refused {
        let answer = stage.broker().declare(&topology(vec![], vec![queue.clone()], vec![])).await;
        let is_refused = matches!(&answer, Err(DeclareError::Refused { object, .. }) if *object == queue.object());
        assert!(is_refused, "{}: {answer:?}", queue.name);
        assert_eq!(stage.ready(&queue.name).await, None, "{}", queue.name);
    }
    let reserved = Exchange::new("amq.mine", ExchangeKind::Topic);
    let answer = stage.broker().declare(&topology(vec![reserved], vec![], vec![])).await;
    assert!(matches!(answer, Err(DeclareError::Forbidden { .. })), "{answer:?}");
    stage.end().await;
}

async fn what_is_missing_is_told(stage: Stage) {
    let foreign = Queue { declare: false, ..queue("none", &[]) };
    let missing = topology(vec![], vec![foreign], vec![]);
    let object = Object::Queue("none".to_owned());
    let broker = stage.broker();
    assert_eq!(broker.declare(&missing).await, Err(DeclareError::Missing(object.clone())));
    assert_eq!(broker.verify(&missing).await, Err(DeclareError::Missing(object.clone())));
    assert_eq!(broker.differences(&missing).await, Ok(vec![Finding::Missing(object.clone())]));
    assert_eq!(broker.depth("none").await, Ok(None));
    let binding = Binding::to_queue("amq.topic", "none", "k");
    let object_of = binding.object();
    let unbound = broker.declare(&topology(vec![], vec![], vec![binding])).await;
    assert_eq!(unbound, Err(DeclareError::Missing(object_of)));
    let unread = broker.read_stream("none", StreamStart::First).await.map(|_| ());
    assert_eq!(unread, Err(StreamError::Unknown(DeclareError::Missing(object))));
    stage.end().await;
}

async fn the_whole_topology_can_be_declared_again(stage: Stage) {
    let whole = Topology::whole(&Settings::default(), &["work".to_owned()]);
    for _ in 0..2 {
        stage.broker().declare(&whole).await.unwrap();
    }
    stage.broker().verify(&whole).await.unwrap();
    assert_eq!(stage.broker().differences(&whole).await, Ok(vec![]));
    stage.end().await;
}
