//! What ran, and how it ended.

use crate::task::Task;
use crate::worker::{Ending, Journal, Run};
use std::fmt;

/// What all test workers of an app have done since it was made. It goes on growing while they work:
/// keep it and ask it again.
#[derive(Clone)]
pub struct Report {
    pub(super) journal: Journal,
}

/// What was done with the calls of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRuns {
    runs: Vec<Run>,
}

impl Report {
    /// Everything, in the order in which it ended.
    pub fn runs(&self) -> Vec<Run> {
        self.journal.runs()
    }

    /// What was done with the calls of the task of this name.
    pub fn of_named(&self, task: &str) -> TaskRuns {
        let runs = self.runs().into_iter().filter(|run| run.task == task);
        TaskRuns { runs: runs.collect() }
    }

    /// What was done with the calls of a task that the compiler knows.
    pub fn of<T: Task>(&self) -> TaskRuns {
        self.of_named(T::NAME)
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.runs()).finish()
    }
}

impl TaskRuns {
    /// Everything, in the order in which it ended.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// How each attempt ended, and what was done where none was begun.
    pub fn endings(&self) -> Vec<&Ending> {
        self.runs.iter().map(|run| &run.ending).collect()
    }

    /// How often a handler was begun.
    pub fn attempts(&self) -> usize {
        self.runs.iter().filter(|run| run.took.is_some()).count()
    }

    /// How many calls returned a value.
    pub fn succeeded(&self) -> usize {
        self.count(|ending| matches!(ending, Ending::Succeeded))
    }

    /// How many attempts failed and are tried again.
    pub fn retried(&self) -> usize {
        self.count(|ending| matches!(ending, Ending::Retried { .. }))
    }

    /// How many calls were given up and are in the archive, or were discarded by the task itself.
    pub fn given_up(&self) -> usize {
        self.count(|ending| matches!(ending, Ending::Archived { .. } | Ending::Discarded(_)))
    }

    fn count(&self, fits: impl Fn(&Ending) -> bool) -> usize {
        self.runs.iter().filter(|run| fits(&run.ending)).count()
    }
}
