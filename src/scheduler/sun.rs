//! Sunrise, noon, sunset and the twilights, for a place on the earth.

use super::instant::{to_system, to_timestamp};
use chrono::NaiveDate;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::SystemTime;
use sunrise::{Coordinates, DawnType, SolarDay, SolarEvent};

/// Days that are looked at before an event is said not to come: more than the longest polar night.
const FAR: i32 = 400;

/// An event of the sun at a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sun {
    event: SunEvent,
    place: Coordinates,
}

/// What the sun does. Dawns and dusks are when it is 6 (civil), 12 (nautical) or 18 degrees
/// (astronomical) below the horizon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SunEvent {
    /// First light for the eye of an astronomer.
    DawnAstronomical,
    /// First light on the horizon at sea.
    DawnNautical,
    /// Light enough to work outside.
    DawnCivil,
    /// The upper edge comes over the horizon.
    Sunrise,
    /// Highest, on days on which it rises.
    SolarNoon,
    /// The upper edge goes under the horizon.
    Sunset,
    /// Too dark to work outside.
    DuskCivil,
    /// The horizon at sea is gone.
    DuskNautical,
    /// Full night.
    DuskAstronomical,
}

impl Sun {
    /// An event at `latitude` (-90 to 90, north is positive) and `longitude` (-180 to 180, east is
    /// positive); `None` outside these.
    pub fn new(event: SunEvent, latitude: f64, longitude: f64) -> Option<Self> {
        Coordinates::new(latitude, longitude).map(|place| Self { event, place })
    }

    /// The first time after `time`; a day without the event, as in a polar night, is passed over.
    pub fn next_after(&self, time: SystemTime) -> Option<SystemTime> {
        let after = to_timestamp(time);
        let today = tz::Offset::UTC.to_datetime(after).date();
        // A day of the sun begins up to a day before or after that of UTC.
        let days = (-2..FAR).filter_map(|day| today.checked_add(day.days()).ok());
        days.filter_map(|day| self.on(day)).find(|at| *at > after).map(to_system)
    }

    /// What it says, in words.
    pub fn words(&self) -> String {
        let event = match self.event {
            SunEvent::DawnAstronomical => "at astronomical dawn",
            SunEvent::DawnNautical => "at nautical dawn",
            SunEvent::DawnCivil => "at dawn",
            SunEvent::Sunrise => "at sunrise",
            SunEvent::SolarNoon => "when the sun is highest",
            SunEvent::Sunset => "at sunset",
            SunEvent::DuskCivil => "at dusk",
            SunEvent::DuskNautical => "at nautical dusk",
            SunEvent::DuskAstronomical => "at astronomical dusk",
        };
        format!("{event} at {}, {}", self.place.lat(), self.place.lon())
    }

    fn on(&self, day: Date) -> Option<Timestamp> {
        let date = NaiveDate::from_ymd_opt(
            i32::from(day.year()),
            day.month().unsigned_abs().into(),
            day.day().unsigned_abs().into(),
        )?;
        let day = SolarDay::new(self.place, date);
        let second = match self.event.known() {
            Some(event) => day.event_time(event)?.timestamp(),
            // Half way between two equal heights.
            None => {
                let level = |morning| SolarEvent::Elevation { elevation: 0.0, morning };
                let (rises, sets) = (day.event_time(level(true))?, day.event_time(level(false))?);
                i64::midpoint(rises.timestamp(), sets.timestamp())
            }
        };
        Timestamp::from_second(second).ok()
    }
}

impl SunEvent {
    /// The event as the library that computes it has it; it has no noon.
    fn known(self) -> Option<SolarEvent> {
        Some(match self {
            Self::DawnAstronomical => SolarEvent::Dawn(DawnType::Astronomical),
            Self::DawnNautical => SolarEvent::Dawn(DawnType::Nautical),
            Self::DawnCivil => SolarEvent::Dawn(DawnType::Civil),
            Self::Sunrise => SolarEvent::Sunrise,
            Self::SolarNoon => return None,
            Self::Sunset => SolarEvent::Sunset,
            Self::DuskCivil => SolarEvent::Dusk(DawnType::Civil),
            Self::DuskNautical => SolarEvent::Dusk(DawnType::Nautical),
            Self::DuskAstronomical => SolarEvent::Dusk(DawnType::Astronomical),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{parse_iso, to_iso};
    use std::time::Duration;

    fn next(event: SunEvent, place: (f64, f64), after: &str) -> String {
        let sun = Sun::new(event, place.0, place.1).unwrap();
        to_iso(sun.next_after(parse_iso(after).unwrap()).unwrap())
    }

    const BERLIN: (f64, f64) = (52.52, 13.405);

    /// The almanac has 06:46 and 14:57 UTC for this day.
    #[test]
    fn the_sun_rises_and_sets_within_minutes_of_the_almanac() {
        let sun = |event| Sun::new(event, BERLIN.0, BERLIN.1).unwrap();
        let near = |event, almanac: &str| {
            let almanac = parse_iso(almanac).unwrap();
            let found = sun(event).next_after(almanac - Duration::from_secs(43_200)).unwrap();
            let apart = found.duration_since(almanac).unwrap_or_else(|early| early.duration());
            assert!(apart < Duration::from_secs(240), "{event:?}: {apart:?} apart");
        };
        near(SunEvent::Sunrise, "2026-11-27T06:46:00Z");
        near(SunEvent::Sunset, "2026-11-27T14:57:00Z");
    }

    #[test]
    fn the_events_of_a_day_come_in_their_order() {
        use SunEvent::*;
        let events = [
            DawnAstronomical,
            DawnNautical,
            DawnCivil,
            Sunrise,
            SolarNoon,
            Sunset,
            DuskCivil,
            DuskNautical,
            DuskAstronomical,
        ];
        let times = events.map(|event| next(event, BERLIN, "2026-03-20T00:00:00Z"));
        assert!(times.is_sorted(), "{times:?}");
        assert!(times.iter().all(|time| time.starts_with("2026-03-20")), "{times:?}");
    }

    /// Longyearbyen: the sun sets on 25 October and comes back in February.
    #[test]
    fn days_without_the_event_are_passed_over() {
        let found = next(SunEvent::Sunrise, (78.22, 15.65), "2026-11-25T00:00:00Z");
        assert!(found.starts_with("2027-02-1"), "{found}");
    }

    /// Where the day of the sun is another day of UTC.
    #[test]
    fn every_day_has_one_sunrise_everywhere() {
        for longitude in [-179.0, -90.0, 0.0, 90.0, 179.0] {
            let sun = Sun::new(SunEvent::Sunrise, 10.0, longitude).unwrap();
            let mut at = parse_iso("2026-01-01T00:00:00Z").unwrap();
            for _ in 0..400 {
                let next = sun.next_after(at).unwrap();
                let hours = next.duration_since(at).unwrap().as_secs_f64() / 3600.0;
                assert!(hours < 24.1, "{longitude}: {hours} h");
                assert!(
                    at.duration_since(parse_iso("2026-01-02T00:00:00Z").unwrap()).is_err()
                        || hours > 23.9
                );
                at = next;
            }
        }
    }
}
