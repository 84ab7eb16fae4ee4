//! The delay ladder: how a message waits inside RabbitMQ.
//!
//! RabbitMQ cannot delay one message, but a queue can hold every message for a fixed time and then
//! dead-letter it. In a ladder of such queues, level `k` holds for 125 ms × 2^k, and a message
//! visits exactly the levels whose bit is set in its delay, highest first. Its path travels with
//! it in the `BCC` header, one key per step, so that each step costs the broker one lookup in a
//! direct exchange; RabbitMQ removes the header before anyone receives the message.
//!
//! What is left below 125 ms is waited out by the worker, who knows the exact time from the `eta`
//! header. Everything here is pure. [`crate::broker`] declares the queues.

use super::{Destination, names};
use std::time::Duration;

/// The time a message waits at level 0.
pub const STEP: Duration = Duration::from_millis(125);

/// The number of levels. Level 31 holds for eight and a half years; RabbitMQ accepts ten.
pub const LEVELS: u32 = 32;

/// A wait of at least [`STEP`], made of whole steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// Never zero.
    steps: u32,
    remainder: Duration,
}

/// The wait is longer than the ladder: more than about 17 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a delay of {0:?} is longer than the broker can hold a message ({max:?})", max = Delay::MAX)]
pub struct DelayTooLong(pub Duration);

impl Delay {
    /// The longest wait: every level once.
    pub const MAX: Duration = Duration::from_millis(125 * u32::MAX as u64);

    /// Rounds down to whole steps; the rest is [`Delay::remainder`].
    ///
    /// Below one step there is nothing for the broker to do: `None` means "publish straight to
    /// the queue".
    ///
    /// # Errors
    /// The wait exceeds [`Delay::MAX`] by a step or more.
    pub fn new(wait: Duration) -> Result<Option<Self>, DelayTooLong> {
        let steps = wait.as_millis() / STEP.as_millis();
        let steps = u32::try_from(steps).map_err(|_| DelayTooLong(wait))?;
        let delay = Self { steps, remainder: wait.saturating_sub(STEP * steps) };
        Ok((steps > 0).then_some(delay))
    }

    /// The part of the wait that is too short for the broker, less than [`STEP`].
    pub fn remainder(&self) -> Duration {
        self.remainder
    }

    /// The levels to be visited, highest first.
    pub fn levels(&self) -> Vec<u32> {
        (0..LEVELS).rev().filter(|level| self.steps & (1 << level) != 0).collect()
    }

    /// The exchange to publish to instead of the destination's own.
    pub fn entry(&self) -> String {
        names::delay_entry(self.steps.ilog2())
    }

    /// The keys for the `BCC` header: from level to level, out of the ladder, to the destination.
    ///
    /// On its way to an exchange the message keeps the destination's routing key as its own.
    pub fn bcc(&self, destination: &Destination) -> Vec<String> {
        let levels = self.levels();
        let hops = levels.windows(2).map(|pair| names::delay_hop(pair[0], pair[1]));
        let leave = levels.last().map(|&lowest| names::delay_leave(lowest));
        hops.chain(leave).chain([destination.exit_key()]).collect()
    }
}

/// How long a message waits at `level`.
pub fn level_wait(level: u32) -> Duration {
    STEP * (1 << level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn levels(wait: Duration) -> Vec<u32> {
        Delay::new(wait).unwrap().map(|delay| delay.levels()).unwrap_or_default()
    }

    #[test]
    fn a_wait_is_the_sum_of_its_levels() {
        let cases: [(u64, &[u32]); 7] = [
            (0, &[]),
            (124, &[]),
            (125, &[0]),
            (1_000, &[3]),
            (5_000, &[5, 3]),
            (5_130, &[5, 3, 0]),
            (86_400_000, &[19, 17, 15, 11, 10]),
        ];
        for (millis, expected) in cases {
            assert_eq!(levels(Duration::from_millis(millis)), expected, "{millis} ms");
        }
    }

    #[test]
    fn seventeen_years_is_the_longest_wait() {
        assert_eq!(levels(Delay::MAX).len(), 32);
        let too_long = Delay::MAX + STEP;
        assert_eq!(Delay::new(too_long), Err(DelayTooLong(too_long)));
    }

    #[test]
    fn the_path_leads_down_and_out_to_the_queue_or_the_exchange() {
        let delay = Delay::new(Duration::from_millis(5_125)).unwrap().unwrap();
        assert_eq!(delay.entry(), "celeriac.delay.in.5");
        let queue = Destination::queue("celeriac", "mail");
        assert_eq!(delay.bcc(&queue), ["5>3", "3>0", "0>out", "out:mail"]);
        let exchange = Destination::exchange("video", "video.hd");
        assert_eq!(delay.bcc(&exchange), ["5>3", "3>0", "0>out", "out>video"]);
    }

    proptest! {
        #[test]
        fn levels_and_remainder_make_the_wait(millis in 125_u64..=125 * u64::from(u32::MAX)) {
            let wait = Duration::from_millis(millis);
            let delay = Delay::new(wait).unwrap().unwrap();
            let waited: Duration = delay.levels().into_iter().map(level_wait).sum();
            prop_assert_eq!(waited + delay.remainder(), wait);
            prop_assert!(delay.remainder() < STEP);
        }

        #[test]
        fn every_step_of_the_path_starts_where_the_last_one_ended(steps in 1_u32..) {
            let delay = Delay::new(STEP * steps).unwrap().unwrap();
            let mut at = delay.entry().replace("celeriac.delay.in.", "");
            let mut path = delay.bcc(&Destination::queue("celeriac", "q"));
            prop_assert_eq!(path.pop(), Some("out:q".to_owned()));
            for key in path {
                let (from, to) = key.split_once('>').unwrap();
                prop_assert_eq!(&at, from);
                at = to.to_owned();
            }
            prop_assert_eq!(at, "out");
        }
    }
}
