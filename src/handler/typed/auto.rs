//! Finding tasks without naming them.

use super::{Definition, TaskSet};
use std::collections::BTreeSet;
use tracing::{info, warn};

/// A task that announced itself to whoever links it. `#[task]` submits one.
#[derive(Debug)]
pub struct Registration {
    define: fn() -> Definition,
    module: &'static str,
}

inventory::collect!(Registration);

impl Registration {
    /// The task that `define` gives, declared in `module`.
    pub const fn new(define: fn() -> Definition, module: &'static str) -> Self {
        Self { define, module }
    }
}

/// Every `#[task]` that is linked into this program, for who only wants to know.
pub(crate) fn linked() -> impl Iterator<Item = Definition> {
    inventory::iter::<Registration>.into_iter().map(|task| (task.define)())
}

impl TaskSet {
    /// Every `#[task]` that is linked into this program.
    ///
    /// A convenience with a trap: the linker leaves out a crate that nothing refers to, and its
    /// tasks with it. `use my_tasks as _;` is enough of a reference. What was found is logged, and
    /// that nothing was found is a warning.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// #[task(name = "mail.linked")]
    /// async fn linked() -> anyhow::Result<()> {
    ///     Ok(())
    /// }
    ///
    /// assert!(TaskSet::linked().names().contains(&"mail.linked"));
    /// ```
    pub fn linked() -> Self {
        let found: Vec<&Registration> = inventory::iter::<Registration>.into_iter().collect();
        let crates: BTreeSet<_> =
            found.iter().filter_map(|task| task.module.split("::").next()).collect();
        let crates: Vec<_> = crates.into_iter().collect();
        match found.len() {
            0 => warn!(
                "auto-registered no task: refer to the crates that have them, as in \
                 `use my_tasks as _;`, or register them by name"
            ),
            tasks => info!(tasks, crates = %crates.join(", "), "auto-registered"),
        }
        found.into_iter().map(|task| (task.define)()).collect()
    }
}
