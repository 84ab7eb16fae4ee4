//! The queues that a worker consumes: those it starts with, and what is changed while it runs.

use super::Worker;
use super::context::Context;
use super::queue::{Calm, Kept, PaceRule, QueueLoop, Stage, Start};
use super::remote::queue_shape;
use crate::broker::{AckPolicy, Consume, DeclareError};
use crate::clock::to_iso;
use crate::control::{Pause, Pauses};
use crate::topology::{self, Binding, Exchange, ExchangeKind, QueueKind, QueueTable, Topology};
use crate::units::Count;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// A change of what a worker consumes, and who waits for it to be done.
#[derive(Debug)]
pub(super) enum Change {
    /// Consume this queue, too.
    Add(Wanted, oneshot::Sender<Result<(), AddError>>),
    /// Consume this queue no more. What is here of it still runs.
    Cancel(String, oneshot::Sender<()>),
    /// Go by what is known of paused queues, and say how it is with this one.
    Obey(String, oneshot::Sender<Standing>),
}

/// How it is with a queue.
#[derive(Debug)]
pub(super) enum Standing {
    Consumed,
    /// It is one of ours and paused; no more of it comes once this is cancelled.
    Paused(CancellationToken),
    NotOurs,
}

/// Why a queue is not consumed that somebody wanted to be.
#[derive(Debug, thiserror::Error)]
pub(super) enum AddError {
    #[error(transparent)]
    Declare(#[from] DeclareError),
    #[error("queue {queue} is paused by {by} since {since}{reason}; resume it first")]
    Paused { queue: String, by: String, since: String, reason: String },
}

/// A queue that is to be consumed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) queue: String,
    /// What it is to be bound to besides, and by which key.
    pub(super) binding: Option<(Exchange, String)>,
}

/// The loops of a worker's queues.
#[derive(Debug)]
pub(super) struct Roster<'a> {
    worker: &'a Worker,
    context: &'a Arc<Context>,
    /// Those of the worker, and the queues that were added.
    topology: topology::Settings,
    loops: JoinSet<Arc<str>>,
    /// Its queues, with what each is bound to besides. Those are consumed that are not paused.
    queues: BTreeMap<String, Option<(Exchange, String)>>,
    /// What stops the loops of those that are consumed.
    stops: HashMap<String, Stop>,
    /// What tells that those are not consumed any more that are paused.
    stopped: HashMap<String, CancellationToken>,
    pauses: watch::Receiver<Pauses>,
    /// Whether having no queue is what somebody wanted.
    was_changed: bool,
}

/// Stops a loop.
#[derive(Debug, Clone, Default)]
struct Stop {
    wanted: CancellationToken,
    done: CancellationToken,
}

impl<'a> Roster<'a> {
    /// Starts the loops of the worker's own queues that are not paused.
    pub(super) fn new(worker: &'a Worker, context: &'a Arc<Context>) -> Self {
        let mut roster = Self {
            worker,
            context,
            topology: worker.topology.clone(),
            loops: JoinSet::new(),
            queues: worker.settings.queues.iter().map(|queue| (queue.clone(), None)).collect(),
            stops: HashMap::new(),
            stopped: HashMap::new(),
            pauses: context.paused.changes(),
            was_changed: false,
        };
        roster.obey();
        roster
    }

    /// Makes changes until every loop has ended. Having no queue left because somebody wanted it so
    /// is no end: the worker waits for another one, or to be stopped.
    pub(super) async fn run(&mut self, changes: &mut mpsc::Receiver<Change>) {
        let shutdown = self.context.shutdown.clone();
        let mut may_change = true;
        while !self.loops.is_empty() || (self.waits(may_change) && !shutdown.is_draining()) {
            let goes_on = !shutdown.is_draining();
            tokio::select! {
                biased;
                Some(ended) = self.loops.join_next() => match ended {
                    Err(error) => warn!(%error, "a queue's loop broke"),
                    Ok(queue) => debug!(%queue, "consumed no more"),
                },
                () = shutdown.draining(), if self.loops.is_empty() => return,
                Ok(()) = self.pauses.changed(), if goes_on => self.obey(),
                change = changes.recv(), if may_change && goes_on => match change {
                    Some(change) => self.change(change).await,
                    // Remote control is off.
                    None => may_change = false,
                },
            }
        }
    }

    /// Whether having nothing to consume is what somebody wanted.
    fn waits(&self, may_change: bool) -> bool {
        (self.was_changed && may_change) || self.queues.len() > self.stops.len()
    }

    /// Stops the loops of queues that are paused, and starts those of queues that are not any more.
    fn obey(&mut self) {
        let pauses = self.pauses.borrow_and_update().clone();
        let mut paused = BTreeSet::new();
        for (queue, asked) in self.queues.clone() {
            let pause = pauses.of(&queue);
            match (pause, self.stops.contains_key(&queue)) {
                (Some(pause), _) => {
                    self.pause(&queue, pause);
                    paused.insert(queue);
                }
                (None, false) => self.start(&queue, asked.as_ref()),
                (None, true) => {}
            }
        }
        self.context.status.set_paused(paused);
    }

    /// Stops consuming a queue that stays one of ours.
    fn pause(&mut self, queue: &str, pause: &Pause) {
        let Pause { by, reason, .. } = pause;
        match self.stops.remove(queue) {
            Some(stop) => {
                info!(%queue, by, reason, "paused, consumed no more until it is resumed");
                stop.wanted.cancel();
                self.stopped.insert(queue.to_owned(), stop.done);
            }
            None if !self.context.status.paused().contains(queue) => {
                info!(%queue, by, reason, "paused, not consumed until it is resumed");
            }
            None => {}
        }
        self.context.status.leaves(queue);
    }

    async fn change(&mut self, change: Change) {
        self.was_changed = true;
        // Whoever asked may have stopped waiting.
        match change {
            Change::Add(wanted, done) => drop(done.send(self.add(wanted).await)),
            Change::Cancel(queue, done) => {
                self.cancel(&queue);
                let _ = done.send(());
            }
            Change::Obey(queue, done) => {
                self.obey();
                let _ = done.send(self.standing(&queue));
            }
        }
    }

    fn standing(&self, queue: &str) -> Standing {
        match (self.queues.contains_key(queue), self.stops.contains_key(queue)) {
            (true, true) => Standing::Consumed,
            (true, false) => {
                Standing::Paused(self.stopped.get(queue).cloned().unwrap_or_else(|| {
                    let done = CancellationToken::new();
                    done.cancel();
                    done
                }))
            }
            (false, _) => Standing::NotOurs,
        }
    }

    /// Declares a queue and consumes it. One that nobody has configured is made like our others, or
    /// taken as it is if it exists.
    async fn add(&mut self, wanted: Wanted) -> Result<(), AddError> {
        let Wanted { queue, binding } = wanted;
        if let Some(Pause { by, at, reason }) = self.context.paused.of(&queue) {
            let reason = if reason.is_empty() { reason } else { format!(" ({reason})") };
            return Err(AddError::Paused { queue, by, since: to_iso(at), reason });
        }
        if self.stops.contains_key(&queue) {
            return Ok(());
        }
        if !self.topology.queues.is_defined(&queue) {
            let exists = matches!(self.worker.broker.depth(&queue).await, Ok(Some(_)));
            let declare = exists.then_some(false);
            let table = QueueTable { declare, ..QueueTable::default() };
            self.topology.queues.insert(queue.clone(), table);
        }
        if self.topology.declare {
            self.worker
                .broker
                .declare(&Topology::work(&self.topology, std::slice::from_ref(&queue)))
                .await?;
        }
        if let Some((exchange, key)) = &binding {
            let bindings = vec![Binding::to_queue(&exchange.name, &queue, key)];
            let exchanges = vec![exchange.clone()];
            let further = Topology { exchanges, bindings, ..Topology::default() };
            self.worker.broker.declare(&further).await?;
        }
        info!(%queue, "consumed from now on, asked for from elsewhere");
        self.start(&queue, binding.as_ref());
        self.queues.insert(queue, binding);
        Ok(())
    }

    fn cancel(&mut self, queue: &str) {
        if self.queues.remove(queue).is_none() {
            return;
        }
        info!(%queue, "to be consumed no more, asked for from elsewhere");
        if let Some(stop) = self.stops.remove(queue) {
            stop.wanted.cancel();
        }
        self.stopped.remove(queue);
        self.context.status.leaves(queue);
        self.obey();
    }

    fn start(&mut self, queue: &str, asked: Option<&(Exchange, String)>) {
        let settings = self.topology.queues.get(queue);
        let name = Arc::<str>::from(queue);
        if let Some(most) = settings.concurrency {
            self.context.slots.limit(Arc::clone(&name), most);
        }
        if settings.kind == QueueKind::Classic || !settings.declare {
            let limits = self.context.delivery_limits.write();
            let mut limits = limits.unwrap_or_else(PoisonError::into_inner);
            limits.insert(name, settings.delivery_limit);
        }
        self.context.status.consumes(queue, queue_shape(&self.topology, queue, asked));
        let stop = Stop::default();
        self.loops.spawn(self.queue_loop(queue, stop.clone()).run());
        self.stops.insert(queue.to_owned(), stop);
        self.stopped.remove(queue);
        if self.context.status.paused().contains(queue) {
            info!(%queue, "resumed, consumed again");
        }
    }

    fn queue_loop(&self, queue: &str, stop: Stop) -> QueueLoop {
        let worker = self.worker;
        let rule = self.rule(queue);
        let declares = self.topology.declare;
        let acknowledge = &worker.settings.acknowledge;
        let deliveries = worker.broker.consume(Consume {
            queue: queue.to_owned(),
            stream: None,
            declare: None,
            repair: declares.then(|| Topology::work(&self.topology, &[queue.into()])),
            prefetch: 1,
            acks: AckPolicy {
                every: acknowledge.every.max(1) as usize,
                within: acknowledge.within,
            },
            tag: self.context.name.clone(),
        });
        QueueLoop {
            deliveries,
            broker: worker.broker.clone(),
            context: Arc::clone(self.context),
            watchdog: worker.settings.watchdog,
            rule,
            pace: rule.pace(self.context.slots.size()),
            stop: stop.wanted,
            stopped: stop.done,
            stage: Stage::Cautious,
            start: Start::Beside,
            handful: 0,
            calm: Calm::default(),
            kept: Kept::default(),
        }
    }

    /// Prefetch of one queue: as configured for the queue, else for the worker, else one per slot
    /// and more while tasks are short. Where priorities are in use it stays at one per slot, since
    /// a message that is here cannot be overtaken.
    fn rule(&self, queue: &str) -> PaceRule {
        let settings = self.topology.queues.get(queue);
        let fixed = match self.worker.settings.prefetch {
            Count::Auto => settings.prefetch,
            Count::Fixed(prefetch) => {
                settings.prefetch.or(Some(u16::try_from(prefetch.get()).unwrap_or(u16::MAX)))
            }
        };
        let has_priorities = settings.max_priority.is_some();
        PaceRule { concurrency: settings.concurrency, fixed, has_priorities }
    }
}

impl Wanted {
    /// A queue as Celery's command asks for it: with an exchange it is bound there, too.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn new(
        queue: &str,
        exchange: Option<&str>,
        kind: Option<&str>,
        key: Option<&str>,
    ) -> Result<Self, String> {
        if queue.is_empty() {
            return Err("the queue has no name".to_owned());
        }
        let kind = kind.filter(|kind| !kind.is_empty()).unwrap_or("direct");
        let kind = ExchangeKind::parse(kind).ok_or_else(|| {
            format!("exchange type `{kind}`: it is direct, fanout, topic or headers")
        })?;
        let exchange = exchange.filter(|exchange| !exchange.is_empty());
        let binding = exchange.map(|exchange| {
            let key = key.filter(|key| !key.is_empty()).unwrap_or(queue);
            (Exchange::new(exchange, kind), key.to_owned())
        });
        Ok(Self { queue: queue.to_owned(), binding })
    }
}
