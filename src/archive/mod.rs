//! The archive: where messages go that are given up, whole, and from where they come back.
//!
//! It is a stream in the broker, so that reading takes nothing out. Workers publish into it what
//! they give up ([`Burial`]); queues dead-letter into it what the broker gives up. A letter never
//! changes: that it was requeued or discarded is noted by a mark behind it in the same stream, and
//! the latest mark counts.

mod attempt;
mod burial;
mod letter;
mod reason;

pub use attempt::AttemptRecord;
pub use burial::Burial;
pub use letter::{DeadLetter, Deed, State};
pub use reason::Reason;
