//! What of a task can be changed while its worker runs: its rate and its time limits.

use super::rate::{Keyed, Rate, Turn};
use crate::clock::Clock;
use crate::task::TaskOptions;
use crate::topology::delay;
use crate::units;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tracing::warn;

/// The limits of one task, as they are now.
#[derive(Debug)]
pub(super) struct Limits {
    rate: watch::Sender<Option<Limit>>,
    /// In nanoseconds; zero is none.
    soft: AtomicU64,
    hard: AtomicU64,
    /// Whether it was said that a rate key counts for nothing here.
    has_warned: AtomicBool,
    clock: Arc<dyn Clock>,
}

/// How often a task may start.
#[derive(Debug, Clone)]
struct Limit {
    text: String,
    rate: Arc<Rate>,
}

impl Limits {
    /// Those that a task begins with.
    pub(super) fn new(options: &TaskOptions, clock: Arc<dyn Clock>) -> Self {
        let limits = Self {
            rate: watch::Sender::new(None),
            soft: AtomicU64::new(0),
            hard: AtomicU64::new(0),
            has_warned: AtomicBool::new(false),
            clock,
        };
        if let Some(per_second) = options.rate {
            limits.set_rate(per_second, units::format_rate(per_second));
        }
        limits.set_times(options.soft_limit, options.time_limit);
        limits
    }

    /// Whether it may start as often as it likes.
    pub(super) fn is_unlimited(&self) -> bool {
        self.rate.borrow().is_none()
    }

    /// Says, once, that calls have a rate key although there is no rate that it could count for.
    pub(super) fn warn_of_idle_key(&self, task: &str) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            warn!(
                task.name = %task,
                "called with a rate key, but the task has no rate: set `rate` in [tasks.\"{task}\"]"
            );
        }
    }

    /// Waits until one more may start, by the rate that is set then. Cancel safe.
    ///
    /// # Errors
    ///
    /// How long the start of a key is away that had better be waited for in the broker: here it
    /// would keep others waiting.
    pub(super) async fn start(&self, mut keyed: Option<Keyed<'_>>) -> Result<(), Duration> {
        let mut limits = self.rate.subscribe();
        loop {
            let Some(limit) = limits.borrow_and_update().clone() else { return Ok(()) };
            let Err(wait) = limit.rate.take(keyed) else { return Ok(()) };
            if let Some(keyed) = &mut keyed {
                if wait >= delay::STEP {
                    return Err(wait);
                }
                keyed.turn = Turn::Again;
            }
            tokio::select! {
                () = self.clock.sleep(wait) => {}
                // The sender is here, so this only says that another rate is set.
                _ = limits.changed() => {}
            }
        }
    }

    /// Lets it start at another rate from now on; what waits for the old one goes by the new one.
    pub(super) fn set_rate(&self, per_second: f64, text: String) {
        let rate = Rate::new(per_second, Arc::clone(&self.clock));
        self.rate.send_replace(rate.map(|rate| Limit { text, rate: Arc::new(rate) }));
    }

    /// Lets it start as often as it likes from now on.
    pub(super) fn lift_rate(&self) {
        self.rate.send_replace(None);
    }

    /// The rate, in the words in which it was set.
    pub(super) fn rate(&self) -> Option<String> {
        self.rate.borrow().as_ref().map(|limit| limit.text.clone())
    }

    /// Sets both time limits for what begins from now on.
    pub(super) fn set_times(&self, soft: Option<Duration>, hard: Option<Duration>) {
        let nanos = |limit: Option<Duration>| {
            limit.map_or(0, |limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX))
        };
        self.soft.store(nanos(soft), Ordering::Relaxed);
        self.hard.store(nanos(hard), Ordering::Relaxed);
    }

    /// How long it may run before it is asked to stop.
    pub(super) fn soft(&self) -> Option<Duration> {
        time(&self.soft)
    }

    /// How long it may run before it is stopped.
    pub(super) fn hard(&self) -> Option<Duration> {
        time(&self.hard)
    }
}

fn time(nanos: &AtomicU64) -> Option<Duration> {
    match nanos.load(Ordering::Relaxed) {
        0 => None,
        nanos => Some(Duration::from_nanos(nanos)),
    }
}

/// A rate as Celery writes it: `"10/m"`, `"5"` or 5 per second. `None` is no limit.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn read_rate(text: &str) -> Result<Option<f64>, String> {
    let text = text.trim();
    let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
    if text.is_empty() || count.trim().parse::<f64>().is_ok_and(|count| count == 0.0) {
        return Ok(None);
    }
    let rate: units::Rate = format!("{count}/{unit}").parse()?;
    Ok(Some(rate.per_second()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;
    use futures::FutureExt;
    use std::time::SystemTime;

    #[test]
    fn a_rate_is_read_as_celery_writes_it_and_shown_in_whole_numbers() {
        for (text, per_second) in [
            ("10/s", Some(10.0)),
            ("90/m", Some(1.5)),
            ("5/h", Some(5.0 / 3600.0)),
            ("7", Some(7.0)),
            ("0", None),
            ("0/m", None),
            ("", None),
        ] {
            assert_eq!(read_rate(text), Ok(per_second), "{text}");
        }
        for text in ["abc", "-1", "5/d", "nan", "inf/s", "1/", "/"] {
            assert!(read_rate(text).is_err(), "{text}");
        }
        let shown = [10.0, 1.5, 5.0 / 3600.0, 0.1].map(units::format_rate);
        assert_eq!(shown, ["10/s", "90/m", "5/h", "6/m"]);
    }

    #[test]
    fn what_waits_for_a_rate_goes_by_the_one_that_is_set_meanwhile() {
        let clock = VirtualClock::starting_at(SystemTime::UNIX_EPOCH);
        let options = TaskOptions { rate: Some(1.0), ..TaskOptions::default() };
        let limits = Limits::new(&options, Arc::new(clock));
        assert!(limits.start(None).now_or_never().is_some(), "the first of this second");
        let mut second = Box::pin(limits.start(None));
        assert!(second.as_mut().now_or_never().is_none());
        limits.lift_rate();
        assert!(second.now_or_never().is_some());
        assert!(limits.is_unlimited() && limits.rate().is_none());
        limits.set_rate(0.5, "30/m".to_owned());
        assert_eq!(limits.rate().as_deref(), Some("30/m"));
    }

    #[test]
    fn who_waits_for_a_key_waits_here_only_for_a_moment() {
        let clock = VirtualClock::starting_at(SystemTime::UNIX_EPOCH);
        let options = TaskOptions { rate: Some(10.0), ..TaskOptions::default() };
        let limits = Limits::new(&options, Arc::new(clock.clone()));
        let keyed = Some(Keyed { key: "acme", turn: Turn::First });
        for _ in 0..10 {
            assert_eq!(limits.start(keyed).now_or_never(), Some(Ok(())));
        }
        let mut next = Box::pin(limits.start(keyed));
        assert_eq!(next.as_mut().now_or_never(), None, "a tenth of a second away");
        let away = Duration::from_millis(200);
        assert_eq!(limits.start(keyed).now_or_never(), Some(Err(away)), "for the broker");
        assert_eq!(limits.start(None).now_or_never(), Some(Ok(())), "has the rate for itself");
        clock.advance(Duration::from_millis(100));
        assert_eq!(next.now_or_never(), Some(Ok(())));
    }
}
