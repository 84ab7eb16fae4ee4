//! Every change of every clock on earth in twenty years, against a model that looks at each minute.

use super::cron::{Cron, Days};
use super::instant::{to_system, to_timestamp};
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};
use std::collections::BTreeSet;

/// A change of a clock: when, from which offset to which.
type Change = (Timestamp, i32, i32);

/// What hours and minutes an expression names, so that the model need not read expressions.
struct Pattern {
    text: &'static str,
    minutes: fn(i8) -> bool,
    hours: fn(i8) -> bool,
    every_hour: bool,
}

const PATTERNS: [Pattern; 7] = [
    Pattern { text: "*/15 * * * *", minutes: |m| m % 15 == 0, hours: |_| true, every_hour: true },
    Pattern { text: "7 * * * *", minutes: |m| m == 7, hours: |_| true, every_hour: true },
    Pattern { text: "30 2 * * *", minutes: |m| m == 30, hours: |h| h == 2, every_hour: false },
    Pattern { text: "0 0 * * *", minutes: |m| m == 0, hours: |h| h == 0, every_hour: false },
    Pattern { text: "59 23 * * *", minutes: |m| m == 59, hours: |h| h == 23, every_hour: false },
    Pattern { text: "0 */2 * * *", minutes: |m| m == 0, hours: |h| h % 2 == 0, every_hour: false },
    Pattern {
        text: "0,30 1-3 * * *",
        minutes: |m| m % 30 == 0,
        hours: |h| (1..=3).contains(&h),
        every_hour: false,
    },
];

/// Each change once, with a zone that has it.
fn changes() -> Vec<(Change, TimeZone)> {
    let from: Timestamp = "2016-01-01T00:00:00Z".parse().unwrap();
    let to: Timestamp = "2036-01-01T00:00:00Z".parse().unwrap();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for name in jiff::tz::db().available() {
        let Ok(zone) = TimeZone::get(name.as_str()) else { continue };
        let mut before = zone.to_offset(from).seconds();
        for change in zone.following(from).take_while(|change| change.timestamp() < to) {
            let after = change.offset().seconds();
            let key = (change.timestamp(), before, after);
            if before != after && seen.insert(key) {
                found.push((key, zone.clone()));
            }
            before = after;
        }
    }
    found
}

/// The wall-clock minutes from `from` to `to`.
fn minutes(from: DateTime, to: DateTime) -> impl Iterator<Item = DateTime> {
    let start = from.with().second(0).subsec_nanosecond(0).build().unwrap();
    std::iter::successors(Some(start), |at| at.checked_add(1.minute()).ok())
        .take_while(move |at| *at <= to)
}

/// When a pattern runs within three hours of a change, by looking at each minute on the wall.
fn model(pattern: &Pattern, change: Change) -> BTreeSet<Timestamp> {
    let (at, before, after) = change;
    let offset = |seconds| Offset::from_seconds(seconds).unwrap();
    let (old, new) = (offset(before), offset(after));
    let (begin, end) = (at - 3.hours(), at + 3.hours());
    let walls = minutes(
        old.to_datetime(begin).min(new.to_datetime(begin)),
        old.to_datetime(end).max(new.to_datetime(end)),
    );
    let matching =
        walls.filter(|wall| (pattern.minutes)(wall.minute()) && (pattern.hours)(wall.hour()));
    let mut runs = BTreeSet::new();
    for wall in matching {
        let first = old.to_timestamp(wall).ok().filter(|instant| *instant < at);
        let second = new.to_timestamp(wall).ok().filter(|instant| *instant >= at);
        match (first, second, pattern.every_hour) {
            (Some(first), Some(second), true) => runs.extend([first, second]),
            (Some(once), _, _) | (None, Some(once), _) => runs.extend([once]),
            (None, None, true) => {}
            (None, None, false) => runs.extend([at]),
        }
    }
    runs.into_iter().filter(|run| *run > begin && *run <= end).collect()
}

fn found(pattern: &Pattern, zone: &TimeZone, at: Timestamp) -> Vec<Timestamp> {
    let cron = Cron::parse(pattern.text, zone.clone(), Days::Either).unwrap();
    let next = |after: Timestamp| cron.next_after(to_system(after)).map(to_timestamp);
    let end = at + 3.hours();
    std::iter::successors(next(at - 3.hours()), |run| next(*run))
        .take_while(|run| *run <= end)
        .collect()
}

#[test]
fn at_no_change_of_any_clock_is_a_run_skipped_or_doubled() {
    let changes = changes();
    assert!(changes.len() > 500, "only {} changes known", changes.len());
    for (change, zone) in changes {
        for pattern in &PATTERNS {
            let expected: Vec<Timestamp> = model(pattern, change).into_iter().collect();
            let found = found(pattern, &zone, change.0);
            assert_eq!(found, expected, "{} in {zone:?} at {change:?}", pattern.text);
        }
    }
}
