//! Celeriac, the task runner for RabbitMQ: it speaks Celery's protocol and loses nothing.

pub mod app;
pub mod archive;
pub mod backoff;
pub mod broker;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod handler;
pub mod ids;
mod inherit;
pub mod ops;
pub mod protocol;
pub mod publisher;
pub mod results;
pub mod secret;
pub mod shutdown;
pub mod task;
pub mod telemetry;
pub mod topology;
pub mod units;
pub mod worker;
