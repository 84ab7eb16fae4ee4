//! A scheduler is counted, and says whether it stands by to whoever asks.

use super::status::Status;
use super::told;
use crate::broker::{AckPolicy, Broker, Consume, Deliveries};
use crate::clock::to_iso;
use crate::control::{Present, Standby, scheduler_line, standby_ear};
use crate::ids::{self, TaskId};
use crate::topology::{Topology, names};
use futures::StreamExt;
use std::convert::Infallible;
use std::time::Duration;

/// How long an answer may take to the broker. Nobody waits for it longer.
const DEADLINE: Duration = Duration::from_secs(1);

/// Answers for as long as it is polled.
pub(super) async fn answer(broker: Broker, status: Status, name: String) -> Infallible {
    let own = format!("{}.{}", names::SCHEDULER_STANDBY, TaskId::random());
    let mut questions = consume(&broker, &own, standby_ear(&own));
    let line = scheduler_line();
    let mut counted = consume(&broker, names::SCHEDULER_LINE, line.into());
    loop {
        tokio::select! {
            Some(question) = questions.next() => {
                let standby = status.stands_by_since().map(|since| Standby {
                    name: name.clone(),
                    host: ids::host(),
                    since: to_iso(since),
                });
                told::answer(&broker, &question, &Present { standby }, DEADLINE).await;
                question.settle.ack_now();
            }
            // Somebody has put something in that is for nobody.
            Some(stray) = counted.next() => stray.settle.ack_now(),
            else => return std::future::pending().await,
        }
    }
}

fn consume(broker: &Broker, queue: &str, declare: Topology) -> Deliveries {
    broker.consume(Consume {
        queue: queue.to_owned(),
        declare: Some(declare),
        stream: None,
        repair: None,
        prefetch: 20,
        acks: AckPolicy { every: 1, within: Duration::from_millis(50) },
        tag: "standby".to_owned(),
    })
}
