//! Between the time of the system and the calendar.

use jiff::Timestamp;
use std::time::SystemTime;

/// A time as the calendar has it; one outside its years is the nearest inside.
pub(super) fn to_timestamp(time: SystemTime) -> Timestamp {
    match Timestamp::try_from(time) {
        Ok(timestamp) => timestamp,
        Err(_) if time < SystemTime::UNIX_EPOCH => Timestamp::MIN,
        Err(_) => Timestamp::MAX,
    }
}

/// A time of the calendar as the system has it.
pub(super) fn to_system(timestamp: Timestamp) -> SystemTime {
    timestamp.into()
}
