//! What an operation would be about, before it begins.

use super::super::index::judge::{Addressed, Judged, judge};
use super::super::index::select::{FIELDS, Selection, letters};
use super::super::index::{IndexError, dead, tasks};
use super::{Plan, Source};
use crate::archive::Filter;
use crate::filter::{self, FilterError};
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// An operation is about so many at most.
pub(in super::super) const MOST: usize = 100_000;

/// So many are shown beforehand.
const SAMPLE: usize = 10;

/// What an operation would be about.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in super::super) struct Survey {
    /// Which ones, the oldest first.
    pub(in super::super) keys: Vec<i64>,
    /// With so many something can be done.
    pub(in super::super) eligible: usize,
    /// With the others nothing is done, and why.
    pub(in super::super) skipped: BTreeMap<&'static str, usize>,
    /// Some of those with which something can be done.
    pub(in super::super) sample: Vec<Sample>,
    /// How many go to each queue.
    pub(in super::super) queues: BTreeMap<String, usize>,
    /// There are more than are counted here.
    pub(in super::super) is_more: bool,
}

/// One of those that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(in super::super) struct Sample {
    /// Its place in the archive, if it is a letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) offset: Option<i64>,
    pub(in super::super) id: Option<String>,
    pub(in super::super) task: Option<String>,
    pub(in super::super) queue: Option<String>,
    pub(in super::super) error: Option<String>,
}

/// What a filter selects, read.
#[derive(Debug)]
pub(in super::super) enum Chosen {
    Letters(Filter),
    Tasks(Selection),
}

impl Chosen {
    /// Reads the filter of a plan.
    ///
    /// # Errors
    /// When it is none.
    pub(in super::super) fn read(plan: &Plan, now: SystemTime) -> Result<Self, FilterError> {
        Ok(match plan.action.source() {
            Source::Dead => Self::Letters(Filter::parse(&plan.q, now)?),
            // All that match, however far one has to look for them.
            Source::Tasks => {
                Self::Tasks(Selection::of(&filter::parse(&plan.q, &FIELDS)?, now, u32::MAX))
            }
        })
    }
}

/// Looks at everything that `chosen` selects at `now`.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn survey(
    index: &Connection,
    plan: &Plan,
    chosen: &Chosen,
    now: SystemTime,
) -> Result<Survey, IndexError> {
    let mut keys = match chosen {
        Chosen::Letters(filter) => {
            let (condition, parameters) = letters::condition(filter, now);
            dead::keys(index, (&condition, parameters), MOST + 1)?
        }
        Chosen::Tasks(selection) => {
            let condition = (selection.condition.as_str(), selection.parameters.clone());
            tasks::keys(index, condition, MOST + 1)?
        }
    };
    let is_more = keys.len() > MOST;
    keys.truncate(MOST);
    let addressed = if plan.to.is_some() { Addressed::Yes } else { Addressed::No };
    let mut survey = Survey { is_more, ..Survey::default() };
    for key in &keys {
        survey.count(judge(index, plan.action, addressed, *key)?, plan);
    }
    Ok(Survey { keys, ..survey })
}

impl Survey {
    fn count(&mut self, judged: Judged, plan: &Plan) {
        let sample = match judged {
            Judged::Skip(why) => {
                *self.skipped.entry(why).or_default() += 1;
                return;
            }
            Judged::Letter(row) => Sample {
                offset: Some(row.offset),
                id: row.id,
                task: row.task,
                queue: row.queue,
                error: row.error,
            },
            Judged::Task { id, name } => {
                Sample { offset: None, id: Some(id), task: name, queue: None, error: None }
            }
        };
        self.eligible += 1;
        let queue = plan.to.as_ref().or(sample.queue.as_ref()).filter(|_| plan.action.publishes());
        if let Some(queue) = queue {
            *self.queues.entry(queue.clone()).or_default() += 1;
        }
        if self.sample.len() < SAMPLE {
            self.sample.push(sample);
        }
    }
}
