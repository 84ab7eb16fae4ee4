//! `[ops]`: where a running program answers for its health and its metrics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a running program answers for its health and its metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The address that serves `/livez`, `/readyz` and `/metrics`, without login. "" switches it off.
    pub listen: String,
    /// The socket that `celeriac health` asks: a path, "auto" for
    /// `/run/celeriac/<mode>.sock` or `$XDG_RUNTIME_DIR`, or "" for none.
    pub socket: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9540".to_owned(), socket: "auto".to_owned() }
    }
}
