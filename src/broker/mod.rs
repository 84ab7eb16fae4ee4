//! The connection to RabbitMQ.

mod settings;

pub use settings::{Reconnect, Settings, Tls};
