//! Testing programs that send and run tasks, without a broker and without waiting.
//!
//! [`App::in_memory`](super::App::in_memory) is an app whose broker is in memory and whose time
//! stands still. What is above the broker is what runs in production: the same codec, routing,
//! retries, delays, archive and results. A [`TestWorker`] runs what is due with
//! [`drain`](TestWorker::drain) and lets time pass with [`advance`](TestWorker::advance).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
//! use celeriac::prelude::*;
//! use celeriac::testing::TestWorker;
//! use std::time::Duration;
//!
//! #[task(name = "shop.add")]
//! async fn add(a: i64, b: i64) -> anyhow::Result<i64> {
//!     Ok(a + b)
//! }
//!
//! let day = Duration::from_secs(86_400);
//! let app = App::in_memory();
//! let sum = add(1, 2).countdown(day).delay(&app).await?;
//! assert_eq!(app.sent::<add>(), [(1, 2)]);
//!
//! let worker = TestWorker::new(&app).register::<add>();
//! let report = worker.drain().await;
//! assert_eq!(report.of::<add>().attempts(), 0);
//! worker.advance(day).await;
//! assert_eq!(report.of::<add>().attempts(), 1);
//! assert_eq!(sum.await?, 3);
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
