//! An app without a broker: what stands in its place, and when it has come to rest.

use super::{App, AppError};
use crate::broker::{Broker, Memory};
use crate::clock::{Clock, VirtualClock};
use crate::config::Config;
use crate::handler::TaskSet;
use crate::topology::{QueueTable, Topology};
use crate::units::Count;
use crate::worker::{Journal, Worker};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A broker in memory, a clock moved by hand, and a journal of what workers run.
#[derive(Debug)]
pub(super) struct Rehearsal {
    pub(super) memory: Memory,
    /// The same broker, as all workers together consume from it.
    pub(super) lane: Memory,
    pub(super) clock: VirtualClock,
    pub(super) journal: Journal,
    slots: u32,
}

impl App {
    /// An app with the default configuration and no broker, for tests; see
    /// [`testing`](crate::testing).
    ///
    /// Everything above the broker is what it is in production. The queues are there, as if a
    /// worker had been started once: those of the configuration and those that `#[task]`s of this
    /// program name.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// #[task(name = "mail.welcome", queue = "mail")]
    /// async fn welcome(user: u64) -> anyhow::Result<()> {
    ///     anyhow::ensure!(user > 0, "no such user");
    ///     Ok(())
    /// }
    ///
    /// let app = App::in_memory();
    /// welcome(42).send(&app).await?;
    /// assert_eq!(app.sent_named("mail.welcome")[0].routing_key, "mail");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Never: the default configuration can be had.
    pub fn in_memory() -> Self {
        Self::in_memory_with(Config::default()).expect("the default configuration can be had")
    }

    /// The same with another configuration, whose `[broker]` does not matter.
    ///
    /// One task runs at a time, in the order in which messages arrive, unless `[worker]` sets
    /// `concurrency` to a number; waits between retries have no jitter.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// use celeriac::config::Config;
    /// use celeriac::topology::QueueTable;
    ///
    /// let mut config = Config::default();
    /// config.queues.insert("video", QueueTable::default());
    /// let app = App::in_memory_with(config)?;
    /// let options = SendOptions::default().queue("video");
    /// app.client().send("video.thumbnail", &("a.mp4",), &(), options).await?;
    /// assert_eq!(app.broker().depth("video").await?.expect("it is there").ready, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the configuration cannot be had: a bad pattern in `[routes]`, a result backend that
    /// this build does not have, a queue with arguments that RabbitMQ refuses.
    pub fn in_memory_with(mut config: Config) -> Result<Self, AppError> {
        for task in TaskSet::linked().distinct() {
            if let Some(queue) = &task.options().queue
                && !config.queues.is_defined(queue)
            {
                config.queues.insert(queue.clone(), QueueTable::default());
            }
        }
        let clock = VirtualClock::starting_at(whole_second(SystemTime::now()));
        let memory = Memory::new(clock.clone());
        memory.declare(&Topology::whole(&config.topology(), &config.worker.queues))?;
        let slots = config.worker.concurrency.unwrap_or(1);
        let lane = memory.in_lane(slots as usize);
        let broker = Broker::from(memory.clone());
        let journal = Journal::default();
        let rehearsal = Rehearsal { memory, lane, clock: clock.clone(), journal, slots };
        Self::on(broker, config, Arc::new(clock), Some(Arc::new(rehearsal)))
    }
}

impl Rehearsal {
    /// Lets a worker play its part here: it writes its journal, leaves nothing to chance, and takes
    /// no more than it can run.
    pub(super) fn direct(&self, mut worker: Worker) -> Worker {
        worker.broker = self.lane.clone().into();
        worker.clock = Arc::new(self.clock.counting());
        worker.journal = Some(self.journal.clone());
        worker.chance = || 0.0;
        worker.settings.concurrency = Count::from(self.slots);
        worker.settings.prefetch = Count::from(self.slots);
        worker.settings.watchdog = Duration::ZERO;
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        {
            worker.relay = None;
        }
        worker
    }

    /// Completes when nothing can go on until the clock is moved or something is sent.
    pub(super) async fn rest(&self) {
        loop {
            // Made before looking, so that no change in between is missed.
            let handed = self.memory.changed();
            let ended = self.journal.changed();
            let lain_down = self.clock.changed();
            if self.is_at_rest() {
                return;
            }
            tokio::select! {
                () = handed => {}
                () = ended => {}
                () = lain_down => {}
            }
        }
    }

    /// Lets time pass, event by event.
    pub(super) async fn pass(&self, time: Duration) {
        let end = self.clock.now() + time;
        loop {
            self.rest().await;
            match self.next_event().filter(|next| *next <= end) {
                Some(next) => self.move_to(next),
                None => break,
            }
        }
        self.move_to(end);
        self.rest().await;
    }

    /// When something is due next.
    pub(super) fn next_event(&self) -> Option<SystemTime> {
        [self.memory.next_event(), self.clock.next_wake()].into_iter().flatten().min()
    }

    pub(super) fn move_to(&self, time: SystemTime) {
        self.clock.advance_to(time);
        self.memory.tick();
    }

    /// The order matters: a delivery counts as busy before it is settled, and what a busy one sends
    /// is a change.
    fn is_at_rest(&self) -> bool {
        let asleep = self.clock.asleep();
        let (unacknowledged, changes) = self.memory.unacknowledged();
        unacknowledged <= asleep
            && self.journal.busy() <= asleep
            && self.memory.unacknowledged().1 == changes
    }
}

/// Texts of times are easier to read without fractions.
fn whole_second(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}
