//! Everything that needs a broker, in one binary, so that one broker serves all of it.
//!
//! Needs RabbitMQ installed (`rabbitmq/install.sh`), or `AMQP_URL` in the environment. Tests of result
//! stores need Redis and PostgreSQL (packages redis-server and postgresql) and start their own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod both;
mod bundle;
mod consume;
mod control;
mod dead;
#[cfg(feature = "redis")]
mod django;
mod events;
mod examples;
mod faults;
mod flower;
mod hostile;
#[cfg(feature = "redis")]
mod interop;
mod look;
mod metrics;
mod migrate;
mod monitor;
#[cfg(all(feature = "postgres", feature = "sqlite"))]
mod outbox;
mod pause;
mod programs;
mod rate_keys;
mod rehearsal;
#[cfg(all(feature = "redis", feature = "postgres", feature = "sqlite"))]
mod results;
mod revoke;
mod rig;
mod scheduler;
mod signed;
mod together;
mod topology;
#[cfg(feature = "otel")]
mod traces;
mod typed;
mod unique;
mod worker;
mod workflows;

mod definitions;
mod deploy;
mod harness;
