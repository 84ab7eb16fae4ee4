//! One term: what a scheduler does from the moment it leads until it does not.
//!
//! A turn takes what is due, sends it and awaits the confirms, then writes the next state and awaits
//! its confirm, then acknowledges the state before. In this order nothing is lost; what is sent
//! twice when a leader dies in between has the same id.

use super::agenda::{Agenda, Run, Turn};
use super::command::Command;
use super::entries::Entries;
use super::overlap::WhileRunning;
use super::send::{Sent, send};
use super::state::{Owed, Running, State};
use super::status::Count;
use super::{Scheduler, told};
use crate::broker::{Broker, Deliveries, Delivery, Life, PublishError, Settle};
use crate::clock::{to_iso, until};
use crate::protocol::{Format, StoredResult};
use crate::publisher::Publisher;
use crate::shutdown::Shutdown;
use futures::{FutureExt, StreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// The state is written at least so often, which also proves that the leader can still write.
const RENEW: Duration = Duration::from_secs(10);

/// The calendar is looked at so often, because a clock may be set while we wait.
const LOOK: Duration = Duration::from_secs(1);

/// What the broker has not confirmed is sent again after this long.
const OWED_AGAIN: Duration = Duration::from_secs(5);

/// A state from further ahead than this was written by a wrong clock.
const AHEAD: Duration = Duration::from_secs(86_400);

/// So many runs are on their way at once.
const IN_FLIGHT: usize = 500;

/// How a term ends.
#[derive(Debug)]
pub(super) enum Ended {
    /// The scheduler is to stop.
    Drained,
    /// The connection, and with it the lead, is lost.
    Lost,
    /// Another term begins with this state.
    Next(Box<Delivery>),
    /// The broker does not confirm any more.
    SteppedDown(PublishError),
}

/// A scheduler that leads.
pub(super) struct Term<'a> {
    pub(super) scheduler: &'a Scheduler,
    pub(super) entries: Entries,
    pub(super) state: State,
    pub(super) agenda: Agenda,
    pub(super) since: SystemTime,
    pub(super) sent: u64,
    /// When the last run that was sent was due, by schedule.
    pub(super) last: BTreeMap<String, SystemTime>,
    pub(super) broker: Broker,
    publisher: Publisher,
    life: Life,
    /// The state message that is the lease, with its number.
    held: Option<(u64, Settle)>,
    written: Instant,
    owed_again: Instant,
    /// Ends of runs that are noted and not yet written down.
    noted: Vec<Settle>,
}

impl<'a> Term<'a> {
    /// Begins with the state that was handed over.
    pub(super) fn begin(scheduler: &'a Scheduler, broker: &Broker, delivery: Delivery) -> Self {
        let now = scheduler.clock.now();
        let mut state = State::read(&delivery.body).unwrap_or_else(|error| {
            error!(%error, "the scheduler's state cannot be read, beginning anew from now");
            State::new(now)
        });
        if state.handled > now + AHEAD {
            warn!(until = %to_iso(state.handled), "the state is from the future, beginning anew from now");
            state.handled = now;
        }
        let held = Some((state.sequence, delivery.settle));
        state.term += 1;
        state.leader.clone_from(&scheduler.name);
        let life = held.as_ref().map(|(_, settle)| settle.life()).expect("set just above");
        let broker = broker.fenced(life.generation());
        let entries = scheduler.entries.borrow().clone();
        let mut term = Self {
            scheduler,
            entries,
            agenda: Agenda::new([], now),
            state,
            since: now,
            sent: 0,
            last: BTreeMap::new(),
            publisher: scheduler.publisher(&broker),
            broker,
            life,
            held,
            written: Instant::now(),
            owed_again: Instant::now(),
            noted: Vec::new(),
        };
        term.plan(now);
        term
    }

    /// Leads until it ends.
    pub(super) async fn run(
        mut self,
        states: &mut Deliveries,
        entries: &mut watch::Receiver<Entries>,
        shutdown: &Shutdown,
    ) -> (Ended, State) {
        let ended = self.lead(states, entries, shutdown).await;
        let ended = match ended {
            Ok(ended) => ended,
            Err(PublishError::Fenced) => Ended::Lost,
            Err(error) => Ended::SteppedDown(error),
        };
        (ended, self.state)
    }

    async fn lead(
        &mut self,
        states: &mut Deliveries,
        entries: &mut watch::Receiver<Entries>,
        shutdown: &Shutdown,
    ) -> Result<Ended, PublishError> {
        // Before anything is sent: the next leader must know that there was this one.
        self.write().await?;
        info!(
            term = self.state.term, schedules = self.entries.len(),
            since = %to_iso(self.state.handled), "leading"
        );
        self.scheduler.status.began(self.state.term, self.entries.len());
        let mut commands = told::commands(&self.broker);
        let mut ends = told::ends(&self.broker);
        // Its queue must be there before anything is sent whose end is to be heard of.
        let lease = self.scheduler.settings.lease;
        let opened = tokio::time::timeout(lease, ends.opened()).await;
        opened.map_err(|_| PublishError::Unconfirmed(lease))?;
        loop {
            self.scheduler.status.turned();
            self.turn().await?;
            tokio::select! {
                biased;
                () = shutdown.draining() => {
                    self.write().await?;
                    return Ok(Ended::Drained);
                }
                () = self.life.over() => return Ok(Ended::Lost),
                state = states.next() => match state {
                    Some(state) if state.settle.life().is_same(&self.life) => {
                        self.receive(state).await?;
                    }
                    Some(state) => return Ok(Ended::Next(Box::new(state))),
                    None => return Ok(Ended::Lost),
                },
                Ok(()) = entries.changed() => {
                    let entries = entries.borrow_and_update().clone();
                    self.reload(entries).await?;
                }
                Some(command) = commands.next() => self.told(command).await?,
                Some(end) = ends.next() => {
                    self.note(end);
                    while let Some(Some(end)) = ends.next().now_or_never() {
                        self.note(end);
                    }
                    self.write().await?;
                }
                () = tokio::time::sleep(self.rest()) => {}
            }
        }
    }

    /// How long there is nothing to do.
    fn rest(&self) -> Duration {
        let now = self.scheduler.clock.now();
        let due = self.agenda.wake().map_or(LOOK, |wake| until(wake, now));
        due.min(LOOK)
    }

    /// Sends what is due, and writes down that it is.
    async fn turn(&mut self) -> Result<(), PublishError> {
        let now = self.scheduler.clock.now();
        let Turn { mut runs, missed } = self.agenda.take(now);
        for (entry, number) in &missed {
            info!(schedule = entry.name, number, "runs left out that were missed");
            self.scheduler.status.add(Count::Missed, &entry.name, *number);
        }
        runs.retain(|run| self.may_start(run, now));
        let again = self.owed(now);
        let changed = !missed.is_empty() || !runs.is_empty() || !again.is_empty();
        runs.extend(again);
        let runs = self.stop_previous(runs, now).await?;
        self.send(runs, now).await;
        self.scheduler.status.waits_for(self.agenda.wake());
        self.state.handled = self.state.handled.max(self.agenda.handled(now));
        if changed || self.written.elapsed() >= RENEW {
            self.write().await?;
        }
        Ok(())
    }

    /// What is to be tried again now.
    fn owed(&mut self, now: SystemTime) -> Vec<Run> {
        if self.state.owed.is_empty() || self.owed_again > Instant::now() {
            return Vec::new();
        }
        let owed = std::mem::take(&mut self.state.owed).into_iter();
        let runs = owed.filter_map(|owed| {
            let entry = Arc::clone(self.entries.get(&owed.schedule)?);
            let planned = entry.sent_at(owed.due);
            entry.is_worth(owed.due, now).then_some(Run { entry, due: owed.due, planned })
        });
        runs.collect()
    }

    async fn send(&mut self, runs: Vec<Run>, now: SystemTime) {
        let (term, deadline) = (self.state.term, self.scheduler.settings.lease / 2);
        let (publisher, clock) = (&self.publisher, &self.scheduler.clock);
        let sending = runs.into_iter().map(|run| async move {
            let sent = send(publisher, &run, term, deadline, &**clock).await;
            (run, sent)
        });
        let mut sending = futures::stream::iter(sending).buffer_unordered(IN_FLIGHT);
        let mut ended = Vec::new();
        while let Some(one) = sending.next().await {
            ended.push(one);
        }
        drop(sending);
        for (run, sent) in ended {
            self.settle(&run, sent, now);
        }
    }

    pub(super) fn settle(&mut self, run: &Run, sent: Sent, now: SystemTime) {
        let status = &self.scheduler.status;
        let (schedule, due) = (run.entry.name.clone(), run.due);
        match sent {
            Sent::At(at) => {
                let late = at.duration_since(run.planned).unwrap_or_default();
                debug!(schedule, id = %run.id(), due = %to_iso(due), ?late, "sent");
                status.sent(&schedule, due, late);
                self.sent += 1;
                if matches!(run.entry.while_running, WhileRunning::LeaveOut(_)) {
                    let running = Running { id: run.id(), since: now };
                    self.state.running.insert(schedule.clone(), running);
                }
                self.last.insert(schedule, due);
            }
            Sent::Unconfirmed(error) => {
                warn!(schedule, id = %run.id(), %error, "not confirmed, it will be sent again");
                status.add(Count::Unconfirmed, &schedule, 1);
                self.owed_again = Instant::now() + OWED_AGAIN;
                self.state.owed.push(Owed { schedule, due });
            }
            Sent::Never(error) => {
                error!(schedule, id = %run.id(), due = %to_iso(due), %error, "this run cannot be sent");
                self.state.running.retain(|_, running| running.id != run.id());
                status.add(Count::Failed, &schedule, 1);
            }
        }
    }

    /// Publishes the state and lets go of the one before. An error ends the term.
    pub(super) async fn write(&mut self) -> Result<(), PublishError> {
        self.state.sequence += 1;
        let message = self.state.message();
        let message = message.map_err(|error| PublishError::Refused(error.to_string()))?;
        let deadline = self.scheduler.settings.lease / 2;
        self.broker.publish(Arc::new(message), deadline).await?;
        self.written = Instant::now();
        if let Some((_, settle)) = self.held.take_if(|(number, _)| *number < self.state.sequence) {
            settle.ack_now();
        }
        self.noted.drain(..).for_each(Settle::ack_now);
        Ok(())
    }

    /// Takes the state that came, which is our own unless somebody was deposed without noticing.
    async fn receive(&mut self, delivery: Delivery) -> Result<(), PublishError> {
        match State::read(&delivery.body) {
            Ok(state) if state.term == self.state.term => {
                match state.is_before(&self.state) {
                    true => delivery.settle.ack_now(),
                    false => self.held = Some((state.sequence, delivery.settle)),
                }
                Ok(())
            }
            read => {
                let (term, by) =
                    read.map_or((0, String::new()), |state| (state.term, state.leader));
                warn!(term, by, "a state that is not ours came, writing ours again");
                // Ours may have made room for it.
                self.write().await?;
                delivery.settle.ack_now();
                Ok(())
            }
        }
    }

    pub(super) fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// How long the broker may take to confirm something.
    pub(super) fn deadline(&self) -> Duration {
        self.scheduler.settings.lease / 2
    }

    /// Goes on with other entries, from where we are.
    async fn reload(&mut self, entries: Entries) -> Result<(), PublishError> {
        // What is due by now is due by the old ones.
        self.turn().await?;
        let now = self.state.handled;
        info!(schedules = entries.len(), "schedules reloaded");
        self.entries = entries;
        self.plan(now);
        self.scheduler.status.has(self.entries.len());
        Ok(())
    }

    /// Makes the agenda anew, of what comes after the state's time.
    pub(super) fn plan(&mut self, now: SystemTime) {
        let (entries, errors) = self.entries.in_force(&self.state, now);
        for error in errors {
            warn!(%error, "an edit does not fit any more, using the file");
        }
        self.agenda = Agenda::new(entries, self.state.handled);
    }

    async fn told(&mut self, delivery: Delivery) -> Result<(), PublishError> {
        let answer = match serde_json::from_slice::<Command>(&delivery.body) {
            Ok(command) => self.obey(command).await?,
            Err(error) => super::command::Answer::Refused(format!("not a command: {error}")),
        };
        told::answer(&self.broker, &delivery, &answer, self.scheduler.settings.lease / 2).await;
        delivery.settle.ack_now();
        Ok(())
    }

    /// Notes the end of a run.
    fn note(&mut self, delivery: Delivery) {
        let format = delivery.content_type().and_then(|kind| Format::from_content_type(&kind));
        match StoredResult::decode(format.unwrap_or(Format::Json), delivery.body.clone()) {
            Ok(result) if result.state.is_ready() => {
                debug!(id = %result.task_id, state = %result.state, "a run has ended");
                self.state.running.retain(|_, running| running.id != result.task_id);
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "an unreadable result, left aside"),
        }
        self.noted.push(delivery.settle);
    }
}
