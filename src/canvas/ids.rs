//! Where the ids of a workflow come from.

use crate::ids::TaskId;

/// Gives ids to tasks and groups that have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// Random ones, for a workflow that somebody sends.
    Random,
    /// The same ones each time, for what follows a task: if its message is handed out twice, what
    /// it sends has the same ids.
    Derived {
        /// The task, and what it is that it sends.
        from: String,
        /// How many ids were given.
        given: u32,
    },
}

impl Ids {
    /// Ids for what `task` sends; `purpose` tells its several occasions apart.
    pub fn derived(task: &TaskId, purpose: &str) -> Self {
        Self::Derived { from: format!("{task}/{purpose}"), given: 0 }
    }

    /// The next id.
    pub fn give(&mut self) -> TaskId {
        match self {
            Self::Random => TaskId::random(),
            Self::Derived { from, given } => {
                *given += 1;
                TaskId::derived(from, *given)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_task_sends_has_the_same_ids_each_time_and_no_others() {
        let three = |task: &str, purpose| {
            let mut ids = Ids::derived(&task.into(), purpose);
            [ids.give(), ids.give(), ids.give()]
        };
        assert_eq!(three("a", "link"), three("a", "link"));
        let all = [three("a", "link"), three("a", "replace"), three("b", "link")].concat();
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), 9);
        assert!(all.iter().all(|id| id.as_str().len() == 36));
    }
}
