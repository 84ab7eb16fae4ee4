//! Times in filters.

use crate::clock;
use std::time::{Duration, SystemTime};

/// A time in a filter: so long ago, or a time of the calendar.
///
/// A time of the calendar is as long as what it leaves out: `2026-11-22` is the whole day, in UTC
/// unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// So long before now.
    Ago(Duration),
    /// A time of the calendar.
    At {
        /// Its first instant.
        start: SystemTime,
        /// From its first instant to the first one behind it.
        length: Duration,
        /// As it was written.
        written: String,
    },
}

/// Times are not told apart more finely.
const INSTANT: Duration = Duration::from_micros(1);

impl When {
    /// Reads `2h`, `-2h`, `2026-11-22`, `2026-11-22T10:00`, RFC 3339.
    pub(super) fn read(text: &str) -> Option<Self> {
        let ago = humantime::parse_duration(text.strip_prefix('-').unwrap_or(text));
        ago.ok().map(Self::Ago).or_else(|| Self::read_calendar(text))
    }

    fn read_calendar(text: &str) -> Option<Self> {
        let zoned =
            text.char_indices().find(|(at, c)| *at >= 10 && matches!(c, 'Z' | 'z' | '+' | '-'));
        let (civil, zone) = text.split_at(zoned.map_or(text.len(), |(at, _)| at));
        let zone = if zone.is_empty() { "Z" } else { zone };
        let (rest, seconds) = match civil.len() {
            10 => ("T00:00:00", 86_400),
            16 => (":00", 60),
            19 => ("", 1),
            21.. => ("", 0),
            _ => return None,
        };
        let start = clock::parse_iso(&format!("{civil}{rest}{zone}"))?;
        let length = Duration::from_secs(seconds).max(INSTANT);
        Some(Self::At { start, length, written: text.to_owned() })
    }

    /// The first instant of it, when it is `now`.
    pub fn start(&self, now: SystemTime) -> SystemTime {
        match self {
            Self::Ago(ago) => now.checked_sub(*ago).unwrap_or(SystemTime::UNIX_EPOCH),
            Self::At { start, .. } => *start,
        }
    }

    /// The first instant behind it, when it is `now`.
    pub fn end(&self, now: SystemTime) -> SystemTime {
        let length = match self {
            Self::Ago(_) => INSTANT,
            Self::At { length, .. } => *length,
        };
        let start = self.start(now);
        start.checked_add(length).unwrap_or(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(text: &str) -> Option<(String, String)> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        let when = When::read(text)?;
        Some((clock::to_iso(when.start(now)), clock::to_iso(when.end(now))))
    }

    #[test]
    fn a_time_is_as_long_as_what_it_leaves_out() {
        let cases = [
            ("2h", "1970-01-01T22:00:00.000000", "1970-01-01T22:00:00.000001"),
            ("-1h30m", "1970-01-01T22:30:00.000000", "1970-01-01T22:30:00.000001"),
            ("2026-11-22", "2026-11-22T00:00:00.000000", "2026-11-23T00:00:00.000000"),
            ("2026-11-22+01:00", "2026-11-21T23:00:00.000000", "2026-11-22T23:00:00.000000"),
            ("2026-11-22T10:00", "2026-11-22T10:00:00.000000", "2026-11-22T10:01:00.000000"),
            ("2026-11-22T10:00Z", "2026-11-22T10:00:00.000000", "2026-11-22T10:01:00.000000"),
            (
                "2026-11-22T10:00:01-01:00",
                "2026-11-22T11:00:01.000000",
                "2026-11-22T11:00:02.000000",
            ),
            ("2026-11-22T10:00:01.5Z", "2026-11-22T10:00:01.500000", "2026-11-22T10:00:01.500001"),
        ];
        for (text, start, end) in cases {
            let expected = (format!("{start}+00:00"), format!("{end}+00:00"));
            assert_eq!(between(text), Some(expected), "{text}");
        }
        for text in ["6", "2026", "2026-11", "2026-13-01", "2026-11-22T10", "soon", "", "--2h"] {
            assert_eq!(between(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_longer_ago_than_time_is_began_with_it() {
        let when = When::read("18446744073709551615s").unwrap();
        assert_eq!(when.start(SystemTime::UNIX_EPOCH), SystemTime::UNIX_EPOCH);
    }
}
