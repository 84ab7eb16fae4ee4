//! The tasks of a workflow, arranged: which came of which. Pure.
//!
//! Workers tell of each task who its parent is. A task with one child goes on in it, as a chain does;
//! what has several children goes on in all of them, side by side. Which of these are a group
//! Celeriac's workers tell, and Celery's do not.

use super::index::TaskRow;
use std::collections::{BTreeMap, HashSet};

/// What follows each other, and then what goes on side by side.
#[derive(Debug, PartialEq)]
pub(super) struct Branch<'a> {
    /// The first first.
    pub(super) tasks: Vec<&'a TaskRow>,
    pub(super) forks: Vec<Branch<'a>>,
}

/// The branches that begin at tasks without a known parent: one, where all are known. Each task is in
/// one place.
pub(super) fn branches(tasks: &[TaskRow]) -> Vec<Branch<'_>> {
    let known: HashSet<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
    let mut children = BTreeMap::<&str, Vec<&TaskRow>>::new();
    let mut firsts = Vec::new();
    for task in tasks {
        match task.parent.as_deref().filter(|parent| known.contains(parent)) {
            Some(parent) => children.entry(parent).or_default().push(task),
            None => firsts.push(task),
        }
    }
    firsts.into_iter().map(|first| branch(first, &mut children)).collect()
}

/// What begins with `first`. Children are taken out of `children`, so that it ends whatever it says.
fn branch<'a>(first: &'a TaskRow, children: &mut BTreeMap<&str, Vec<&'a TaskRow>>) -> Branch<'a> {
    let mut tasks = vec![first];
    let mut last = first;
    loop {
        let next = children.remove(last.id.as_str()).unwrap_or_default();
        match next.as_slice() {
            [only] => {
                tasks.push(only);
                last = only;
            }
            _ => {
                let forks = next.into_iter().map(|child| branch(child, children)).collect();
                return Branch { tasks, forks };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::state::State;

    fn task(id: &str, parent: &str) -> TaskRow {
        let parent = (!parent.is_empty()).then(|| parent.to_owned());
        TaskRow { id: id.to_owned(), parent, ..TaskRow::of(State::Sent) }
    }

    /// `a b (c d) (e)`: a, then b, then side by side c with d, and e.
    fn text(branch: &Branch<'_>) -> String {
        let tasks = branch.tasks.iter().map(|task| task.id.clone());
        let forks = branch.forks.iter().map(|fork| format!("({})", text(fork)));
        tasks.chain(forks).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_follows_stands_behind_and_what_is_parallel_beside() {
        for (pairs, expected) in [
            (vec![("a", "")], "a"),
            (vec![("a", ""), ("b", "a"), ("c", "b")], "a b c"),
            (vec![("c", "b"), ("b", "a"), ("a", "")], "a b c"),
            (vec![("a", ""), ("b", "a"), ("c", "b"), ("d", "c"), ("e", "b")], "a b (c d) (e)"),
            (vec![("b", "gone"), ("c", "b"), ("d", "lost")], "b c | d"),
            (vec![("a", "b"), ("b", "a")], ""),
            (vec![("a", "a"), ("b", "")], "b"),
        ] {
            let tasks: Vec<_> = pairs.iter().map(|(id, parent)| task(id, parent)).collect();
            let told: Vec<_> = branches(&tasks).iter().map(text).collect();
            assert_eq!(told.join(" | "), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_long_chain_is_no_deep_tree() {
        let id = |n: u32| format!("{n:05}");
        let tasks: Vec<_> = (1..5_000)
            .map(|n| task(&id(n), &if n == 1 { String::new() } else { id(n - 1) }))
            .collect();
        let branches = branches(&tasks);
        assert_eq!((branches.len(), branches[0].tasks.len()), (1, 4_999));
    }
}
