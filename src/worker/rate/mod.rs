//! How often a task may start, by the clock of its worker: all of it, and for each rate key.

mod keys;

pub(super) use keys::{Keyed, Turn};

use crate::clock::Clock;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use keys::Keys;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Lets tasks start at a rate, evenly, with bursts of up to one second's worth.
pub(super) struct Rate {
    limiter: RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Nanos>>,
    keys: Keys,
}

/// Our clock as the limiter reads it.
#[derive(Debug, Clone)]
struct Ticks(Arc<dyn Clock>);

impl Rate {
    /// `None` when the rate cannot be expressed: less than once in centuries.
    pub(super) fn new(per_second: f64, clock: Arc<dyn Clock>) -> Option<Self> {
        let period = Duration::try_from_secs_f64(1.0 / per_second).ok()?;
        let burst = NonZeroU32::new(per_second.clamp(1.0, f64::from(u32::MAX)) as u32)?;
        let quota = Quota::with_period(period)?.allow_burst(burst);
        let ticks = Ticks(clock);
        let keys = Keys::new(quota, ticks.clone());
        Some(Self { limiter: RateLimiter::direct_with_clock(quota, ticks), keys })
    }

    /// Takes one start, or says how long to wait before the next try: one of those that come
    /// without a key, or of those that come with this one.
    pub(super) fn take(&self, keyed: Option<Keyed<'_>>) -> Result<(), Duration> {
        if let Some(Keyed { key, turn }) = keyed {
            return self.keys.take(key, turn);
        }
        let taken = self.limiter.check();
        taken.map_err(|not_until| not_until.wait_time_from(self.limiter.clock().now()))
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rate(..)")
    }
}

impl governor::clock::Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;
    use std::time::SystemTime;

    #[test]
    fn a_rate_is_kept_by_the_clock_that_it_was_given() {
        let clock = VirtualClock::starting_at(SystemTime::UNIX_EPOCH);
        let rate = Rate::new(2.0, Arc::new(clock.clone())).unwrap();
        assert_eq!([rate.take(None), rate.take(None)], [Ok(()); 2], "a second's worth at once");
        let half = Duration::from_millis(500);
        assert_eq!(rate.take(None), Err(half));
        clock.advance(half);
        assert_eq!(rate.take(None), Ok(()));
        assert_eq!(rate.take(None), Err(half));
    }
}
