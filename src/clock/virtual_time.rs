//! Time that a test moves by hand.

use super::Clock;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};

/// A clock that stands still until it is moved. Cloning is cheap; all clones are one clock.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use celeriac::clock::{Clock, VirtualClock};
/// use std::time::{Duration, SystemTime};
///
/// let clock = VirtualClock::starting_at(SystemTime::UNIX_EPOCH);
/// let sleeping = clock.sleep(Duration::from_secs(3600));
/// clock.advance(Duration::from_secs(3600));
/// sleeping.await; // has taken no time
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct VirtualClock {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    /// Whether those who sleep by this handle are counted.
    counts: Counts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Sleepers,
    Nobody,
}

#[derive(Debug)]
struct State {
    started: SystemTime,
    now: SystemTime,
    /// Who sleeps, by when they wake and in the order in which they lay down.
    sleepers: BTreeMap<(SystemTime, u64), Sleeper>,
    lain_down: u64,
}

#[derive(Debug)]
struct Sleeper {
    wake: oneshot::Sender<()>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Waits for nothing but this clock, and is counted.
    Asleep,
    /// Is not counted, or waits for something outside as well.
    Other,
}

/// A place among the sleepers, given up when it is dropped.
#[derive(Debug)]
struct Place {
    clock: VirtualClock,
    key: (SystemTime, u64),
    woken: oneshot::Receiver<()>,
}

/// Stands for a wait beyond the end of time: a thousand years.
const FOREVER: Duration = Duration::from_secs(1000 * 365 * 86_400);

impl VirtualClock {
    /// A clock that stands at `time`.
    pub fn starting_at(time: SystemTime) -> Self {
        let state = State { started: time, now: time, sleepers: BTreeMap::new(), lain_down: 0 };
        let (state, changed) = (Arc::new(Mutex::new(state)), Arc::default());
        Self { state, changed, counts: Counts::Nobody }
    }

    /// The same clock for those of whom [`VirtualClock::asleep`] tells how many sleep.
    #[must_use]
    pub fn counting(&self) -> Self {
        Self { counts: Counts::Sleepers, ..self.clone() }
    }

    /// Moves the clock on and wakes whoever sleeps until then, the earliest first.
    pub fn advance(&self, by: Duration) {
        let now = self.now();
        self.advance_to(now.checked_add(by).unwrap_or(now));
    }

    /// Moves the clock on to `time`. It never goes back.
    pub fn advance_to(&self, time: SystemTime) {
        let mut state = self.state();
        state.now = state.now.max(time);
        let now = state.now;
        while let Some(first) = state.sleepers.first_entry()
            && first.key().0 <= now
        {
            // Whoever has stopped waiting needs no waking.
            let _ = first.remove().wake.send(());
        }
    }

    /// When the next sleeper wakes.
    pub fn next_wake(&self) -> Option<SystemTime> {
        self.state().sleepers.first_key_value().map(|((time, _), _)| *time)
    }

    /// How many sleep by a [counting](VirtualClock::counting) handle, and wait for nothing else.
    pub fn asleep(&self) -> usize {
        let state = self.state();
        state.sleepers.values().filter(|sleeper| sleeper.kind == Kind::Asleep).count()
    }

    /// Completes when somebody lies down to sleep after this call.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    fn lie_down(&self, wait: Duration, kind: Kind) -> Option<Place> {
        let mut state = self.state();
        if wait.is_zero() {
            return None;
        }
        let time = state.now.checked_add(wait).unwrap_or(state.now + FOREVER);
        state.lain_down += 1;
        let key = (time, state.lain_down);
        let (wake, woken) = oneshot::channel();
        state.sleepers.insert(key, Sleeper { wake, kind });
        drop(state);
        self.changed.notify_waiters();
        Some(Place { clock: self.clone(), key, woken })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> SystemTime {
        self.state().now
    }

    fn elapsed(&self) -> Duration {
        let state = self.state();
        super::until(state.now, state.started)
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let kind = match self.counts {
            Counts::Sleepers => Kind::Asleep,
            Counts::Nobody => Kind::Other,
        };
        let place = self.lie_down(wait, kind);
        Box::pin(async move {
            if let Some(mut place) = place {
                let _ = (&mut place.woken).await;
            }
        })
    }

    /// Ends with this clock or with the real one, whichever comes first: what is outside goes on in
    /// real time, and a test may still leap over its end.
    fn allow(&self, limit: Duration) -> BoxFuture<'static, ()> {
        let place = self.lie_down(limit, Kind::Other);
        Box::pin(async move {
            if let Some(mut place) = place {
                let _ = tokio::time::timeout(limit, &mut place.woken).await;
            }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clock.state().sleepers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_sleeper_wakes_when_its_time_has_come_and_not_before() {
        let clock = VirtualClock::starting_at(SystemTime::UNIX_EPOCH).counting();
        let mut sleeping = clock.sleep(SECOND * 2);
        clock.advance(SECOND);
        assert!((&mut sleeping).now_or_never().is_none());
        assert_eq!((clock.asleep(), clock.next_wake()), (1, Some(clock.now() + SECOND)));
        clock.advance(SECOND);
        assert_eq!(clock.asleep(), 0, "awake the moment the clock has moved");
        assert!(sleeping.now_or_never().is_some());
    }

    #[test]
    fn who_stops_waiting_leaves_no_trace() {
        let clock = VirtualClock::starting_at(SystemTime::UNIX_EPOCH);
        drop(clock.sleep(SECOND));
        assert_eq!((clock.asleep(), clock.next_wake()), (0, None));
        assert!(clock.sleep(Duration::ZERO).now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_is_outside_is_allowed_its_time_on_either_clock() {
        let clock = VirtualClock::starting_at(SystemTime::UNIX_EPOCH);
        clock.allow(Duration::from_millis(1)).await;
        let hour = clock.counting().allow(SECOND * 3600);
        assert_eq!(clock.asleep(), 0, "it does not wait for this clock alone");
        clock.advance(SECOND * 3600);
        hour.await;
    }
}
