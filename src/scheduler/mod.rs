//! The scheduler: sends tasks when they are due. Any number run; one leads.
//!
//! An [`Entry`] says what is sent and when, an [`Agenda`] which runs are due now: both are pure. The
//! one that leads holds a message in the broker, the [`State`], of which there is one; the broker
//! hands it to the next scheduler when the connection of the leader ends. Nothing is kept anywhere
//! else, so the state survives the loss of every scheduler.

mod agenda;
mod by_hand;
mod command;
mod cron;
mod entries;
mod entry;
mod instant;
mod making;
mod metrics;
mod overlap;
mod refusal;
mod schedule;
mod seat;
mod send;
mod settings;
mod standby;
mod state;
mod status;
mod sun;
mod term;
mod told;
#[cfg(test)]
mod transitions;

pub use crate::control::Pause;
pub use agenda::{Agenda, Run, Turn};
pub use by_hand::TooMany;
pub use command::{Answer, Command, Detail, Report, ScheduleReport};
pub use cron::{Cron, CronError, Days};
pub use entries::Entries;
pub use entry::{Entry, EntryError, MissedRuns};
pub use making::{EntryErrors, Making};
pub use overlap::WhileRunning;
pub use schedule::Schedule;
pub use seat::SeatError;
pub use send::{DUE, TERM};
pub use settings::{Missed, Overlap, ScheduleSettings, Schedules, Settings, SunSettings};
pub use state::{Owed, Running, State};
pub use status::{Count, Status};
pub use sun::{Sun, SunEvent};

use crate::broker::{self, Broker, ConnectError, Deliveries};
use crate::clock::Clock;
use crate::events::{Events, Telling};
use crate::publisher::{self, Publisher};
use crate::security::Security;
use crate::shutdown::Shutdown;
use crate::task::Tasks;
use crate::topology::{self, Router, names};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use term::{Ended, Term};
use tokio::sync::watch;
use tracing::{info, warn};

/// While standing by it is looked so often whether the queue of the state still exists.
const LOOK: Duration = Duration::from_secs(10);

/// The wait before the queue of the state is looked at again after an error.
const AGAIN: Duration = Duration::from_secs(1);

/// A scheduler that is ready to run.
#[derive(Debug)]
pub struct Scheduler {
    /// Its name, as others see it.
    pub name: String,
    /// How it works.
    pub settings: Settings,
    /// The broker; its heartbeat is that of `settings`.
    pub broker: broker::Settings,
    /// How tasks are written.
    pub publisher: publisher::Settings,
    /// How tasks are signed.
    pub security: Security,
    /// Where tasks go.
    pub topology: topology::Settings,
    /// What is configured for tasks.
    pub tasks: Tasks,
    /// Where tasks go, as rules.
    pub router: Router,
    /// What it sends. Whoever has the other end may send others at any time.
    pub entries: watch::Receiver<Entries>,
    /// Where it tells monitors what it sends, if anywhere.
    pub events: Option<Events>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// What it tells about itself.
    pub status: Status,
}

/// Why a scheduler ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchedulerError {
    /// The broker cannot be reached when it starts.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The queue of the state cannot be made or used.
    #[error(transparent)]
    Seat(#[from] SeatError),
}

/// Why a scheduler stops standing in line.
enum Stood {
    Drained,
    /// The queue of the state is gone.
    NoSeat,
}

impl Scheduler {
    /// Leads or stands by until `shutdown` drains.
    ///
    /// # Errors
    ///
    /// When the broker cannot be reached at the start, or refuses the queue of the state. Later
    /// losses of the connection are repaired.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), SchedulerError> {
        let mut settings = self.broker.clone();
        settings.heartbeat = self.settings.heartbeat;
        let broker = Broker::connect_as_one(&settings, self.publisher.in_flight).await?;
        let events = self.events.clone();
        let telling = events.map(|events| Telling::start(events, &self.topology, &broker));
        let (status, name) = (self.status.clone(), self.name.clone());
        let ended = tokio::select! {
            ended = self.stand(&broker, &shutdown) => ended,
            never = standby::answer(broker.clone(), status, name) => match never {},
        };
        if let Some(telling) = telling {
            telling.end().await;
        }
        // At once, without cancelling the consumer first: what is held goes back together with its
        // consumer, so that nobody sees an empty queue that nobody consumes.
        broker.close().await;
        ended
    }

    async fn stand(&mut self, broker: &Broker, shutdown: &Shutdown) -> Result<(), SchedulerError> {
        let mut known = State::new(self.clock.now());
        loop {
            self.status.turned();
            let preparing = seat::prepare(broker, &known);
            let prepared = tokio::select! {
                () = shutdown.draining() => return Ok(()),
                prepared = preparing => prepared,
            };
            match prepared {
                Ok(()) => {}
                Err(error) if error.is_transient() => {
                    self.status.stands_by(false);
                    warn!(%error, "no place among the schedulers yet, trying again");
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let mut states = seat::queue_up(broker);
            match self.queue(broker, &mut states, &mut known, shutdown).await {
                Stood::Drained => return Ok(()),
                Stood::NoSeat => warn!("the scheduler's queue is gone, making it again"),
            }
        }
    }

    /// Stands in line, and leads whenever the turn comes.
    async fn queue(
        &mut self,
        broker: &Broker,
        states: &mut Deliveries,
        known: &mut State,
        shutdown: &Shutdown,
    ) -> Stood {
        info!(name = self.name, "standing by");
        self.status.lines_up(self.clock.now());
        let mut next = None;
        loop {
            self.status.turned();
            self.status.stands_by(states.is_consuming());
            let delivery = match next.take() {
                Some(delivery) => delivery,
                None => tokio::select! {
                    biased;
                    () = shutdown.draining() => return Stood::Drained,
                    Some(delivery) = states.next() => Box::new(delivery),
                    () = tokio::time::sleep(LOOK) => {
                        if matches!(broker.depth(names::SCHEDULER).await, Ok(None)) {
                            return Stood::NoSeat;
                        }
                        continue;
                    }
                },
            };
            if delivery.settle.is_void() {
                continue;
            }
            let mut entries = self.entries.clone();
            entries.mark_unchanged();
            let term = Term::begin(self, broker, *delivery);
            let (ended, state) = term.run(states, &mut entries, shutdown).await;
            *known = state;
            self.status.stands_by(false);
            self.status.lines_up(self.clock.now());
            match ended {
                Ended::Drained => return Stood::Drained,
                Ended::Next(delivery) => next = Some(delivery),
                Ended::Lost => {
                    warn!(term = known.term, "not leading any more, the connection is lost")
                }
                Ended::SteppedDown(error) => {
                    warn!(term = known.term, %error, "stepping down, the broker does not confirm");
                    broker.abandon();
                }
            }
        }
    }

    /// Publishes on `broker`, which is fenced.
    fn publisher(&self, broker: &Broker) -> Publisher {
        Publisher::new(
            broker.clone(),
            self.publisher.clone(),
            self.topology.clone(),
            self.tasks.clone(),
            self.router.clone(),
            Arc::clone(&self.clock),
        )
        .signing(self.security.clone())
        .telling(self.events.clone())
    }
}
