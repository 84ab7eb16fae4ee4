//! What the leader is told and asked, as JSON through a queue, and what it answers.

use super::settings::ScheduleSettings;
use crate::control::Pause;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something for the scheduler that leads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Command {
    /// Tell what you know.
    Status,
    /// Send nothing of this schedule until it is resumed.
    Pause {
        /// The schedule.
        schedule: String,
        /// Who says so.
        by: String,
        /// Why; may be empty.
        #[serde(default)]
        reason: String,
    },
    /// Go on with this schedule. What was due meanwhile is left out.
    Resume {
        /// The schedule.
        schedule: String,
    },
    /// Use these settings on top of those in the files.
    Edit {
        /// The schedule.
        schedule: String,
        /// What is different.
        settings: Box<ScheduleSettings>,
    },
    /// Use the settings of the files again.
    Reset {
        /// The schedule.
        schedule: String,
    },
}

/// What the leader says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// What it knows.
    Status(Box<Report>),
    /// It is done, and kept.
    Done,
    /// It is not done, and why.
    Refused(String),
}

/// What the leader knows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Its name.
    pub leader: String,
    /// Which leader it is, counted from 1.
    pub term: u64,
    /// Since when it leads, as ISO 8601.
    pub since: String,
    /// Runs sent in this term.
    pub sent: u64,
    /// The schedules it has, by name.
    pub schedules: BTreeMap<String, ScheduleReport>,
}

/// What the leader knows of one schedule.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScheduleReport {
    /// When it is due next, as ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// When the last run that this leader sent was due, as ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Whether it waits for the end of a run, and of which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<String>,
    /// Who stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// What is different from the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<Box<ScheduleSettings>>,
}
