//! The transactional outbox: a task that is sent if, and only if, a transaction of a database is
//! committed.
//!
//! A program *stages* a call in the transaction in which it writes its own rows: the task becomes a
//! row of the table `celeriac_outbox`. A [`Relay`], in a worker or a scheduler, takes such rows,
//! publishes them with confirms and deletes them. A task may be sent twice, with the same id, when
//! somebody dies between the confirm and the deletion; it is never lost and never sent for a
//! transaction that was rolled back. `docs/outbox.md` is the guide, `docs/decisions/0027-outbox.md`
//! has the states and deaths.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod pace;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod relay;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod row;
mod settings;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod stage;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod status;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod store;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod table;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod wake;

pub use settings::{RelayIn, Settings};

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod built {
    pub use super::relay::{Flushed, Relay, RelayError};
    pub(crate) use super::row::NewRow;
    pub use super::stage::{InsertError, Staging};
    pub use super::status::Status;
    pub use super::store::{Backlog, Entry, Outbox, Which, Whose};
    /// The library on whose connections tasks are staged, in the version that it has to be.
    pub use sqlx;
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use built::*;
