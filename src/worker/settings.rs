//! `[worker]`: what a worker consumes, and how much at once.

use crate::units::{self, Count};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a worker works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The worker's name, in logs and in each attempt's history. `%h` is the host, `%n` the
    /// program's mode, `%p` the process id.
    pub name: String,
    /// The queues to consume.
    pub queues: Vec<String>,
    /// How many tasks run at once: a number, or "auto" for the CPUs this process may use.
    pub concurrency: Count,
    /// How many messages may be held from each queue, running or next: a number, or "auto", which
    /// follows `concurrency`. Higher is faster for short tasks; lower shares long ones fairly.
    pub prefetch: Count,
    /// How long running tasks may still take after the signal to stop. Then they are cut off and go
    /// back to their queue.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub drain_timeout: Duration,
    /// How long a task that this worker does not know is put back, for a worker that may know it,
    /// before it goes to the archive. Covers rolling deploys.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub unknown_grace: Duration,
    /// How acknowledgements are gathered: fewer are cheaper, later ones repeat more tasks after a
    /// crash.
    pub acknowledge: Acknowledge,
    /// How long a queue may have messages while nothing arrives here and slots are free, before the
    /// connection is taken for dead and made anew. "0s" switches this off.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub watchdog: Duration,
    /// Whether the worker answers Celery's remote commands: `celeriac inspect` and `control`,
    /// `celery inspect` and `control`, Flower. Whoever may publish into the virtual host may then
    /// ask it for arguments of tasks, and stop it.
    pub remote_control: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "%n@%h".to_owned(),
            queues: vec!["default".to_owned()],
            concurrency: Count::Auto,
            prefetch: Count::Auto,
            drain_timeout: Duration::from_secs(30),
            unknown_grace: Duration::from_secs(30),
            acknowledge: Acknowledge::default(),
            watchdog: Duration::from_secs(60),
            remote_control: true,
        }
    }
}

/// How many finished tasks are acknowledged together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Acknowledge {
    /// At the latest after this many tasks; 1 acknowledges each by itself.
    #[schemars(range(min = 1))]
    pub every: u32,
    /// At the latest after this long.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub within: Duration,
}

impl Default for Acknowledge {
    fn default() -> Self {
        Self { every: 50, within: Duration::from_millis(5) }
    }
}
