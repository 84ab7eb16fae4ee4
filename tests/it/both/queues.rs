//! In which order messages are handed out, how many at once, and what comes back.

use super::stage::{Stage, bodies, body, message, message_with, next, queue};
use celeriac::broker::{Delivery, PublishError};
use celeriac::protocol::HeaderValue;
use futures::{FutureExt, StreamExt};

super::both!(
    higher_priorities_go_first,
    a_consumer_gets_no_more_than_its_prefetch,
    a_late_urgent_message_waits_behind_what_is_prefetched,
    what_is_given_back_comes_again_in_its_old_place,
    what_a_consumer_leaves_behind_comes_again,
    consumers_take_turns,
    a_full_queue_refuses_or_drops_its_oldest,
    an_unused_queue_goes,
);

async fn higher_priorities_go_first(stage: Stage) {
    stage
        .declare(vec![], vec![queue("q", &[("x-max-priority", HeaderValue::Int(5))])], vec![])
        .await;
    for (body, priority) in
        [("none", None), ("one", Some(1)), ("nine", Some(9)), ("five", Some(5)), ("1", Some(1))]
    {
        let message = message_with("", "q", body, |it| it.priority = priority);
        stage.publish(message).await.unwrap();
    }
    let taken = stage.take("q", 5).await;
    assert_eq!(bodies(&taken), ["nine", "five", "one", "1", "none"]);
    stage.end().await;
}

async fn a_consumer_gets_no_more_than_its_prefetch(stage: Stage) {
    stage.declare(vec![], vec![queue("q", &[])], vec![]).await;
    for body in ["1", "2", "3", "4"] {
        stage.put("q", body).await;
    }
    let mut deliveries = stage.consume("q", 2);
    let first = next(&mut deliveries).await;
    let second = next(&mut deliveries).await;
    stage.until_ready("q", 2).await;
    assert!(deliveries.next().now_or_never().is_none(), "two are here");
    second.settle.ack();
    let third = next(&mut deliveries).await;
    assert_eq!([body(&first), body(&third)], ["1", "3"]);
    deliveries.stop().await;
    stage.end().await;
}

async fn a_late_urgent_message_waits_behind_what_is_prefetched(stage: Stage) {
    stage
        .declare(vec![], vec![queue("q", &[("x-max-priority", HeaderValue::Int(5))])], vec![])
        .await;
    for body in ["1", "2", "3"] {
        stage.put("q", body).await;
    }
    let mut deliveries = stage.consume("q", 2);
    let mut taken = vec![next(&mut deliveries).await];
    stage.until_ready("q", 1).await;
    stage.publish(message_with("", "q", "urgent", |it| it.priority = Some(5))).await.unwrap();
    taken.remove(0).settle.ack();
    let mut order = vec!["1".to_owned()];
    for _ in 0..3 {
        let delivery = next(&mut deliveries).await;
        order.push(body(&delivery));
        delivery.settle.ack();
    }
    assert_eq!(order, ["1", "2", "urgent", "3"]);
    deliveries.stop().await;
    stage.end().await;
}

async fn what_is_given_back_comes_again_in_its_old_place(stage: Stage) {
    stage.declare(vec![], vec![queue("q", &[])], vec![]).await;
    for body in ["1", "2", "3"] {
        stage.put("q", body).await;
    }
    let taken = stage.take("q", 3).await;
    assert!(taken.iter().all(|delivery| !delivery.redelivered));
    for delivery in taken {
        delivery.settle.give_back();
    }
    let taken = stage.take("q", 3).await;
    assert_eq!(bodies(&taken), ["1", "2", "3"]);
    assert!(taken.iter().all(|delivery| delivery.redelivered));
    stage.end().await;
}

async fn what_a_consumer_leaves_behind_comes_again(stage: Stage) {
    let quorum = queue("counting", &[("x-queue-type", HeaderValue::from("quorum"))]);
    stage.declare(vec![], vec![queue("plain", &[]), quorum], vec![]).await;
    for name in ["plain", "counting"] {
        stage.put(name, "held").await;
        stage.put(name, "unseen").await;
        let mut deliveries = stage.consume(name, 2);
        let held = next(&mut deliveries).await;
        assert_eq!(held.failed_deliveries(), 0);
        deliveries.close().await;
        stage.until("its channel is closed", async || held.settle.is_void()).await;
        let taken = stage.take(name, 2).await;
        let count = |delivery: &Delivery| {
            (body(delivery), delivery.redelivered, delivery.failed_deliveries())
        };
        let counted = i64::from(name == "counting");
        let held = ("held".to_owned(), true, counted);
        // In the order they had, but for quorum queues since 4.0.
        assert!(taken.iter().map(count).any(|taken| taken == held), "{name}");
    }
    stage.end().await;
}

async fn consumers_take_turns(stage: Stage) {
    let single = queue("single", &[("x-single-active-consumer", HeaderValue::Bool(true))]);
    stage.declare(vec![], vec![queue("q", &[]), single], vec![]).await;
    for (name, shares) in [("q", [2, 2]), ("single", [4, 0])] {
        let mut consumers = [stage.consume(name, 10), stage.consume(name, 10)];
        for consumer in &mut consumers {
            consumer.opened().await;
        }
        for body in ["1", "2", "3", "4"] {
            stage.put(name, body).await;
        }
        for (consumer, share) in consumers.iter_mut().zip(shares) {
            for _ in 0..share {
                next(consumer).await.settle.ack();
            }
        }
        for consumer in &mut consumers {
            consumer.stop().await;
        }
        assert_eq!(stage.ready(name).await, Some(0), "{name}");
    }
    stage.end().await;
}

async fn a_full_queue_refuses_or_drops_its_oldest(stage: Stage) {
    let length = ("x-max-length", HeaderValue::Int(2));
    let refuses = ("x-overflow", HeaderValue::from("reject-publish"));
    stage
        .declare(
            vec![],
            vec![
                queue("drops", std::slice::from_ref(&length)),
                queue("refuses", &[length, refuses]),
            ],
            vec![],
        )
        .await;
    for body in ["1", "2", "3"] {
        stage.put("drops", body).await;
    }
    stage.put("refuses", "1").await;
    stage.put("refuses", "2").await;
    let refused = stage.publish(message("", "refuses", "3")).await;
    assert_eq!(refused, Err(PublishError::Nacked { routing_key: "refuses".to_owned() }));
    assert_eq!(bodies(&stage.take("drops", 2).await), ["2", "3"]);
    // What is with a consumer does not count.
    let held = stage.take("refuses", 2).await;
    stage.put("refuses", "3").await;
    assert_eq!(bodies(&held), ["1", "2"]);
    stage.end().await;
}

async fn an_unused_queue_goes(stage: Stage) {
    stage.declare(vec![], vec![queue("q", &[("x-expires", HeaderValue::Int(300))])], vec![]).await;
    let mut deliveries = stage.consume("q", 1);
    deliveries.opened().await;
    deliveries.stop().await;
    // Asking is using, so it is not asked while it ends.
    let lost = async || stage.publish(message("", "q", "")).await.is_err();
    stage.until("the queue is gone", lost).await;
    assert_eq!(stage.ready("q").await, None);
    stage.end().await;
}
