//! Whether task events are wanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Turns the task events of one worker on and off while it runs. Cloning is cheap; all clones are
/// one switch. Events about the worker itself do not ask it.
#[derive(Debug, Clone, Default)]
pub struct Switch(Arc<AtomicBool>);

/// What turning a [`Switch`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// It was the other way before.
    Now,
    /// It was so already.
    Already,
}

impl Switch {
    /// A switch that begins on.
    pub fn on() -> Self {
        let switch = Self::default();
        switch.enable();
        switch
    }

    /// Wants task events from now on.
    pub fn enable(&self) -> Turned {
        self.turn(true)
    }

    /// Wants none from now on.
    pub fn disable(&self) -> Turned {
        self.turn(false)
    }

    /// Whether task events are wanted: one load, to be asked for every task.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn turn(&self, to: bool) -> Turned {
        if self.0.swap(to, Ordering::Relaxed) == to { Turned::Already } else { Turned::Now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_says_whether_anything_changed() {
        let switch = Switch::default();
        let worker = switch.clone();
        assert!(!worker.is_on());
        assert_eq!((switch.enable(), switch.enable()), (Turned::Now, Turned::Already));
        assert!(worker.is_on());
        assert_eq!((switch.disable(), switch.disable()), (Turned::Now, Turned::Already));
        assert!(!worker.is_on() && Switch::on().is_on());
    }
}
