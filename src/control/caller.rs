//! Asking: sends a command to the nodes, and gathers what they answer.
//!
//! Nobody can be asked over AMQP which nodes there are. Whoever is named is known to be there or
//! not, by the queue of its commands; otherwise a ping finds those that are there, and a heartbeat
//! that is heard meanwhile those that are too busy for it.

use super::mailbox;
use super::recipients::Recipients;
use super::reply::Reply;
use super::request::{Arguments, ReplyTo, Request};
use crate::broker::{
    AckPolicy, Broker, Consume, DeclareError, Deliveries, Delivery, PublishError, RawMessage,
};
use crate::clock::{Clock, LogicalClock, SystemClock};
use crate::ids::TaskId;
use crate::protocol::{EncodeError, Format};
use crate::topology::{Binding, Queue, Topology, names};
use futures::StreamExt;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

/// After the last answer to a ping it is taken for complete when nothing comes for so long.
const QUIET: Duration = Duration::from_millis(300);

/// And the first one may take so long.
const FIRST: Duration = Duration::from_secs(1);

/// Asks the nodes of one virtual host: our workers, and Celery's.
///
/// ```no_run
/// # async fn example(broker: celeriac::broker::Broker) -> anyhow::Result<()> {
/// use celeriac::control::{Arguments, Caller, Recipients};
/// use std::time::Duration;
///
/// let mut caller = Caller::open(&broker).await?;
/// let patience = Duration::from_secs(5);
/// let answers = caller.ask("active", Arguments::new(), Recipients::All, patience).await?;
/// for (node, running) in &answers.replies {
///     println!("{node}: {running:?}");
/// }
/// assert!(answers.silent.is_empty(), "did not answer: {:?}", answers.silent);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Caller {
    broker: Broker,
    asker: String,
    answers: Deliveries,
    /// `None` where nobody sends any.
    heartbeats: Option<Deliveries>,
    clock: LogicalClock,
}

/// What nodes answered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    /// By node.
    pub replies: BTreeMap<String, Reply>,
    /// Nodes that are there and have not answered in time.
    pub silent: BTreeSet<String>,
    /// Nodes that were named and are not there.
    pub absent: BTreeSet<String>,
}

/// Why nobody could be asked, or nobody answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The queue for the answers cannot be made.
    #[error(transparent)]
    Declare(#[from] DeclareError),
    /// The command is not sent.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The command cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// No scheduler leads that answers.
    #[error("no scheduler answers within {0:?}; is one running? (celeriac scheduler)")]
    Silence(Duration),
    /// The scheduler is of another version.
    #[error("the scheduler's answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
}

/// A heartbeat, as far as it matters here.
#[derive(Deserialize)]
struct Heartbeat {
    hostname: String,
}

/// When a question has been answered.
enum Until<'a> {
    /// When these have answered.
    All(&'a BTreeSet<String>),
    /// When nobody else does.
    Quiet,
}

impl Caller {
    /// Makes a queue for answers.
    ///
    /// # Errors
    ///
    /// When the broker does not let us have one.
    pub async fn open(broker: &Broker) -> Result<Self, AskError> {
        let asker = TaskId::random().to_string();
        let mailbox = mailbox::of_asker(&asker);
        broker.declare(&mailbox).await?;
        let mut answers = consume(broker, names::control_replies(&asker), mailbox);
        answers.opened().await;
        let heartbeats = hear_heartbeats(broker, &asker).await;
        let clock = LogicalClock::default();
        Ok(Self { broker: broker.clone(), asker, answers, heartbeats, clock })
    }

    /// Where it asks.
    pub(super) fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Asks, and waits until every node that is known to be there has answered, or for `patience`.
    ///
    /// # Errors
    ///
    /// When the command cannot be sent. That nobody answers is no error.
    pub async fn ask(
        &mut self,
        method: &str,
        arguments: Arguments,
        to: Recipients,
        patience: Duration,
    ) -> Result<Answers, AskError> {
        let ends = Instant::now() + patience;
        let (known, absent) = match &to {
            Recipients::Named(nodes) => self.look_for(nodes).await?,
            to => {
                let found = self.find(to.clone(), ends).await?;
                if method == "ping" {
                    return Ok(found);
                }
                (found.replies.into_keys().chain(found.silent).collect(), BTreeSet::new())
            }
        };
        let mut answers = Answers { absent, ..Answers::default() };
        if known.is_empty() {
            return Ok(answers);
        }
        let to = Recipients::Named(known.iter().cloned().collect());
        let heard = self.exchange(method, arguments, to, Until::All(&known), ends).await?;
        answers.silent = known.into_iter().filter(|node| !heard.contains_key(node)).collect();
        answers.replies = heard;
        Ok(answers)
    }

    /// Tells, and waits for no answer: only until the broker has the command. That there is no node
    /// is no error.
    ///
    /// # Errors
    ///
    /// When the command cannot be sent within `patience`.
    pub async fn tell(
        &mut self,
        method: &str,
        arguments: Arguments,
        to: Recipients,
        patience: Duration,
    ) -> Result<(), AskError> {
        let mut request = Request::new(method, arguments);
        request.to = to;
        self.send(request, patience).await.map(drop)
    }

    /// Sends a command; whether there is any node.
    async fn send(&mut self, mut request: Request, patience: Duration) -> Result<bool, AskError> {
        request.clock = self.clock.forward();
        let message = request.message(SystemClock.now(), patience)?;
        match self.broker.publish(Arc::new(message), patience).await {
            Ok(()) => Ok(true),
            Err(PublishError::Unroutable { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Which of these nodes are there, and which are not.
    async fn look_for(
        &mut self,
        nodes: &[String],
    ) -> Result<(BTreeSet<String>, BTreeSet<String>), AskError> {
        let (mut known, mut absent) = (BTreeSet::new(), BTreeSet::new());
        for node in nodes {
            let side = if self.is_there(node).await? { &mut known } else { &mut absent };
            side.insert(node.clone());
        }
        Ok((known, absent))
    }

    /// Whether a node of this name listens to commands now.
    ///
    /// # Errors
    ///
    /// When the broker cannot be asked.
    pub async fn is_there(&mut self, node: &str) -> Result<bool, AskError> {
        let queue = Queue { declare: false, ..Queue::named(names::control_queue(node)) };
        match self.broker.verify(&queue.into()).await {
            // It belongs to the node's own connection, as Celery 5.7 and ours have it.
            Ok(()) | Err(DeclareError::Locked(_)) => Ok(true),
            Err(DeclareError::Missing(_) | DeclareError::Refused { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The nodes that answer a ping, and those whose heartbeat is heard meanwhile.
    async fn find(&mut self, to: Recipients, ends: Instant) -> Result<Answers, AskError> {
        let matching = to.clone();
        let replies = self.exchange("ping", Arguments::new(), to, Until::Quiet, ends).await?;
        let mut silent = BTreeSet::new();
        while let Some(Some(heartbeat)) = self.heartbeats.as_mut().and_then(now) {
            if let Ok(Heartbeat { hostname }) = Format::Json.decode_within(&heartbeat.body, 8)
                && matching.include(&hostname).unwrap_or(true)
                && !replies.contains_key(&hostname)
            {
                silent.insert(hostname);
            }
            heartbeat.settle.ack();
        }
        Ok(Answers { replies, silent, ..Answers::default() })
    }

    async fn exchange(
        &mut self,
        method: &str,
        arguments: Arguments,
        to: Recipients,
        until: Until<'_>,
        ends: Instant,
    ) -> Result<BTreeMap<String, Reply>, AskError> {
        let mut heard = BTreeMap::new();
        let reply_to = ReplyTo::asker(&self.asker);
        let ticket = reply_to.ticket.clone();
        let mut request = Request::new(method, arguments);
        request.to = to;
        request.reply_to = Some(reply_to);
        let patience = ends.saturating_duration_since(Instant::now());
        if !self.send(request, patience).await? {
            return Ok(heard);
        }
        let mut quiet = ends.min(Instant::now() + FIRST);
        loop {
            let stops = match until {
                Until::All(nodes) if nodes.iter().all(|node| heard.contains_key(node)) => break,
                Until::All(_) => ends,
                Until::Quiet => quiet,
            };
            tokio::select! {
                biased;
                answer = self.answers.next() => {
                    let Some(answer) = answer else { break };
                    for reply in self.take(answer, &ticket) {
                        heard.insert(reply.node.clone(), reply);
                    }
                    quiet = ends.min(Instant::now() + QUIET);
                }
                () = sleep_until(stops) => break,
            }
        }
        Ok(heard)
    }

    /// The replies in a message, if it answers this question.
    fn take(&self, answer: Delivery, ticket: &str) -> Vec<Reply> {
        let message = RawMessage::from(&answer);
        let replies = match message.text_header("ticket") {
            Some(other) if other != ticket => Vec::new(),
            _ => Reply::read(&answer).unwrap_or_else(|error| {
                debug!(%error, "an answer that cannot be read");
                Vec::new()
            }),
        };
        answer.settle.ack();
        replies
    }

    /// Gives the queue of answers back.
    pub async fn close(self) {
        self.answers.close().await;
        if let Some(heartbeats) = self.heartbeats {
            heartbeats.close().await;
        }
    }
}

/// What has come already.
fn now(deliveries: &mut Deliveries) -> Option<Option<Delivery>> {
    futures::FutureExt::now_or_never(deliveries.next())
}

fn consume(broker: &Broker, queue: String, declare: Topology) -> Deliveries {
    broker.consume(Consume {
        queue,
        stream: None,
        declare: Some(declare),
        repair: None,
        prefetch: 200,
        acks: AckPolicy { every: 50, within: Duration::from_millis(50) },
        tag: "answers".to_owned(),
    })
}

/// Heartbeats, where there is an exchange for them.
async fn hear_heartbeats(broker: &Broker, asker: &str) -> Option<Deliveries> {
    let queue = Queue {
        durable: false,
        exclusive: true,
        auto_delete: true,
        ..Queue::new(format!("celeryev.{asker}"), [("x-expires", 60_000_i64.into())])
    };
    let binding = Binding::to_queue(names::EVENTS, &queue.name, "worker.heartbeat");
    let name = queue.name.clone();
    let ears = Topology { queues: vec![queue], bindings: vec![binding], ..Topology::default() };
    if let Err(error) = broker.declare(&ears).await {
        debug!(%error, "no heartbeats are heard");
        return None;
    }
    let mut heartbeats = consume(broker, name, ears);
    // Without it nothing is lost but the names of the busy.
    let _ = timeout(FIRST, heartbeats.opened()).await;
    Some(heartbeats)
}
