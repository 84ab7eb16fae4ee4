//! The worker: consumes queues and runs tasks.

mod settings;

pub use settings::{Acknowledge, Settings};
