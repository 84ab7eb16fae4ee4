//! The schedulers that stand by, by name.
//!
//! RabbitMQ says over AMQP how many consume a queue, not who they are; and of a quorum queue with a
//! single active consumer, such as that of the state, it counts that one alone. So every scheduler
//! consumes a queue that is only there to count them, and binds another, which goes with its
//! connection, to an exchange where it says who it is to whoever asks. Nothing is kept: who was killed
//! is gone with its connection, and who hangs is counted and does not answer.

use super::AskError;
use super::leader::{answers, message};
use crate::broker::{Broker, PublishError};
use crate::ids::TaskId;
use crate::protocol::HeaderValue::Int;
use crate::topology::{Binding, Exchange, ExchangeKind, Queue, Topology, names};
use futures::StreamExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

/// How long they may take to answer, all together.
const PATIENCE: Duration = Duration::from_secs(1);

/// A question that nobody has taken for so many milliseconds is dropped, and so is a queue whose
/// owner is gone.
const EXPIRES: i64 = 10_000;

/// The queue that counts them goes when there has been none for so many milliseconds.
const LINE_EXPIRES: i64 = 3_600_000;

/// A scheduler that stands by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Standby {
    /// Its name, `scheduler.name`.
    pub name: String,
    /// The machine that it runs on.
    pub host: String,
    /// Since when it stands by, as ISO 8601.
    pub since: String,
}

/// Those that stand by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Standbys {
    /// Those that say who they are, by name.
    pub named: Vec<Standby>,
    /// So many schedulers more have a connection and say nothing within a second: they hang.
    pub silent: u32,
}

/// What a scheduler says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Present {
    /// Nothing where it leads: its report says more.
    pub(crate) standby: Option<Standby>,
}

impl Standbys {
    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.named.len()).unwrap_or(u32::MAX).saturating_add(self.silent)
    }
}

/// The queue by which they are counted.
pub(crate) fn line() -> Queue {
    Queue::new(names::SCHEDULER_LINE, [("x-expires", Int(LINE_EXPIRES))])
}

/// Where the scheduler with this queue is asked.
pub(crate) fn ear(queue: &str) -> Topology {
    let arguments = [("x-expires", Int(EXPIRES)), ("x-message-ttl", Int(EXPIRES))];
    let queue = Queue {
        durable: false,
        exclusive: true,
        auto_delete: true,
        ..Queue::new(queue, arguments)
    };
    let binding = Binding::to_queue(names::SCHEDULER_STANDBY, &queue.name, "");
    exchange().and(Topology { queues: vec![queue], bindings: vec![binding], ..<_>::default() })
}

/// Asks those that stand by who they are, for a second at most.
///
/// ```no_run
/// # async fn example(broker: celeriac::broker::Broker) -> anyhow::Result<()> {
/// let standbys = celeriac::control::standbys(&broker).await?;
/// for standby in &standbys.named {
///     println!("{} stands by on {} since {}", standby.name, standby.host, standby.since);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When the broker cannot be asked. That nobody stands by, or answers, is no error.
pub async fn standbys(broker: &Broker) -> Result<Standbys, AskError> {
    let there = broker.depth(names::SCHEDULER_LINE).await?.map_or(0, |line| line.consumers);
    if there == 0 {
        return Ok(Standbys::default());
    }
    let answers = ask(broker, there).await?;
    let silent = there.saturating_sub(u32::try_from(answers.len()).unwrap_or(u32::MAX));
    let mut named: Vec<_> = answers.into_iter().filter_map(|present| present.standby).collect();
    named.sort();
    Ok(Standbys { named, silent })
}

/// Gathers answers until there are so many, or nobody has patience any more.
async fn ask(broker: &Broker, wanted: u32) -> Result<Vec<Present>, AskError> {
    broker.declare(&exchange()).await?;
    let ends = Instant::now() + PATIENCE;
    let id = TaskId::random();
    let (queue, mut answers) = answers(broker, &id);
    let asking = async {
        answers.opened().await;
        let question = message((names::SCHEDULER_STANDBY, ""), &(), &id, &queue, PATIENCE)?;
        let mut present = Vec::new();
        match broker.publish(Arc::new(question), PATIENCE).await {
            // The last of them has gone since they were counted.
            Err(PublishError::Unroutable { .. }) => return Ok(present),
            published => published?,
        }
        while present.len() < wanted as usize {
            let Ok(Some(answer)) = timeout_at(ends, answers.next()).await else { break };
            match serde_json::from_slice(&answer.body) {
                Ok(one) => present.push(one),
                Err(error) => debug!(%error, "who stands by cannot be read"),
            }
            answer.settle.ack();
        }
        Ok(present)
    };
    let present = asking.await;
    // Goes by itself if not now.
    let _ = broker.delete_queue(&queue).await;
    present
}

fn exchange() -> Topology {
    let exchange = Exchange::new(names::SCHEDULER_STANDBY, ExchangeKind::Fanout);
    Topology { exchanges: vec![exchange], ..Topology::default() }
}
