//! How long to wait before attempt number n.
//!
//! Pure: the caller brings the random number, so that a rule can be tested and a wait repeated.

use std::time::Duration;

/// An exponential backoff with a ceiling and jitter.
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    /// The wait before the first repetition.
    pub first: Duration,
    /// What each further wait is multiplied by, at least 1. With 1 every wait is `first`.
    pub factor: f64,
    /// No wait is longer than this.
    pub max: Duration,
    /// The share of the wait that chance may take away, from 0 (none) to 1 (all).
    pub jitter: f64,
}

impl Backoff {
    /// The wait before repetition number `repetition`, counted from 0.
    ///
    /// `chance` is a random number from 0 to 1.
    pub fn wait(&self, repetition: u32, chance: f64) -> Duration {
        let exponent = i32::try_from(repetition).unwrap_or(i32::MAX);
        let full = self.first.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        let capped = full.min(self.max.as_secs_f64());
        Duration::from_secs_f64(capped * (1.0 - self.jitter.clamp(0.0, 1.0) * chance))
    }

    /// [`Backoff::wait`] with a random number of its own.
    pub fn random_wait(&self, repetition: u32) -> Duration {
        self.wait(repetition, fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_until_the_ceiling_and_jitter_only_shortens_it() {
        let backoff = Backoff {
            first: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(5),
            jitter: 0.5,
        };
        let waits = [0, 1, 2, 3, 1000].map(|n| backoff.wait(n, 0.0).as_secs_f64());
        assert_eq!(waits, [1.0, 2.0, 4.0, 5.0, 5.0]);
        assert_eq!(backoff.wait(1, 1.0), Duration::from_secs(1));
    }
}
