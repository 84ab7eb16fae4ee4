//! Consumes one queue: hands each delivery to a process of its own, and watches that deliveries
//! keep coming.

use super::attempt::Attempt;
use super::context::Context;
use super::process::{process, process_read};
use crate::broker::{Broker, Deliveries, Delivery};
use crate::in_flight::InFlight;
use futures::{FutureExt, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

/// One queue being consumed.
#[derive(Debug)]
pub(super) struct QueueLoop {
    pub(super) deliveries: Deliveries,
    pub(super) broker: Broker,
    pub(super) context: Arc<Context>,
    /// Zero switches the watchdog off.
    pub(super) watchdog: Duration,
    pub(super) rule: PaceRule,
    pub(super) pace: Pace,
    /// Cancelled when this queue is not to be consumed any more.
    pub(super) stop: CancellationToken,
    /// Cancelled when it is not consumed any more.
    pub(super) stopped: CancellationToken,
    pub(super) stage: Stage,
    pub(super) start: Start,
    /// How many deliveries came while the last handful gathered.
    pub(super) handful: u32,
    pub(super) calm: Calm,
    pub(super) kept: Kept,
}

/// Where an attempt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// In a process of its own, at once: the loop is free for the next delivery.
    Beside,
    /// In the loop, up to the first thing it waits for; what is left goes on beside, unless only its
    /// result is left to be told, which goes on in the loop too. While tasks come by the thousand
    /// this saves waking another thread for each, which costs more than the task. A task that
    /// computes for long ends it.
    Here,
    /// The same, and deliveries are taken by the handful: what arrives within [`HANDFUL`] is
    /// looked at together, instead of waking the loop for each.
    Together,
}

/// Attempts that have run and whose results are on their way.
type Settling = InFlight<()>;

/// From so many deliveries a second attempts begin in the loop.
const RUSH: f64 = 1000.0;

/// And from so many on they are taken together.
const FLOOD: f64 = 5000.0;

/// And no longer, once [`OFTEN`] of them close together have kept the loop for this long. One alone may
/// only have waited for a processor, which on a busy machine happens many times a second.
const LONG: Duration = Duration::from_micros(500);

/// Or a single one for this long.
const VERY_LONG: Duration = Duration::from_millis(5);

/// So many attempts apart is close together.
const CLOSE: u32 = 50;

/// And so often is too often.
const OFTEN: u32 = 3;

/// How long deliveries gather. In this time fewer come than are prefetched.
const HANDFUL: Duration = Duration::from_millis(1);

/// How much is taken at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// One message at a time. A worker begins like this, because the first message may be one that
    /// kills workers: whatever is with us then is counted as failed too, and would in the end be
    /// taken for poison beside it.
    Cautious,
    /// As much as the pace says.
    Full,
}

/// A message that was handed out in vain so often may be what killed its workers.
const SUSPICIOUS: i64 = 2;

/// How prefetch follows the work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Slots of this queue; the prefetch for long tasks.
    pub(super) slots: u16,
    /// The most that is ever prefetched; equal to `slots` when prefetch is fixed.
    pub(super) most: u16,
}

/// Attempts that have kept the loop for [`LONG`], close together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kept {
    times: u32,
    /// How many attempts have not, since the last that has.
    since: u32,
}

/// How many looks in a row found that a smaller prefetch would do.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Calm(u32);

/// What the pace of a queue follows from.
#[derive(Debug, Clone, Copy)]
pub(super) struct PaceRule {
    /// Tasks of this queue that run at once, if it has a number of its own.
    pub(super) concurrency: Option<usize>,
    /// The prefetch, if it is configured.
    pub(super) fixed: Option<u16>,
    /// Whether the queue has priorities: a message that is here cannot be overtaken.
    pub(super) has_priorities: bool,
}

/// The most messages prefetched per queue when the worker chooses the number itself.
const MOST_AHEAD: u16 = 250;

/// How often the pace is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// After so many looks in a row the prefetch comes down: another burst may follow the last, and for
/// each change the consumer is taken away and brought back.
const CALM: u32 = 10;

/// How long the broker may take to say how many messages wait, at most.
const ANSWER: Duration = Duration::from_secs(10);

/// And after how many deliveries per message of prefetch, so that a rush is met within
/// milliseconds.
const LOOK_AFTER: u32 = 20;

/// Work for about this long should be at hand.
const AHEAD: Duration = Duration::from_millis(50);

impl QueueLoop {
    /// Consumes until the worker drains or the queue is cancelled, then gives back what was not
    /// begun, waits for what was, and acknowledges it. Says which queue it was.
    pub(super) async fn run(mut self) -> Arc<str> {
        let processes = TaskTracker::new();
        let mut settling = Settling::default();
        let mut watch = interval(if self.watchdog.is_zero() { LOOK * 7200 } else { self.watchdog });
        let mut look = interval(LOOK);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut since_look, mut since_watch) = (0_u32, 0_u32);
        let mut looked = Instant::now();
        let (shutdown, stop) = (self.context.shutdown.clone(), self.stop.clone());
        loop {
            tokio::select! {
                biased;
                () = shutdown.draining() => break,
                () = stop.cancelled() => break,
                Some(()) = settling.next(), if !settling.is_empty() => {
                    while let Some(Some(())) = settling.next().now_or_never() {}
                }
                delivery = self.next() => match delivery {
                    Some(delivery) => {
                        since_look += 1;
                        since_watch += 1;
                        self.watch_out(&delivery);
                        self.begin(delivery, &processes, &mut settling);
                        if since_look >= LOOK_AFTER * u32::from(self.deliveries.prefetch()) {
                            self.adapt(since_look, looked.elapsed(), processes.len());
                            (since_look, looked) = (0, Instant::now());
                        }
                    }
                    None => break,
                },
                _ = look.tick() => {
                    let consuming = self.deliveries.is_consuming();
                    let (queue, prefetch) = (self.deliveries.queue(), self.deliveries.prefetch());
                    self.context.status.turned(queue, consuming, prefetch);
                    self.pace = self.rule.pace(self.context.slots.size());
                    self.adapt(since_look, looked.elapsed(), processes.len());
                    (since_look, looked) = (0, Instant::now());
                }
                _ = watch.tick(), if !self.watchdog.is_zero() => {
                    if since_watch == 0 && processes.is_empty() && settling.is_empty() {
                        self.look_for_stall().await;
                    }
                    since_watch = 0;
                }
            }
        }
        self.deliveries.stop().await;
        self.stopped.cancel();
        processes.close();
        futures::join!(processes.wait(), async { while settling.next().await.is_some() {} });
        let queue = Arc::clone(self.deliveries.queue());
        self.deliveries.close().await;
        queue
    }

    /// The next delivery. Cancel safe.
    async fn next(&mut self) -> Option<Delivery> {
        if self.start == Start::Together {
            if let Some(delivery) = self.deliveries.next().now_or_never() {
                self.handful = self.handful.saturating_add(1);
                return delivery;
            }
            tokio::time::sleep(HANDFUL).await;
            // The flood is over. The next step of a chain comes when the one before has ended: it
            // would wait each time, for nobody.
            if std::mem::take(&mut self.handful) <= 1 {
                self.start = Start::Here;
            }
        }
        self.deliveries.next().await
    }

    /// Begins an attempt where [`Start`] says.
    fn begin(&mut self, delivery: Delivery, processes: &TaskTracker, settling: &mut Settling) {
        if self.start == Start::Beside {
            processes.spawn(process(delivery, Arc::clone(&self.context)));
            return;
        }
        let began = Instant::now();
        let read = Attempt::read(delivery, &self.context);
        let attempt = read.as_ref().ok().map(|(attempt, _)| Arc::clone(attempt));
        let mut process = settling.hold(process_read(read, Arc::clone(&self.context)));
        match (&mut process).now_or_never() {
            Some(()) => settling.release(process),
            None if attempt.is_some_and(|attempt| attempt.only_tells_its_result()) => {
                settling.push(process);
            }
            None => drop(processes.spawn(process)),
        }
        if self.kept.is_for_long(began.elapsed()) {
            self.start = Start::Beside;
        }
    }

    /// Goes on to the full pace with the first message that is counted and not suspicious.
    fn watch_out(&mut self, delivery: &Delivery) {
        if self.stage == Stage::Full {
            return;
        }
        if delivery.is_uncounted() {
            return;
        }
        let failed = delivery.failed_deliveries();
        if failed >= SUSPICIOUS {
            info!(queue = %delivery.queue, failed, "handed out in vain before, running it alone");
            return;
        }
        self.stage = Stage::Full;
        self.set_prefetch(self.pace.slots);
    }

    fn set_prefetch(&mut self, wanted: u16) {
        let now = self.deliveries.prefetch();
        if wanted != now {
            debug!(queue = %self.deliveries.queue(), from = now, to = wanted, "prefetch");
            self.deliveries.set_prefetch(wanted);
        }
    }

    /// Prefetches more when tasks are short: then the way to the broker is what costs time. Long
    /// tasks are prefetched one per slot, so that other workers and urgent tasks are not kept
    /// waiting behind them: at once when so many are `here` that some wait, else after a while.
    fn adapt(&mut self, started: u32, within: Duration, here: usize) {
        let rate = f64::from(started) / within.as_secs_f64().max(0.001);
        self.start = match rate {
            FLOOD.. => Start::Together,
            RUSH.. => Start::Here,
            _ => Start::Beside,
        };
        if self.stage == Stage::Cautious || !self.deliveries.is_consuming() {
            return;
        }
        let now = self.deliveries.prefetch();
        let wanted = self.pace.wanted(now, started, within);
        let some_wait = here > usize::from(self.pace.slots);
        let prefetch = self.calm.prefetch(now, wanted, some_wait);
        self.set_prefetch(prefetch);
    }

    /// Consumes anew when the queue has messages, this consumer is there, and nothing arrives.
    async fn look_for_stall(&mut self) {
        if !self.broker.is_connected() {
            return;
        }
        let queue = Arc::clone(self.deliveries.queue());
        let depth = tokio::select! {
            biased;
            () = self.context.shutdown.draining() => return,
            depth = timeout(self.watchdog.min(ANSWER), self.broker.depth(&queue)) => depth,
        };
        match depth {
            Ok(_) if !self.deliveries.is_consuming() => debug!(%queue, "about to consume"),
            Ok(Ok(Some(depth))) if depth.ready > 0 => {
                warn!(%queue, ready = depth.ready, "messages wait and none arrives, consuming anew");
                self.deliveries.restart();
            }
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) => {
                warn!(%queue, "the queue is gone, consuming anew");
                self.deliveries.restart();
            }
            Ok(Err(error)) => debug!(%error, "cannot look at the queue"),
            Err(_) => {
                warn!(%queue, "the broker does not answer, connecting anew");
                self.deliveries.abandon_connection();
            }
        }
    }
}

impl PaceRule {
    /// The pace in a worker of `slots` slots: one message per slot, and more while tasks are short.
    pub(super) fn pace(self, slots: usize) -> Pace {
        let of_queue = self.concurrency.map_or(slots, |limit| slots.min(limit));
        let slots = u16::try_from(of_queue.max(1)).unwrap_or(u16::MAX);
        match self.fixed {
            Some(prefetch) => Pace { slots: prefetch.max(1), most: prefetch.max(1) },
            None if self.has_priorities => Pace { slots, most: slots },
            None => Pace { slots, most: MOST_AHEAD },
        }
    }
}

impl Pace {
    /// The prefetch for a queue of which `started` tasks began `within` this long.
    ///
    /// It moves in powers of two, with a gap between up and down, so that it rests. Both ways at once:
    /// each change takes the consumer away and brings another, and meanwhile nothing comes.
    fn wanted(self, now: u16, started: u32, within: Duration) -> u16 {
        let rate = f64::from(started) / within.as_secs_f64().max(0.001);
        // A cast of a float saturates.
        let ahead = (rate * AHEAD.as_secs_f64()) as u16;
        let next = match ahead.saturating_mul(2) > now || ahead < now / 8 {
            true => ahead.saturating_mul(2).checked_next_power_of_two().unwrap_or(self.most),
            false => now,
        };
        next.clamp(self.slots, self.most.max(self.slots))
    }
}

impl Kept {
    /// Whether the loop is kept from its work by what attempts compute, now that another has taken
    /// this long in it.
    fn is_for_long(&mut self, took: Duration) -> bool {
        if took <= LONG {
            self.since = self.since.saturating_add(1);
            return false;
        }
        let since = std::mem::take(&mut self.since);
        self.times = if since < CLOSE { self.times.saturating_add(1) } else { 1 };
        self.times >= OFTEN || took > VERY_LONG
    }
}

impl Calm {
    /// The prefetch from now on: `wanted` at once if it is more, or if some messages `wait` here that
    /// others might have.
    fn prefetch(&mut self, now: u16, wanted: u16, some_wait: bool) -> u16 {
        self.0 = if wanted < now { self.0 + 1 } else { 0 };
        if wanted > now || some_wait || self.0 >= CALM { wanted } else { now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefetch_goes_up_at_once_and_comes_down_late_unless_somebody_waits() {
        let mut calm = Calm::default();
        assert_eq!(calm.prefetch(4, 128, false), 128);
        for _ in 0..2 {
            assert!((1..CALM).all(|_| calm.prefetch(128, 4, false) == 128));
            assert_eq!(calm.prefetch(128, 128, false), 128, "a burst");
        }
        assert_eq!(calm.prefetch(128, 4, true), 4, "long tasks among short ones");
        assert!((2..CALM).all(|_| calm.prefetch(128, 4, false) == 128));
        assert_eq!(calm.prefetch(128, 4, false), 4);
    }

    #[test]
    fn an_attempt_that_waits_for_a_processor_is_not_taken_for_a_long_one() {
        let mut kept = Kept::default();
        for _ in 0..4 {
            assert!(!kept.is_for_long(LONG * 2));
            assert!((0..CLOSE).all(|_| !kept.is_for_long(LONG)));
        }
        for _ in 1..OFTEN {
            assert!(!kept.is_for_long(LONG * 2));
            assert!((1..CLOSE).all(|_| !kept.is_for_long(LONG)));
        }
        assert!(kept.is_for_long(LONG * 2), "another, close to those before");
        assert!((0..CLOSE).all(|_| !kept.is_for_long(LONG)));
        assert!(kept.is_for_long(VERY_LONG * 2), "that was no accident");
    }

    #[test]
    fn prefetch_grows_for_short_tasks_and_returns_to_one_per_slot_for_long_ones() {
        let pace = Pace { slots: 4, most: 200 };
        let step = |now, started| pace.wanted(now, started, Duration::from_secs(1));
        assert_eq!(step(4, 2), 4, "long tasks");
        assert_eq!(step(4, 1_000), 128, "short tasks");
        assert_eq!(step(128, 10_000), 200, "never above the most");
        assert_eq!(step(200, 10_000), 200);
        assert_eq!(step(200, 10), 4, "the rush is over");
        assert_eq!(step(250, 200), 32, "less of it");
        assert_eq!(step(32, 200), 32, "at rest");
        assert_eq!(step(8, 1), 4);
        assert_eq!(step(64, 1_000), 128);
        assert_eq!(step(128, 1_000), 128, "at rest");
        assert_eq!(step(128, 400), 128, "at rest");
    }
}
