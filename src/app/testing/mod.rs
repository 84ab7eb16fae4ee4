//! Testing programs that send and run tasks, without a broker and without waiting.
//!
//! [`App::in_memory`](super::App::in_memory) is an app whose broker is in memory and whose time
//! stands still. What is above the broker is what runs in production: the same codec, routing,
//! retries, delays, archive and results. A [`TestWorker`] runs what is due with
//! [`drain`](TestWorker::drain) and lets time pass with [`advance`](TestWorker::advance).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
//! use celeriac::app::App;
//! use celeriac::handler::{Registry, TaskContext};
//! use celeriac::publisher::SendOptions;
//! use celeriac::task::TaskOptions;
//! use celeriac::testing::TestWorker;
//! use std::time::Duration;
//!
//! async fn add(_: TaskContext, (a, b): (i64, i64)) -> anyhow::Result<i64> {
//!     Ok(a + b)
//! }
//!
//! let app = App::in_memory();
//! let tomorrow = SendOptions::default().countdown(Duration::from_secs(86_400));
//! let call = app.client().call::<i64>("shop.add", &(1, 2), &(), tomorrow).await?;
//! assert_eq!(app.sent_named("shop.add")[0].args::<(i64, i64)>()?, (1, 2));
//!
//! let mut registry = Registry::new();
//! registry.add_async("shop.add", TaskOptions::default(), add)?;
//! let worker = TestWorker::new(&app, registry);
//! assert_eq!(worker.drain().await.of("shop.add").attempts(), 0);
//! let report = worker.advance(Duration::from_secs(86_400)).await;
//! assert_eq!(report.of("shop.add").attempts(), 1);
//! assert_eq!(call.result().await?, 3);
//! # Ok(())
//! # }
//! ```
//!
//! What a handler does itself takes the time it takes: its time limits, its own timers and what it
//! waits for outside are real. What differs from RabbitMQ stands in `docs/testing.md`.

mod report;
mod sent;
mod worker;

pub use report::{Report, TaskRuns};
pub use sent::SentTask;
pub use worker::TestWorker;
