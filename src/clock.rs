//! Calendar time, behind a trait so that a test chooses it.
//!
//! Waiting is done with [`tokio::time`]; only what is written into messages (ETA, expiry, the time
//! of a failure) or compared with them comes from here. Text is ISO 8601, as Celery writes it.

use std::fmt;
use std::time::{Duration, SystemTime};

/// Tells the time of day.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current instant.
    fn now(&self) -> SystemTime;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
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
    fn text_without_an_offset_is_utc() {
        assert_eq!(parse_iso("2026-11-25T13:12:25"), parse_iso("2026-11-25T14:12:25+01:00"));
        assert_eq!(parse_iso("tomorrow"), None);
    }
}
