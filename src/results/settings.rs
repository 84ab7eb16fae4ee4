//! `[results]`: where the value of a finished task goes.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Where results go.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// "rpc" sends a result back to the caller through RabbitMQ, if the caller waits for one.
    /// "none" drops results.
    pub backend: Backend,
}

/// Who keeps results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Nobody.
    None,
    /// RabbitMQ: a message to the caller's own queue.
    #[default]
    Rpc,
}

impl<'de> Deserialize<'de> for Backend {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match name.as_str() {
            "none" => Ok(Self::None),
            "rpc" => Ok(Self::Rpc),
            "redis" | "postgres" => Err(serde::de::Error::custom(format!(
                r#"this version has no result backend `{name}`; supported: "rpc", "none""#
            ))),
            _ => Err(serde::de::Error::unknown_variant(&name, &["none", "rpc"])),
        }
    }
}
