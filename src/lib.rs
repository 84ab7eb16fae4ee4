//! Celeriac, the task runner for RabbitMQ: it speaks Celery's protocol and loses nothing.
//!
//! Tasks are functions with [`#[task]`](macro@task); a program that sends them needs an
//! [`app::App`], one that runs them registers them on a [`worker::Worker`], and both begin with
//! `use celeriac::prelude::*;`. The library takes no signal, sets no logger and owns no runtime: that is for the program, or for the `celeriac`
//! binary, whose command line is [`cli`].
//!
//! The modules are rows that only look down, from [`cli`] to [`clock`]; `ARCHITECTURE.md` has the
//! map.

// The macros write `::celeriac`, here too.
extern crate self as celeriac;

pub mod app;
pub mod archive;
pub mod backoff;
pub mod broker;
mod bundle;
pub mod canvas;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod control;
pub mod events;
pub mod filter;
pub mod handler;
pub mod ids;
mod in_flight;
mod inherit;
mod metrics;
#[cfg(feature = "monitor")]
pub mod monitor;
/// Without a monitor only its settings, so that a file that one shares stays readable.
#[cfg(not(feature = "monitor"))]
#[path = "monitor/settings.rs"]
pub mod monitor;
pub mod ops;
pub mod outbox;
pub mod protocol;
pub mod publisher;
pub mod results;
pub mod scheduler;
pub mod secret;
pub mod security;
pub mod shutdown;
pub mod store;
pub mod task;
pub mod telemetry;
pub mod topology;
#[cfg(feature = "otel")]
pub mod traces;
#[cfg(not(feature = "otel"))]
mod traces;
pub mod units;
pub mod worker;

pub use app::testing;

#[doc = include_str!("../docs/task-attribute.md")]
pub use celeriac_macros::task;

/// What a program that has tasks uses, in one line: `use celeriac::prelude::*;`.
pub mod prelude {
    pub use crate::app::App;
    pub use crate::client::{
        ApplyError, Client, ProgressReport, ResultError, TaskHandle, WorkflowHandle,
    };
    pub use crate::control::Reach;
    pub use crate::handler::{
        DeadLetter, Discard, Failure, Progress, State, TaskContext as Ctx, TaskSet,
    };
    pub use crate::publisher::{Call, Flow, Partial, SendError, SendOptions, group, join};
    pub use crate::task::{Message, RetryPolicy, Task};
    pub use crate::worker::Worker;
    pub use crate::{task, tasks};
    pub use celeriac_macros::Message;
    pub use tokio_util::sync::CancellationToken as CancelToken;
}

/// For the code that macros write.
#[doc(hidden)]
pub mod __private {
    pub use crate::__task_name as task_name;
    pub use crate::task::{dotted, dotted_len};
    pub use inventory;
}

/// The name of a task that was given none.
#[doc(hidden)]
#[macro_export]
macro_rules! __task_name {
    ($name:literal) => {{
        const PATH: &str = ::core::concat!(::core::module_path!(), "::", $name);
        const NAME: [u8; $crate::__private::dotted_len(PATH)] = $crate::__private::dotted(PATH);
        match ::core::str::from_utf8(&NAME) {
            ::core::result::Result::Ok(name) => name,
            ::core::result::Result::Err(_) => PATH,
        }
    }};
}

/// The README's code is compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;

/// And that of the page on testing.
#[cfg(doctest)]
#[doc = include_str!("../docs/testing.md")]
struct TestingPage;

/// And that of the guide to tasks.
#[cfg(doctest)]
#[doc = include_str!("../docs/tasks.md")]
struct GuideToTasks;

/// And that of the guide to the outbox.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../docs/outbox.md")]
struct GuideToTheOutbox;

/// So is that of the guide to schedules.
#[cfg(doctest)]
#[doc = include_str!("../docs/schedules.md")]
struct GuideToSchedules;
