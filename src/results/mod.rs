//! Results of tasks, on their way back to who asked.

mod settings;

pub use settings::{Backend, Settings};
