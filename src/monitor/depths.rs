//! How deep the queues are and who consumes them: looked at every few seconds, so that no page has
//! to ask the broker.
//!
//! Nobody can be asked over AMQP which queues there are. Those are looked at that a task was sent
//! to, as far as it was told, those that a worker says it consumes, and those that are paused.

use super::change::{Micros, micros};
use super::index::{self, Index, IndexError};
use crate::broker::{Broker, Depth};
use crate::clock::Clock;
use crate::control::{Answers, Arguments, AskError, Caller, Paused, Pauses, Recipients};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::iter::repeat_n;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use tracing::debug;

/// How often the queues are looked at.
pub(super) const EVERY: Duration = Duration::from_secs(5);
const LOOK: Micros = EVERY.as_micros() as Micros;

/// Workers are asked what they consume each time but so many.
const ASK_EACH: usize = 4;

/// Workers may take so long to answer, and the broker for one queue.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was seen in the last hour is kept.
const KEPT: usize = 720;

/// More queues are not looked at.
const QUEUES: usize = 500;

/// What was last seen of the queues. Cloning is cheap; all clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Depths(Arc<Mutex<BTreeMap<String, Seen>>>);

/// What was seen of one queue.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    /// `None` where there is no such queue, or it could not be looked at.
    pub(super) depth: Option<Depth>,
    /// When.
    pub(super) at: Micros,
    /// How many messages were ready, the oldest first.
    pub(super) past: VecDeque<u32>,
    /// Workers that said they consume it.
    pub(super) workers: BTreeSet<String>,
    /// How many processes the pools of these workers have, if anybody wants to know it. `None` where one
    /// of them did not say.
    pub(super) processes: Option<u64>,
}

impl Depths {
    /// What the index has of the last hour. It knows each minute, which stands for all looks of that
    /// minute.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(super) async fn kept(index: &Index, now: Micros) -> Result<Self, IndexError> {
        let hour = LOOK * KEPT as Micros;
        let asked = move |index: &_| index::depths::since(index, None, now - hour, now);
        let (step, found) = index.read(asked).await?;
        let looks = usize::try_from(step / LOOK).unwrap_or(1);
        let depths = Self::default();
        for (queue, levels) in found {
            depths.change(&queue, |seen| {
                let past = levels.into_iter().flat_map(|it| repeat_n(it.most, looks));
                seen.past = past.collect();
                seen.forget();
            });
        }
        Ok(depths)
    }

    /// All queues that are known.
    pub(super) fn all(&self) -> BTreeMap<String, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One of them.
    pub(super) fn one(&self, queue: &str) -> Option<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(queue).cloned()
    }

    /// Queues in which messages wait and that nobody consumes, although nobody paused them, with how
    /// many wait.
    pub(super) fn stalled(&self, pauses: &Pauses) -> Vec<(String, u32)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |(queue, seen): (&String, &Seen)| {
            let depth = seen.depth.filter(|depth| depth.ready > 0 && depth.consumers == 0)?;
            Some((queue.clone(), depth.ready))
        };
        all.iter().filter(|(queue, _)| pauses.of(queue).is_none()).filter_map(waits).collect()
    }

    /// Whether a worker said that it consumes something.
    fn is_consumed(&self) -> bool {
        self.all().values().any(|seen| !seen.workers.is_empty())
    }

    fn change(&self, queue: &str, change: impl FnOnce(&mut Seen)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < QUEUES || all.contains_key(queue) {
            change(all.entry(queue.to_owned()).or_default());
        }
    }

    fn note(&self, queue: &str, depth: Option<Depth>, at: Micros) {
        self.change(queue, |seen| {
            (seen.depth, seen.at) = (depth, at);
            if let Some(depth) = depth {
                seen.past.push_back(depth.ready);
            }
            seen.forget();
        });
    }

    fn note_consumers(
        &self,
        consumers: &BTreeMap<String, BTreeSet<String>>,
        pools: &BTreeMap<String, u64>,
    ) {
        for queue in consumers.keys() {
            self.change(queue, |_| {});
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (queue, seen) in all.iter_mut() {
            seen.workers = consumers.get(queue).cloned().unwrap_or_default();
            let pools = seen.workers.iter().map(|worker| pools.get(worker).copied());
            seen.processes = pools.sum();
        }
    }
}

impl Seen {
    /// Forgets what is longer ago than is kept.
    fn forget(&mut self) {
        self.past.drain(..self.past.len().saturating_sub(KEPT));
    }
}

/// Looks at the queues.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) broker: Broker,
    pub(super) index: Index,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) depths: Depths,
    pub(super) paused: Paused,
    pub(super) pools: Pools,
}

/// Whether workers are asked how many processes they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pools {
    Asked,
    /// Nobody wants to know it.
    Left,
}

impl Watch {
    /// Looks again and again. Never ends.
    pub(super) async fn run(&self) {
        let mut caller = None;
        let mut every = tokio::time::interval(EVERY);
        for round in (0..ASK_EACH).cycle() {
            every.tick().await;
            if !self.broker.is_connected() {
                caller = None;
                continue;
            }
            let is_due = round == 0 || !self.depths.is_consumed();
            if is_due && let Err(error) = self.ask(&mut caller).await {
                debug!(%error, "workers are not asked what they consume");
                caller = None;
            }
            self.look().await;
        }
    }

    /// Writes down what was seen, for the next who starts.
    async fn keep(&self, at: Micros, ready: Vec<(String, u32)>) {
        let kept = self.index.write(move |writer| writer.note_depths(at, &ready)).await;
        if let Err(error) = kept {
            debug!(%error, "how deep the queues are is not kept");
        }
    }

    /// Asks workers what they consume.
    async fn ask(&self, caller: &mut Option<Caller>) -> Result<(), AskError> {
        let open = match caller.take() {
            Some(open) => open,
            None => Caller::open(&self.broker).await?,
        };
        let open = caller.insert(open);
        let answers =
            open.ask("active_queues", Arguments::new(), Recipients::All, PATIENCE).await?;
        let pools = match self.pools {
            Pools::Asked => open.ask("stats", Arguments::new(), Recipients::All, PATIENCE).await?,
            Pools::Left => Answers::default(),
        };
        let pools = pools.replies.into_iter().map(|(node, reply)| (node, processes(&reply.value)));
        let mut consumers = BTreeMap::<String, BTreeSet<String>>::new();
        for (node, reply) in answers.replies {
            let queues = reply.value.as_array().into_iter().flatten();
            for name in queues.filter_map(|queue| queue.get("name")?.as_str()) {
                consumers.entry(name.to_owned()).or_default().insert(node.clone());
            }
        }
        self.depths.note_consumers(&consumers, &pools.collect());
        Ok(())
    }

    async fn look(&self) {
        let told = self.index.read(index::tasks::queues).await.unwrap_or_default();
        let paused = self.paused.now();
        let known = self.depths.all().into_keys().chain(paused.iter().map(|it| it.0.to_owned()));
        let queues: BTreeSet<String> = known.chain(told).take(QUEUES).collect();
        let mut ready = Vec::new();
        for queue in queues {
            let looked = timeout(PATIENCE, self.broker.depth(&queue)).await;
            let depth = match looked {
                Ok(Ok(depth)) => depth,
                Ok(Err(error)) => {
                    debug!(queue, %error, "a queue cannot be looked at");
                    None
                }
                Err(_) => break,
            };
            self.depths.note(&queue, depth, micros(self.clock.now()));
            ready.extend(depth.map(|depth| (queue, depth.ready)));
        }
        self.keep(micros(self.clock.now()), ready).await;
    }
}

/// How many processes a pool has, by what its worker says of itself. One of threads has none.
fn processes(stats: &Value) -> u64 {
    let processes = stats.pointer("/pool/processes").and_then(Value::as_array);
    processes.map_or(0, |processes| processes.len() as u64)
}
