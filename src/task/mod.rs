//! What is declared about a task: how it retries, how long it may run, where it goes.
//!
//! Pure. Three places may say the same thing, later ones win: the task's declaration in code, the
//! configuration, the call.

mod error_kind;
mod options;
mod rate_key;
mod retry;
mod settings;
mod typed;

pub use error_kind::ErrorKind;
pub use options::{Isolation, TaskOptions};
pub use rate_key::RateKeyError;
pub(crate) use rate_key::{check_rate_key, rate_key};
pub use retry::RetryPolicy;
pub use settings::{
    Acknowledge, BackoffTable, HttpSettings, Method, PolicyLine, ProgramSettings, Reply,
    RequestBody, Retries, Source, Stdin, TaskSettings, Tasks,
};
pub use typed::{
    Argument, ArgumentError, Erased, Given, Message, Param, ReadArguments, Task, Written, dotted,
    dotted_len,
};
