//! What the leader is told and asked, and what it answers, with the settings of a schedule as they are
//! here. See [`crate::control::leader`].

use super::settings::ScheduleSettings;
use crate::control::leader;

/// Something for the scheduler that leads.
pub type Command = leader::Command<ScheduleSettings>;

/// What the leader says.
pub type Answer = leader::Answer<ScheduleSettings>;

/// What the leader knows.
pub type Report = leader::Report<ScheduleSettings>;

/// What the leader knows of one schedule.
pub type ScheduleReport = leader::ScheduleReport<ScheduleSettings>;

/// Everything about one schedule.
pub type Detail = leader::Detail<ScheduleSettings>;
