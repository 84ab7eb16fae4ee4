//! `[limits]`: what a message may cost before it is refused.

use crate::protocol;
use crate::units;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a message may cost before it is refused and archived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The longest body that is read.
    #[serde(with = "units::size")]
    #[schemars(with = "String")]
    pub max_body: u64,
    /// The longest body after decompression.
    #[serde(with = "units::size")]
    #[schemars(with = "String")]
    pub max_decompressed: u64,
    /// How deeply lists and maps may be nested, from 1 to 120.
    #[schemars(range(min = 1, max = 120))]
    pub max_depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_body: 64 << 20, max_decompressed: 256 << 20, max_depth: 100 }
    }
}

impl From<&Limits> for protocol::Limits {
    fn from(limits: &Limits) -> Self {
        let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        Self {
            max_body: bytes(limits.max_body),
            max_decompressed: bytes(limits.max_decompressed),
            max_depth: bytes(limits.max_depth.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_protocol() {
        assert_eq!(protocol::Limits::from(&Limits::default()), protocol::Limits::default());
    }
}
