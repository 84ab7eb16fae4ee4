//! Runs operations, one after the other, until the monitor stops.
//!
//! What is in hand is written down before anything is done with it, and what came of it afterwards.
//! Between the two at most [`Plan::at_once`] targets are in doubt for whoever comes after a death.

use super::super::change::micros;
use super::super::index::dead::DeadRow;
use super::super::index::judge::Judged;
use super::super::index::operations::{self, OperationRow};
use super::super::index::{IndexError, Writer};
use super::super::ingest::Source as Stream;
use super::{Action, Came, Operations, Phase, Plan};
use crate::archive::{ArchiveError, DeadLetter};
use crate::broker::RawMessage;
use crate::monitor::act::Outcome;
use crate::shutdown::Shutdown;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior};
use tracing::{info, warn};

/// So many targets are looked at ahead,
const AHEAD: usize = 100;

/// and their messages read, as long as they have no more than this together, in bytes; or one.
const HELD: usize = 8 << 20;

/// What does not go now is tried again after so long.
const LATER: Duration = Duration::from_secs(2);

/// How often it is asked whether the index has caught up with the archive.
const LOOK: Duration = Duration::from_millis(50);

/// In doubt after a death.
const IN_DOUBT: &str = "the monitor ended while it was published, so it may be out or not; see \
                        whether its task has run before it is requeued";

/// Messages by their place in the archive.
type Stock = BTreeMap<u64, (DeadLetter, RawMessage)>;

/// The monitor stops.
#[derive(Debug)]
struct Stops;

/// Why an operation does not go on.
enum Halt {
    Stops,
    /// Somebody has paused or cancelled it.
    Turned,
    Index(IndexError),
}

impl From<IndexError> for Halt {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl From<Stops> for Halt {
    fn from(_: Stops) -> Self {
        Self::Stops
    }
}

impl Operations {
    /// Runs what there is to run until `shutdown` drains; what is in hand is finished first.
    ///
    /// # Errors
    /// When the index takes no more.
    pub(in super::super) async fn run(self, shutdown: Shutdown) -> Result<(), IndexError> {
        loop {
            let next = self.0.index.read(operations::whose_turn).await?;
            let ended = match next {
                Some(row) if row.phase == Phase::Cancelled => {
                    self.finish(row, Phase::Cancelled, &shutdown).await
                }
                Some(row) => self.work(row, &shutdown).await,
                None => tokio::select! {
                    () = shutdown.draining() => Err(Halt::Stops),
                    () = self.0.wake.notified() => Ok(()),
                },
            };
            match ended {
                Ok(()) | Err(Halt::Turned) => {}
                Err(Halt::Stops) => return Ok(()),
                Err(Halt::Index(error)) => return Err(error),
            }
        }
    }

    /// Takes an operation to its end.
    async fn work(&self, row: OperationRow, shutdown: &Shutdown) -> Result<(), Halt> {
        let n = row.n;
        if !self.0.index.write(move |writer| writer.run(n)).await? {
            return Err(Halt::Turned);
        }
        info!(operation = row.id, action = row.plan.action.as_str(), from = row.place, "runs");
        self.clear_doubts(&row, shutdown).await?;
        let mut pace = pace(row.plan.rate);
        loop {
            let ahead = self.0.index.read(move |index| operations::next(index, n, AHEAD)).await?;
            let ahead = affordable(ahead);
            if ahead.is_empty() {
                return self.finish(row, Phase::Done, shutdown).await;
            }
            let mut stock = self.stock(&row.plan, &ahead, shutdown).await?;
            for (many, eligible) in groups(&ahead, row.plan.at_once()) {
                for _ in 0..eligible {
                    tokio::select! {
                        biased;
                        () = shutdown.draining() => return Err(Halt::Stops),
                        _ = pace.tick() => {}
                    }
                }
                self.connected(shutdown).await?;
                let taken = self.0.index.write(move |writer| writer.take(n, many)).await?;
                let taken = taken.ok_or(Halt::Turned)?;
                let came = self.act_on(&row, taken, &mut stock).await;
                self.0.index.write(move |writer| writer.settle(n, &came)).await?;
            }
        }
    }

    /// Makes sure that the index knows what became of every letter until now, and settles those
    /// that somebody died over. What can safely be done twice is done again.
    async fn clear_doubts(&self, row: &OperationRow, shutdown: &Shutdown) -> Result<(), Halt> {
        if !row.plan.action.needs_letters() {
            return Ok(());
        }
        self.caught_up(shutdown).await?;
        if row.hand == 0 || !row.plan.action.publishes() {
            return Ok(());
        }
        let (n, asked) = (row.n, row.clone());
        let in_hand = self.0.index.read(move |index| operations::in_hand(index, &asked)).await?;
        let settle = |(letter, judged): (Option<DeadRow>, Judged)| match judged {
            _ if letter.is_some_and(|letter| is_out(&letter, row)) => Came::Done,
            Judged::Skip(why) => Came::Skipped(why),
            judged => judged.failed(Outcome::NoAnswer, IN_DOUBT),
        };
        let came: Vec<_> = in_hand.into_iter().map(settle).collect();
        warn!(operation = row.id, letters = came.len(), "the monitor had ended in the middle");
        self.0.index.write(move |writer| writer.settle(n, &came)).await?;
        Ok(())
    }

    /// Waits until the index has read everything that is in the archive now.
    async fn caught_up(&self, shutdown: &Shutdown) -> Result<(), Halt> {
        loop {
            self.connected(shutdown).await?;
            match self.0.archive.end().await {
                Ok(None) | Err(ArchiveError::Missing(_)) => return Ok(()),
                Ok(Some(end)) => {
                    let next = |writer: &mut Writer| writer.next_offset(Stream::Dead);
                    while self.0.index.write(next).await?.is_none_or(|next| next <= end) {
                        pause(LOOK, shutdown).await?;
                    }
                    return Ok(());
                }
                Err(error) => {
                    warn!(%error, "the archive cannot be read, trying again");
                    pause(LATER, shutdown).await?;
                }
            }
        }
    }

    /// The messages of what is ahead.
    async fn stock(
        &self,
        plan: &Plan,
        ahead: &[Judged],
        shutdown: &Shutdown,
    ) -> Result<Stock, Halt> {
        let offsets: BTreeSet<u64> = ahead.iter().filter_map(Judged::offset).collect();
        if offsets.is_empty() || !plan.action.needs_letters() {
            return Ok(Stock::new());
        }
        loop {
            self.connected(shutdown).await?;
            match self.0.archive.whole(offsets.clone()).await {
                Ok(whole) => {
                    return Ok(whole.into_iter().map(|it| (it.0.offset, it)).collect());
                }
                Err(error) => {
                    warn!(%error, "the archive cannot be read, trying again");
                    pause(LATER, shutdown).await?;
                }
            }
        }
    }

    async fn connected(&self, shutdown: &Shutdown) -> Result<(), Stops> {
        while !self.0.broker.is_connected() {
            pause(LATER, shutdown).await?;
        }
        Ok(())
    }

    /// What came of each of `taken`, in their order.
    async fn act_on(&self, row: &OperationRow, taken: Vec<Judged>, stock: &mut Stock) -> Vec<Came> {
        match row.plan.action {
            Action::Revoke => self.0.actor.revoke_each(taken).await,
            action => {
                let each = taken.into_iter().map(|judged| {
                    let letter = judged.offset().and_then(|offset| stock.remove(&offset));
                    self.0.actor.give_back(action, &row.by, row.plan.to.clone(), judged, letter)
                });
                futures::future::join_all(each).await
            }
        }
    }

    /// Tells the audit how it ended, however long that takes, and then writes it down here.
    async fn finish(
        &self,
        row: OperationRow,
        phase: Phase,
        shutdown: &Shutdown,
    ) -> Result<(), Halt> {
        self.clear_doubts(&row, shutdown).await?;
        let id = row.id.clone();
        let row = self.0.index.read(move |index| operations::one(index, &id)).await?;
        let Some(row) = row else { return Ok(()) };
        let at = micros(self.0.clock.now());
        while !self.0.actor.end(&row.id, at, row.outcome(phase)).await {
            pause(LATER, shutdown).await?;
        }
        info!(
            operation = row.id,
            by = row.by,
            done = row.done,
            failed = row.failed,
            skipped = row.skipped,
            "ended: {}",
            phase.as_str()
        );
        let n = row.n;
        Ok(self.0.index.write(move |writer| writer.end(n, phase, at)).await?)
    }
}

/// Whether this operation has published it.
fn is_out(letter: &DeadRow, row: &OperationRow) -> bool {
    let is_since = letter.done.is_some_and(|done| done >= row.begun);
    letter.state == "requeued" && is_since && letter.by.as_ref() == Some(&row.by)
}

async fn pause(time: Duration, shutdown: &Shutdown) -> Result<(), Stops> {
    tokio::select! {
        biased;
        () = shutdown.draining() => Err(Stops),
        () = tokio::time::sleep(time) => Ok(()),
    }
}

fn pace(per_second: f64) -> Interval {
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second.max(1e-3)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

/// As many of `ahead` as may be held in memory together, at least one.
fn affordable(mut ahead: Vec<Judged>) -> Vec<Judged> {
    let mut held = 0;
    let many = ahead.iter().take_while(|judged| {
        held += judged.size();
        held <= HELD
    });
    let many = many.count().max(1);
    ahead.truncate(many);
    ahead
}

/// How many targets are taken together, and with how many of them something is to be done, which is
/// `at_once` but for the last.
fn groups(ahead: &[Judged], at_once: usize) -> Vec<(usize, usize)> {
    let mut groups = Vec::new();
    let (mut many, mut eligible) = (0, 0);
    for judged in ahead {
        many += 1;
        eligible += usize::from(!matches!(judged, Judged::Skip(_)));
        if eligible == at_once {
            groups.push((many, eligible));
            (many, eligible) = (0, 0);
        }
    }
    groups.extend((many > 0).then_some((many, eligible)));
    groups
}

impl Judged {
    /// Its place in the archive, if it is a letter.
    fn offset(&self) -> Option<u64> {
        match self {
            Self::Letter(row) => u64::try_from(row.offset).ok(),
            _ => None,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Letter(row) => usize::try_from(row.size).unwrap_or_default(),
            _ => 0,
        }
    }

    /// It did not go well with this one.
    pub(in super::super) fn failed(&self, outcome: Outcome, detail: impl Into<String>) -> Came {
        let target = match self {
            Self::Letter(row) => match &row.id {
                Some(id) => format!("letter {} of task {id}", row.offset),
                None => format!("letter {}", row.offset),
            },
            Self::Task { id, .. } => format!("task {id}"),
            Self::Skip(_) => String::new(),
        };
        Came::Failed { target, outcome, detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn letter(size: i64) -> Judged {
        Judged::Letter(Box::new(DeadRow { size, ..DeadRow::default() }))
    }

    #[test]
    fn what_is_passed_over_costs_no_time_and_fills_no_group() {
        let skip = || Judged::Skip("x");
        let ahead = [skip(), letter(1), letter(1), skip(), skip(), letter(1), skip()];
        assert_eq!(groups(&ahead, 2), [(3, 2), (4, 1)]);
        assert_eq!(groups(&ahead, 1), [(2, 1), (1, 1), (3, 1), (1, 0)]);
        assert_eq!(groups(&[], 1), []);
    }

    #[test]
    fn no_more_is_held_than_may_be_but_always_one() {
        let big = HELD as i64;
        assert_eq!(affordable(vec![letter(big + 1), letter(1)]).len(), 1);
        assert_eq!(affordable(vec![letter(big - 1), letter(1), letter(1)]).len(), 2);
        assert_eq!(affordable(Vec::new()).len(), 0);
    }
}
