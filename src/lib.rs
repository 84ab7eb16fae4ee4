//! Celeriac, the task runner for RabbitMQ: it speaks Celery's protocol and loses nothing.
//!
//! A program that sends tasks needs [`app::App`] and the [`client::Client`] it gives; one that runs
//! tasks registers them on a [`handler::Registry`] and runs a [`worker::Worker`]. The library takes
//! no signal, sets no logger and owns no runtime: that is for the program, or for the `celeriac`
//! binary, whose command line is [`cli`].
//!
//! The modules are rows that only look down, from [`cli`] to [`clock`]; `ARCHITECTURE.md` has the
//! map.

pub mod app;
pub mod archive;
pub mod backoff;
pub mod broker;
pub mod canvas;
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
pub mod store;
pub mod task;
pub mod telemetry;
pub mod topology;
pub mod units;
pub mod worker;

pub use app::testing;

/// The README's code is compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
