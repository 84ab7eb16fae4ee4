//! Schedulers: who leads, what is sent when the leader is lost, and what a person can do.
//!
//! The real program, several of it at once. What was sent is counted in the queue it was sent to, with
//! the test's own client, never from the program's own counters.

#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod cluster;
mod failover;
mod overlap;
mod people;
mod runs;
mod team;
