//! Faults, and what is left after each: every id that was accepted is settled.
//!
//! Counted from where things landed: which ids ran (kept by the tasks themselves), what lies in the
//! archive (read from the stream with the test's own client), what waits in the queues (asked of the
//! broker). Never from the program's own counters.

#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod accounts;
mod broker;
mod garbage;
mod network;
mod process;
mod publish;
mod queue;
mod replies;
