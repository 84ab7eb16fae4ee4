//! Events: what workers and publishers tell about the life of tasks, in Celery's words.

mod switch;

pub use switch::{Switch, Turned};
