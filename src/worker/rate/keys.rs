//! The same rate for each of many keys, so that none waits for another.
//!
//! What comes first and finds no start left is told when its turn will be: behind all that were told
//! so before. Then it is published anew with that wait, its place among the deliveries is free, and
//! it comes back once, about when there is a start for it. What still waits elsewhere is not
//! overtaken by what comes first meanwhile. The turns are a guess, only the limiter decides: another
//! worker may have told its own, or the broker was away and all come back at once.

use super::Ticks;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Nobody is told to wait for longer, so that a rate which is raised is felt, and what is revoked or
/// expires is let go.
const LONGEST: Duration = Duration::from_secs(600);

/// How often what is idle is forgotten.
const SWEEP: Duration = Duration::from_secs(60);

/// And at the latest after so many starts.
const FEW: usize = 1024;

/// A call that counts for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) struct Keyed<'a> {
    pub(in crate::worker) key: &'a str,
    pub(in crate::worker) turn: Turn,
}

/// Whether it has waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum Turn {
    /// It stands behind all that wait.
    First,
    /// It has waited for its turn, which is now.
    Again,
}

/// One limiter for each key that was seen lately.
pub(super) struct Keys {
    limiter: RateLimiter<String, HashMapStateStore<String>, Ticks, NoOpMiddleware<Nanos>>,
    clock: Ticks,
    /// Between two starts.
    period: Duration,
    lines: Mutex<Lines>,
}

/// Who waits for which key.
#[derive(Debug, Default)]
struct Lines {
    by_key: HashMap<String, Line>,
    /// When what is idle was last forgotten, how many starts were asked for since, and how many may.
    swept: Duration,
    asked: usize,
    most: usize,
}

/// Until when all turns of a key are given away, by the clock: to those that came first, and to those
/// that came back and found no start all the same.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    first: Duration,
    again: Duration,
}

impl Keys {
    pub(super) fn new(quota: Quota, clock: Ticks) -> Self {
        let period = quota.replenish_interval();
        let limiter = RateLimiter::hashmap_with_clock(quota, clock.clone());
        Self { limiter, clock, period, lines: Mutex::default() }
    }

    /// Takes one start of a key, or says when it may be the turn of who asks.
    pub(super) fn take(&self, key: &str, turn: Turn) -> Result<(), Duration> {
        let now = Duration::from(self.clock.now());
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        self.forget_idle(&mut lines, now);
        let line = lines.by_key.get(key).copied().unwrap_or_default();
        let behind = match turn {
            Turn::First => line.end(),
            Turn::Again => line.again,
        };
        let mut start = behind;
        if turn == Turn::Again || behind <= now {
            let Err(not_until) = self.limiter.check_key(&key.to_owned()) else { return Ok(()) };
            start = behind.max(now + not_until.wait_time_from(now.into()));
        }
        let wait = start.saturating_sub(now);
        if wait > LONGEST {
            return Err(LONGEST.mul_f64(0.5 + 0.5 * fastrand::f64()));
        }
        let line = lines.by_key.entry(key.to_owned()).or_default();
        let end = match turn {
            Turn::First => &mut line.first,
            Turn::Again => &mut line.again,
        };
        *end = start.saturating_add(self.period);
        Err(wait)
    }

    /// Forgets the keys that have all their starts left and for which nobody waits: they are like
    /// new ones.
    fn forget_idle(&self, lines: &mut Lines, now: Duration) {
        lines.asked += 1;
        if lines.asked < lines.most.max(FEW) && now < lines.swept.saturating_add(SWEEP) {
            return;
        }
        lines.by_key.retain(|_, line| line.end() > now);
        lines.by_key.shrink_to_fit();
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        (lines.swept, lines.asked, lines.most) = (now, 0, self.limiter.len());
    }
}

impl Line {
    fn end(self) -> Duration {
        self.first.max(self.again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;
    use std::num::NonZeroU32;
    use std::sync::Arc;
    use std::time::SystemTime;

    const SECOND: Duration = Duration::from_secs(1);

    /// Keys of one start a second.
    fn keys() -> (Keys, VirtualClock) {
        let clock = VirtualClock::starting_at(SystemTime::UNIX_EPOCH);
        let quota = Quota::per_second(NonZeroU32::MIN);
        (Keys::new(quota, Ticks(Arc::new(clock.clone()))), clock)
    }

    #[test]
    fn a_key_waits_for_itself_only_and_in_order() {
        let (keys, clock) = keys();
        assert_eq!(keys.take("a", Turn::First), Ok(()));
        for seconds in 1..=3 {
            assert_eq!(keys.take("a", Turn::First), Err(SECOND * seconds), "one behind another");
        }
        assert_eq!(keys.take("b", Turn::First), Ok(()));
        clock.advance(SECOND);
        assert_eq!(keys.take("a", Turn::First), Err(SECOND * 3), "behind those who wait elsewhere");
        assert_eq!(keys.take("a", Turn::Again), Ok(()), "whose turn it is");
        clock.advance(SECOND * 4);
        assert_eq!(keys.take("a", Turn::First), Ok(()), "nobody waits any more");
    }

    #[test]
    fn who_came_back_in_vain_waits_behind_others_who_did_and_not_behind_all() {
        let (keys, clock) = keys();
        for _ in 0..100 {
            let _ = keys.take("a", Turn::First);
        }
        assert_eq!(keys.take("a", Turn::Again), Err(SECOND));
        assert_eq!(keys.take("a", Turn::Again), Err(SECOND * 2));
        clock.advance(SECOND);
        assert_eq!(keys.take("a", Turn::Again), Ok(()));
        let (lost, _) = super::tests::keys();
        assert_eq!(lost.take("a", Turn::Again), Ok(()));
        assert_eq!(lost.take("a", Turn::Again), Err(SECOND));
        assert_eq!(lost.take("a", Turn::First), Err(SECOND * 2), "behind them, too");
    }

    #[test]
    fn nobody_is_told_to_wait_for_longer_than_ten_minutes_and_not_all_until_then() {
        let (keys, clock) = keys();
        let waits: Vec<_> = (0..2_000).filter_map(|_| keys.take("a", Turn::First).err()).collect();
        assert!(waits.iter().all(|wait| *wait <= LONGEST && *wait >= SECOND));
        let (line, far) = waits.split_at(600);
        assert!(line.iter().zip(1..).all(|(wait, seconds)| *wait == SECOND * seconds));
        let early = far.iter().filter(|wait| **wait < LONGEST * 3 / 4).count();
        assert!((400..=1_000).contains(&early), "{early} of {} in the first half", far.len());
        clock.advance(LONGEST + SECOND);
        assert_eq!(keys.take("a", Turn::First), Ok(()), "who was sent away took no turn");
    }

    #[test]
    fn a_key_that_is_idle_is_forgotten_and_one_that_is_not_keeps_its_rate() {
        let (keys, clock) = keys();
        for key in 0..100_000 {
            if key % 1_000 == 0 {
                clock.advance(SECOND);
            }
            assert_eq!(keys.take(&key.to_string(), Turn::First), Ok(()));
            assert!(keys.limiter.len() <= 4 * FEW, "{} after {key}", keys.limiter.len());
        }
        let _ = (keys.take("a", Turn::First), keys.take("a", Turn::First));
        for key in 0..4 * FEW {
            let _ = keys.take(&key.to_string(), Turn::First);
        }
        assert_eq!(keys.take("a", Turn::First), Err(SECOND * 2), "it was not swept away");
        clock.advance(SWEEP);
        assert_eq!(keys.take("b", Turn::First), Ok(()));
        assert_eq!((keys.limiter.len(), keys.lines.lock().unwrap().by_key.len()), (1, 0));
    }
}
