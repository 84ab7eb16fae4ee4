//! Pausing a queue, and resuming it.
//!
//! The broker keeps it in the stream [`names::PAUSED`], and every worker of ours obeys that. Who acts
//! also tells the workers that consume the queue, so that they answer; those that read no such stream
//! (Celery's, and ours of before) are told to stop consuming, which they forget when they restart.

use super::caller::{Answers, AskError, Caller};
use super::paused::read_to_end;
use super::pauses::{Pause, Pauses};
use super::recipients::Recipients;
use super::records::{Kept, Read};
use super::request::Arguments;
use crate::broker::{Broker, DeclareError, PublishError, StreamError};
use crate::topology::{Topology, names};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// What goes with a command to stop consuming a queue, or to begin again, when it is a pause or its
/// end: [`Pauses`] as JSON. Workers that do not know it do as the command says.
pub const PAUSES: &str = "celeriac_pauses";

/// How workers say in what they consume that they obey pauses.
pub(crate) const PAUSABLE: &str = "celeriac_pausable";

/// Where workers say which of their queues are paused, in their statistics.
pub(crate) const PAUSED_HERE: &str = "celeriac_paused";

/// The stream of pauses.
pub(super) const PAUSED: Kept =
    Kept { stream: names::PAUSED, topology: Topology::pauses, mark: "celeriac-paused-mark" };

/// Why a queue was not paused or resumed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PauseError {
    /// It is not paused.
    #[error("queue {0} is not paused")]
    NotPaused(String),
    /// What was said before cannot be read in time.
    #[error("which queues are paused could not be read within {0:?}")]
    Unread(Duration),
    /// The stream is missing and cannot be declared.
    #[error("queues cannot be paused: {0}")]
    Declare(#[from] DeclareError),
    /// The broker did not take it. It may have it all the same.
    #[error("not kept by the broker: {0}")]
    Publish(#[from] PublishError),
    /// Workers cannot be asked; nothing was changed.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// What came of pausing or resuming a queue: the broker keeps it, and workers say what they do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What stands now, or stood until now.
    pub pause: Pause,
    /// Whether it was paused before somebody paused it again.
    pub was_paused: bool,
    /// The workers that consume it, or would.
    pub workers: BTreeMap<String, Heeded>,
    /// Consumers of a queue that is paused which nobody has accounted for: workers that take no
    /// commands, and other programs.
    pub unknown_consumers: u32,
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heeded {
    /// It has done it, and goes by it after a restart.
    Done(String),
    /// It has done it, and forgets it when it restarts: it reads no pauses.
    UntilRestart(String),
    /// It says no.
    Refused(String),
    /// It is there and has not answered. A worker of ours does it all the same.
    Silent,
}

/// Which queues are paused now. Writes nothing, and takes about a second: a stream is read until it
/// falls silent.
///
/// ```no_run
/// # async fn example(broker: celeriac::broker::Broker) -> anyhow::Result<()> {
/// for (queue, pause) in celeriac::control::pauses(&broker).await?.iter() {
///     println!("{queue} is paused by {}: {}", pause.by, pause.reason);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the stream cannot be read. That there is none yet is no error.
pub async fn pauses(broker: &Broker) -> Result<Pauses, StreamError> {
    match read_to_end(broker).await {
        Err(StreamError::Unknown(DeclareError::Missing(_))) => Ok(Pauses::default()),
        read => read,
    }
}

/// Pauses a queue: no worker of ours consumes it until it is resumed, whatever restarts. What runs goes
/// on to its end; what was handed out and has not begun goes back. A queue that is paused already stays
/// as it is, and its workers are told again.
///
/// Waits at most `patience` for the broker and as long again for workers.
///
/// ```no_run
/// # async fn example(broker: celeriac::broker::Broker) -> anyhow::Result<()> {
/// use celeriac::control::{Caller, Pause, pause};
/// use std::time::{Duration, SystemTime};
///
/// let mut caller = Caller::open(&broker).await?;
/// let why = Pause::new("ana", SystemTime::now(), "smtp down");
/// let told = pause(&mut caller, "email", why, Duration::from_secs(5)).await?;
/// for (worker, heeded) in &told.workers {
///     println!("{worker}: {heeded:?}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// See [`PauseError`]. Pausing again is safe.
pub async fn pause(
    caller: &mut Caller,
    queue: &str,
    said: Pause,
    patience: Duration,
) -> Result<Told, PauseError> {
    let broker = caller.broker().clone();
    let known = read(&broker, patience).await?;
    let consumers = Consumers::ask(caller, queue, patience).await?;
    let was_paused = known.of(queue).is_some();
    let known = match was_paused {
        true => known,
        false => {
            let known = known.pause(queue, said.clone(), consumers.others.clone());
            keep(&broker, &known, patience).await?;
            known
        }
    };
    let mut workers = consumers.silent();
    workers.extend(tell(caller, Word::Pause, queue, &known, &consumers, patience).await?);
    // Celery's workers answer before they have stopped.
    let unknown_consumers = match consumers.others.is_empty() && consumers.silent.is_empty() {
        true => broker.depth(queue).await?.map_or(0, |depth| depth.consumers),
        false => 0,
    };
    let pause = known.of(queue).cloned().unwrap_or(said);
    Ok(Told { pause, was_paused, workers, unknown_consumers })
}

/// Lets a queue be consumed again, by whoever consumes it by its settings, and by those that were told
/// to stop consuming it when it was paused.
///
/// # Errors
/// See [`PauseError`]. Of a queue that is not paused workers are told nothing.
pub async fn resume(
    caller: &mut Caller,
    queue: &str,
    said: Pause,
    patience: Duration,
) -> Result<Told, PauseError> {
    let broker = caller.broker().clone();
    let known = read(&broker, patience).await?;
    let Some(pause) = known.of(queue).cloned() else {
        return Err(PauseError::NotPaused(queue.to_owned()));
    };
    let others = known.others(queue).to_vec();
    let consumers = Consumers::paused(caller, queue, others, patience).await?;
    let known = known.resume(queue, said);
    keep(&broker, &known, patience).await?;
    let mut workers = consumers.silent();
    workers.extend(tell(caller, Word::Resume, queue, &known, &consumers, patience).await?);
    Ok(Told { pause, was_paused: true, workers, unknown_consumers: 0 })
}

/// All that was said up to now.
async fn read(broker: &Broker, patience: Duration) -> Result<Pauses, PauseError> {
    let mut known = Pauses::default();
    let mut records = PAUSED.read(broker);
    let reading = async {
        while let Some(read) = records.next().await {
            match read {
                Read::Record(message) => {
                    known.merge(Pauses::read(&message.body).unwrap_or_default());
                }
                Read::CaughtUp(_) => return true,
            }
        }
        false
    };
    let is_read = timeout(patience, reading).await.unwrap_or(false);
    records.close().await;
    if is_read { Ok(known) } else { Err(PauseError::Unread(patience)) }
}

async fn keep(broker: &Broker, known: &Pauses, patience: Duration) -> Result<(), PauseError> {
    Ok(PAUSED.keep(broker, known.message(), patience).await??)
}

/// What workers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Pause,
    Resume,
}

impl Word {
    fn method(self) -> &'static str {
        match self {
            Self::Pause => "cancel_consumer",
            Self::Resume => "add_consumer",
        }
    }
}

/// Whom a pause of a queue concerns.
#[derive(Debug, Default)]
struct Consumers {
    /// They obey pauses.
    ours: Vec<String>,
    /// They do not, and consume it, or did.
    others: Vec<String>,
    /// They are there and do not say what they consume.
    silent: Vec<String>,
}

impl Consumers {
    /// Those that consume a queue.
    async fn ask(caller: &mut Caller, queue: &str, patience: Duration) -> Result<Self, AskError> {
        let none = Arguments::new();
        let answers = caller.ask("active_queues", none, Recipients::All, patience).await?;
        let mut consumers = Self { silent: answers.silent.into_iter().collect(), ..<_>::default() };
        for (node, reply) in answers.replies {
            let mut queues = reply.value.as_array().into_iter().flatten();
            match queues.find(|it| it["name"] == queue).map(|it| it[PAUSABLE] == true) {
                Some(true) => consumers.ours.push(node),
                Some(false) => consumers.others.push(node),
                None => {}
            }
        }
        Ok(consumers)
    }

    /// Those that would consume it.
    async fn paused(
        caller: &mut Caller,
        queue: &str,
        others: Vec<String>,
        patience: Duration,
    ) -> Result<Self, AskError> {
        let none = Arguments::new();
        let answers = caller.ask("stats", none, Recipients::All, patience).await?;
        let waits = |value: &Value| {
            value[PAUSED_HERE].as_array().is_some_and(|all| all.iter().any(|it| it == queue))
        };
        let ours = answers.replies.into_iter().filter(|(_, reply)| waits(&reply.value));
        let ours = ours.map(|(node, _)| node).collect();
        Ok(Self { ours, others, silent: answers.silent.into_iter().collect() })
    }

    fn silent(&self) -> BTreeMap<String, Heeded> {
        self.silent.iter().map(|node| (node.clone(), Heeded::Silent)).collect()
    }
}

async fn tell(
    caller: &mut Caller,
    word: Word,
    queue: &str,
    known: &Pauses,
    to: &Consumers,
    patience: Duration,
) -> Result<BTreeMap<String, Heeded>, AskError> {
    let mut heeded = BTreeMap::new();
    let plain = Arguments::from_iter([("queue".to_owned(), json!(queue))]);
    let mut ours = plain.clone();
    ours.insert(PAUSES.to_owned(), json!(known.only(queue)));
    for (nodes, given, done) in [
        (&to.ours, ours, Heeded::Done as fn(String) -> Heeded),
        (&to.others, plain, Heeded::UntilRestart),
    ] {
        if nodes.is_empty() {
            continue;
        }
        let to = Recipients::Named(nodes.clone());
        heeded.extend(said(caller.ask(word.method(), given, to, patience).await?, done));
    }
    Ok(heeded)
}

/// What workers said. Those that are gone by now need not be told.
fn said(answers: Answers, done: fn(String) -> Heeded) -> impl Iterator<Item = (String, Heeded)> {
    let replied = answers.replies.into_iter().map(move |(node, reply)| {
        let heeded = match reply.error() {
            Some(why) => Heeded::Refused(why.to_owned()),
            None => {
                let said = reply.value.get("ok").unwrap_or(&reply.value);
                done(said.as_str().map_or_else(|| said.to_string(), str::to_owned))
            }
        };
        (node, heeded)
    });
    replied.chain(answers.silent.into_iter().map(|node| (node, Heeded::Silent)))
}
