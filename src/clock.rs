//! Calendar time, behind a trait so that a test chooses it.
//!
//! What is written into messages (ETA, expiry, the time of a failure) or compared with them comes
//! from here, and so does every wait until such a time: a [`VirtualClock`] has no other hands than
//! the test's. Waits for a connection, a confirm or a closing channel are no calendar time; they
//! stay with [`tokio::time`]. Text is ISO 8601, as Celery writes it.

mod logical;
mod virtual_time;

pub use logical::LogicalClock;
pub use virtual_time::VirtualClock;

use futures::future::BoxFuture;
use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// Tells the time of day, and waits for it.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current instant.
    fn now(&self) -> SystemTime;

    /// How long this clock has been going: it never goes back, as the time of day may.
    fn elapsed(&self) -> Duration;

    /// Completes when `wait` has passed on this clock, from now. Cancel safe.
    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()>;

    /// Completes when something outside, which this clock does not move, has been given `limit`: a
    /// handler that runs, a store that does not answer. Cancel safe.
    fn allow(&self, limit: Duration) -> BoxFuture<'static, ()> {
        self.sleep(limit)
    }

    /// Completes at `time` by this clock; at once when it is past. Cancel safe.
    fn sleep_until(&self, time: SystemTime) -> BoxFuture<'static, ()> {
        self.sleep(until(time, self.now()))
    }
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn elapsed(&self) -> Duration {
        static STARTED: OnceLock<Instant> = OnceLock::new();
        STARTED.get_or_init(Instant::now).elapsed()
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(wait))
    }
}

/// `time` as ISO 8601 in UTC with microseconds, the form Celery puts into `eta` and `expires`.
///
/// A time outside the years 1 to 9999 is shown as the nearest one inside.
pub fn to_iso(time: SystemTime) -> String {
    let timestamp = match jiff::Timestamp::try_from(time) {
        Ok(timestamp) => timestamp,
        Err(_) if time < SystemTime::UNIX_EPOCH => jiff::Timestamp::MIN,
        Err(_) => jiff::Timestamp::MAX,
    };
    format!("{}", timestamp.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00"))
}

/// Reads ISO 8601. Text without an offset is UTC, as Celery's workers read it.
///
/// `None` when the text is no date and time.
pub fn parse_iso(text: &str) -> Option<SystemTime> {
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(timestamp.into());
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().into())
}

/// How far `time` lies after `now`; zero when it is past.
pub fn until(time: SystemTime, now: SystemTime) -> Duration {
    time.duration_since(now).unwrap_or_default()
}

/// Microseconds from the start of 1970 to `time`; 0 for what is before.
pub(crate) fn micros(time: SystemTime) -> i64 {
    micros_in(until(time, SystemTime::UNIX_EPOCH))
}

/// The time so many microseconds after the start of 1970; below 0 that start.
pub(crate) fn time_of(micros: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// How many microseconds a time is long.
pub(crate) fn micros_in(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Times as ISO 8601 in UTC, for `#[serde(with)]`.
pub(crate) mod iso {
    use super::{SystemTime, parse_iso, to_iso};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&to_iso(*time))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(from)?;
        parse_iso(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no time")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_to_the_microsecond() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_612_345_678_901);
        assert_eq!(to_iso(time), "2026-11-25T13:12:25.678901+00:00");
        assert_eq!(parse_iso(&to_iso(time)), Some(time));
    }

    #[test]
    fn microseconds_begin_in_1970() {
        let back = |count| micros(time_of(count));
        assert_eq!([0, 1, 1_795_612_345_678_901].map(back), [0, 1, 1_795_612_345_678_901]);
        assert_eq!(micros(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert_eq!((time_of(-1), micros_in(Duration::MAX)), (SystemTime::UNIX_EPOCH, i64::MAX));
    }

    #[test]
    fn text_without_an_offset_is_utc() {
        assert_eq!(parse_iso("2026-11-25T13:12:25"), parse_iso("2026-11-25T14:12:25+01:00"));
        assert_eq!(parse_iso("tomorrow"), None);
    }
}
