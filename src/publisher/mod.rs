//! The one way a task enters the broker.

mod settings;

pub use settings::{Compression, Serializer, Settings};
