//! What is seen at one look: the survey of `celeriac status`, and what is failing now.

use super::super::api::Api;
use super::super::status::{Problem, Survey, problems};
use crate::app::App;
use crate::clock::{Clock, SystemClock};
use serde::Deserialize;
use std::time::{Duration, SystemTime};

/// What is seen.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) at: SystemTime,
    pub(super) survey: Survey,
    pub(super) problems: Vec<Problem>,
    /// Empty where no monitor is asked.
    pub(super) failing: Vec<Failing>,
}

/// Failures that are the same, of the last hour.
#[derive(Debug, Deserialize)]
pub(super) struct Failing {
    pub(super) title: String,
    pub(super) count: u64,
    pub(super) names: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Failures {
    items: Vec<Failing>,
}

impl Look {
    /// Asks everybody, each at most for `patience`.
    ///
    /// # Errors
    /// When the broker cannot be asked. A monitor that does not answer is among the problems.
    pub(super) async fn take(
        app: &App,
        monitor: Option<&Api>,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let failing = async {
            let recent = [("range", "1h"), ("limit", "20")];
            let found = monitor?.get::<Failures>(&["failures"], &recent).await;
            Some(found.ok()?.items)
        };
        let (survey, failing) = tokio::join!(Survey::take(app, monitor, patience), failing);
        let survey = survey?;
        let problems = problems(&survey);
        Ok(Self { at: SystemClock.now(), survey, problems, failing: failing.unwrap_or_default() })
    }
}
