//! The scheduler.
mod agenda;
mod cron;
mod entry;
mod instant;
mod schedule;
mod settings;
mod sun;
#[cfg(test)]
mod transitions;
pub use agenda::{Agenda, Run, Turn};
pub use cron::{Cron, CronError, Days};
pub use entry::{Entry, EntryError, MissedRuns};
pub use schedule::Schedule;
pub use settings::{Missed, Overlap, ScheduleSettings, Schedules, Settings, SunSettings};
pub use sun::{Sun, SunEvent};
