//! Cron expressions, and what they mean when clocks are put forward or back.
//!
//! The search for a wall-clock time that matches is croner's; the way from there to an instant is
//! ours, because it is a promise:
//!
//! - An expression for *every* hour follows real time: it runs whenever a clock on the wall shows a
//!   matching time, also when it shows it twice. The gap in spring has no such times.
//! - An expression that names hours runs once for each time it names. What falls into the gap in
//!   spring runs when the gap ends; what comes twice in autumn runs the first time.

use super::instant::{to_system, to_timestamp};
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::time::SystemTime;

/// A cron expression in its time zone.
#[derive(Debug, Clone)]
pub struct Cron {
    pattern: croner::Cron,
    zone: TimeZone,
    follows_real_time: bool,
}

/// How day of month and day of week go together when an expression has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Days {
    /// A day that matches either, as cron has it.
    #[default]
    Either,
    /// A day that matches both, as Celery has it.
    Both,
}

/// Why an expression is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {advice}")]
pub struct CronError {
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub advice: String,
    /// The bytes of the expression that are wrong.
    pub part: Range<usize>,
}

/// A field of an expression, and what may stand in it.
struct Field {
    name: &'static str,
    allowed: &'static str,
}

const FIELDS: [Field; 6] = [
    Field { name: "second", allowed: "0-59" },
    Field { name: "minute", allowed: "0-59" },
    Field { name: "hour", allowed: "0-23" },
    Field { name: "day of month", allowed: "1-31, L for the last, 15W for the nearest weekday" },
    Field { name: "month", allowed: "1-12 or JAN-DEC" },
    Field { name: "day of week", allowed: "0-7 or SUN-SAT, FRI#L or 5#2 for one of the month" },
];

impl Cron {
    /// Reads an expression of five fields, or six with seconds in front.
    ///
    /// # Errors
    ///
    /// When it is none, or never matches any day.
    pub fn parse(text: &str, zone: TimeZone, days: Days) -> Result<Self, CronError> {
        let parser = parser(days);
        let pattern = match parser.parse(text) {
            Ok(pattern) => pattern,
            Err(error) => {
                check_fields(text, &parser)?;
                return Err(whole(text, error.to_string()));
            }
        };
        let every_hour = pattern.pattern.hours.values().len() == 24;
        let cron = Self { pattern, zone, follows_real_time: every_hour };
        // A leap day that has to be a given day of the week comes at least every forty years.
        let somewhere = DateTime::constant(2000, 1, 1, 0, 0, 0, 0);
        match cron.match_after(somewhere, Whether::Inclusive) {
            Some(found) if found.year() < 2100 => Ok(cron),
            _ => Err(CronError {
                problem: format!("`{text}` never comes"),
                advice: "no month has such a day".to_owned(),
                part: 0..text.len(),
            }),
        }
    }

    /// The first time after `time`.
    pub fn next_after(&self, time: SystemTime) -> Option<SystemTime> {
        let after = to_timestamp(time);
        let found = match self.follows_real_time {
            true => self.next_in_real_time(after),
            false => self.next_on_the_wall(after),
        };
        found.map(to_system)
    }

    /// What it says, in words.
    pub fn words(&self) -> String {
        let words = self.pattern.describe();
        let words = words.trim_end_matches('.');
        let pattern = &self.pattern.pattern;
        let daily = pattern.is_dom_wildcard() && pattern.is_dow_wildcard();
        match words.split_at_checked(1) {
            Some(("A", rest)) if rest.starts_with("t every ") => rest["t ".len()..].to_owned(),
            Some(("A", rest)) if daily && rest.starts_with("t ") => format!("every day a{rest}"),
            Some((first, rest)) => first.to_lowercase() + rest,
            None => words.to_owned(),
        }
    }

    /// The zone's name, unless it is UTC.
    pub fn zone(&self) -> Option<&str> {
        self.zone.iana_name().filter(|name| !matches!(*name, "UTC" | "Etc/UTC"))
    }

    /// Between two changes of the clock, wall time and real time differ by a fixed offset.
    fn next_in_real_time(&self, after: Timestamp) -> Option<Timestamp> {
        let (mut from, mut whether) = (after, Whether::Exclusive);
        loop {
            let offset = self.zone.to_offset(from);
            let change = self.zone.following(from).next().map(|change| change.timestamp());
            let wall = offset.to_datetime(from);
            let found = self.match_after(wall, whether);
            let found = found.and_then(|wall| offset.to_timestamp(wall).ok());
            match (found, change) {
                (Some(found), Some(change)) if found < change => return Some(found),
                (Some(found), None) => return Some(found),
                (_, Some(change)) => (from, whether) = (change, Whether::Inclusive),
                (None, None) => return None,
            }
        }
    }

    fn next_on_the_wall(&self, after: Timestamp) -> Option<Timestamp> {
        let mut wall = self.zone.to_datetime(after);
        loop {
            wall = self.match_after(wall, Whether::Exclusive)?;
            let instant = self.instant_of(wall)?;
            if instant > after {
                return Some(instant);
            }
        }
    }

    /// When a clock on the wall shows `wall` first; the end of the gap if it never does.
    fn instant_of(&self, wall: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok(),
            AmbiguousOffset::Gap { after, .. } => {
                // With the new offset, a time in the gap lies before the change.
                let before = after.to_timestamp(wall).ok()?;
                self.zone.following(before).next().map(|change| change.timestamp())
            }
        }
    }

    fn match_after(&self, wall: DateTime, whether: Whether) -> Option<DateTime> {
        let found = self.pattern.find_next_occurrence(&wall, whether == Whether::Inclusive).ok()?;
        // The search may keep a fraction of a second.
        found.with().subsec_nanosecond(0).build().ok()
    }
}

/// Whether a search may find the place where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whether {
    Inclusive,
    Exclusive,
}

fn parser(days: Days) -> CronParser {
    CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .dom_and_dow(days == Days::Both)
        .build()
}

/// Tries each item of each field alone, so that the one that is wrong can be pointed at.
fn check_fields(text: &str, parser: &CronParser) -> Result<(), CronError> {
    if text.trim().starts_with('@') {
        return Ok(());
    }
    let words = words_of(text);
    let fields = match words.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        count => {
            let problem = format!("a cron expression has 5 fields, or 6 with seconds, not {count}");
            let advice = "minute hour day month weekday, such as \"30 2 * * *\"".to_owned();
            return Err(CronError { problem, advice, part: 0..text.len() });
        }
    };
    for (index, (field, word)) in fields.iter().zip(&words).enumerate() {
        let mut start = word.start;
        for item in text[word.clone()].split(',') {
            let mut alone = vec!["*"; words.len()];
            alone[index] = item;
            if parser.parse(&alone.join(" ")).is_err() {
                return Err(field.error(item, start..start + item.len()));
            }
            start += item.len() + 1;
        }
    }
    Ok(())
}

impl Field {
    fn error(&self, item: &str, part: Range<usize>) -> CronError {
        let ends: Vec<u32> = item.split('-').filter_map(|end| end.parse().ok()).collect();
        if let [from, to] = ends[..]
            && from > to
        {
            return CronError {
                problem: format!("{} {item} runs backwards", self.name),
                advice: format!("allowed {}; write two ranges, separated by a comma", self.allowed),
                part,
            };
        }
        let problem = match item {
            "" => format!("a {} is missing between commas", self.name),
            item => format!("{} {item} does not exist", self.name),
        };
        CronError { problem, advice: format!("allowed {}", self.allowed), part }
    }
}

fn words_of(text: &str) -> Vec<Range<usize>> {
    let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split_whitespace().map(|word| start(word)..start(word) + word.len()).collect()
}

fn whole(text: &str, problem: String) -> CronError {
    let advice = "minute hour day month weekday, such as \"30 2 * * *\"".to_owned();
    CronError { problem, advice, part: 0..text.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{parse_iso, to_iso};

    fn cron(text: &str, zone: &str) -> Cron {
        Cron::parse(text, TimeZone::get(zone).unwrap(), Days::Either).unwrap()
    }

    /// The runs after a time, as local time with its offset.
    fn runs(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let (cron, zone) = (cron(text, zone), TimeZone::get(zone).unwrap());
        let first = parse_iso(after).unwrap();
        let times = std::iter::successors(cron.next_after(first), |at| cron.next_after(*at));
        let local = |at| to_timestamp(at).to_zoned(zone.clone());
        times.take(count).map(|at| local(at).strftime("%d. %H:%M %:z").to_string()).collect()
    }

    #[test]
    fn what_falls_into_the_gap_runs_when_it_ends() {
        assert_eq!(
            runs("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
            ["28. 02:30 +01:00", "29. 03:00 +02:00", "30. 02:30 +02:00"]
        );
        // Several in one gap are one.
        assert_eq!(
            runs("0,30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 3),
            ["29. 03:00 +02:00", "29. 03:30 +02:00", "30. 02:00 +02:00"]
        );
    }

    #[test]
    fn what_comes_twice_runs_the_first_time() {
        assert_eq!(
            runs("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["25. 02:30 +02:00", "26. 02:30 +01:00"]
        );
    }

    #[test]
    fn what_runs_every_hour_follows_real_time() {
        assert_eq!(
            runs("0 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", 3),
            ["25. 02:00 +01:00", "25. 03:00 +01:00", "25. 04:00 +01:00"]
        );
        assert_eq!(
            runs("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 3),
            ["29. 01:30 +01:00", "29. 03:00 +02:00", "29. 03:30 +02:00"]
        );
    }

    /// Samoa left out a whole day.
    #[test]
    fn a_day_that_did_not_exist_runs_at_its_end() {
        assert_eq!(
            runs("30 2 * * *", "Pacific/Apia", "2011-12-29T10:00:00Z", 3),
            ["29. 02:30 -10:00", "31. 00:00 +14:00", "31. 02:30 +14:00"]
        );
    }

    #[test]
    fn leap_days_last_days_and_nearest_weekdays_are_found() {
        let utc = |text, after| runs(text, "UTC", after, 1).remove(0);
        let next = |text: &str, after: &str| {
            let at = cron(text, "UTC").next_after(parse_iso(after).unwrap()).unwrap();
            to_iso(at)[..16].to_owned()
        };
        assert_eq!(next("0 0 29 2 *", "2026-01-01T00:00:00Z"), "2028-02-29T00:00");
        assert_eq!(next("0 0 29 2 MON", "2026-02-20T00:00:00Z"), "2026-02-23T00:00");
        assert_eq!(utc("0 0 L * *", "2026-11-25T00:00:00Z"), "30. 00:00 +00:00");
        assert_eq!(utc("0 0 15W * *", "2026-11-10T00:00:00Z"), "16. 00:00 +00:00");
        assert_eq!(utc("0 0 * * FRI#L", "2026-11-10T00:00:00Z"), "27. 00:00 +00:00");
        assert_eq!(utc("0 0 * * 5#2", "2026-11-10T00:00:00Z"), "13. 00:00 +00:00");
        assert_eq!(utc("30 0 0 * * *", "2026-11-10T00:00:00Z"), "10. 00:00 +00:00");
        assert_eq!(utc("@daily", "2026-11-10T01:00:00Z"), "11. 00:00 +00:00");
    }

    #[test]
    fn days_of_month_and_week_go_together_as_asked() {
        let first = |days| {
            let cron = Cron::parse("0 0 13 * FRI", TimeZone::UTC, days).unwrap();
            to_iso(cron.next_after(parse_iso("2026-11-25T00:00:00Z").unwrap()).unwrap())
        };
        assert!(first(Days::Either).starts_with("2026-11-27"));
        assert!(first(Days::Both).starts_with("2027-08-13"));
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        let error = |text: &str| {
            let error = Cron::parse(text, TimeZone::UTC, Days::Either).unwrap_err();
            (text[error.part.clone()].to_owned(), error.problem, error.advice)
        };
        let expect = |text, part: &str, problem: &str| {
            let found = error(text);
            assert_eq!((found.0.as_str(), found.1.as_str()), (part, problem));
        };
        expect("61 3 * * *", "61", "minute 61 does not exist");
        expect("0 3,24 * * *", "24", "hour 24 does not exist");
        expect("0 3 * FOO *", "FOO", "month FOO does not exist");
        expect("0 0 3 * * SAT-9", "SAT-9", "day of week SAT-9 does not exist");
        expect("0 22-2 * * *", "22-2", "hour 22-2 runs backwards");
        expect("*/0 * * * *", "*/0", "minute */0 does not exist");
        expect("0 0 30 2 *", "0 0 30 2 *", "`0 0 30 2 *` never comes");
        expect("0 3 * *", "0 3 * *", "a cron expression has 5 fields, or 6 with seconds, not 4");
        assert_eq!(error("61 3 * * *").2, "allowed 0-59");
    }

    #[test]
    fn an_expression_is_said_in_words() {
        let words = |text| cron(text, "UTC").words();
        assert_eq!(words("30 2 * * *"), "every day at 02:30");
        let all = ["*/5 * * * *", "0 9 * * MON-FRI", "0 0 1 1 *"].map(words);
        assert_eq!(
            all,
            [
                "every 5 minutes",
                "at 09:00, on Monday, Tuesday, Wednesday, Thursday, and Friday",
                "at 00:00, on day 1, in January"
            ]
        );
    }
}
