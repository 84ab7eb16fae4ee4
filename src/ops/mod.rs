//! Health of a running program, for probes and orchestrators.

mod settings;

pub use settings::Settings;
