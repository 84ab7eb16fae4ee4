//! How often and after how long a failed task is tried again.

use crate::backoff::Backoff;
use crate::units::{self, WordOrNumber};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

/// How often a failed task is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retries {
    /// This many times after the first attempt.
    Times(u32),
    /// Until it succeeds.
    Forever,
}

impl Retries {
    /// As [`RetryPolicy::max_retries`](crate::task::RetryPolicy::max_retries) has it.
    pub fn max(self) -> Option<u32> {
        match self {
            Self::Times(times) => Some(times),
            Self::Forever => None,
        }
    }
}

impl<'de> Deserialize<'de> for Retries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrNumber {
            word: ("forever", Self::Forever),
            number: |times| Some(Self::Times(times)),
            expected: r#"a number from 0, or "forever""#,
        })
    }
}

impl Serialize for Retries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Times(times) => serializer.serialize_u32(*times),
            Self::Forever => serializer.serialize_str("forever"),
        }
    }
}

impl JsonSchema for Retries {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Retries".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "const": "forever" },
                { "type": "integer", "minimum": 0, "maximum": u32::MAX }
            ]
        })
    }
}

/// How long a failed task waits before it is tried again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackoffTable {
    /// The wait before the first retry. Default "1s".
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub first: Option<Duration>,
    /// What each further wait is multiplied by, from 1 (every wait the same). Default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0))]
    pub factor: Option<f64>,
    /// No wait is longer than this. Default "10m".
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub max: Option<Duration>,
    /// The share of each wait that chance may take away, from 0 to 1, so that tasks which failed
    /// together do not come back together. Default 0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: Option<f64>,
}

impl BackoffTable {
    /// `declared`, with what this table says instead.
    pub(super) fn over(self, declared: &Backoff) -> Backoff {
        Backoff {
            first: self.first.unwrap_or(declared.first),
            factor: self.factor.unwrap_or(declared.factor),
            max: self.max.unwrap_or(declared.max),
            jitter: self.jitter.unwrap_or(declared.jitter),
        }
    }

    /// `own`, with what it leaves out taken from `parent`.
    pub(super) fn inherit(own: Option<Self>, parent: Option<&Self>) -> Option<Self> {
        let Some(parent) = parent else { return own };
        let own = own.unwrap_or_default();
        Some(Self {
            first: own.first.or(parent.first),
            factor: own.factor.or(parent.factor),
            max: own.max.or(parent.max),
            jitter: own.jitter.or(parent.jitter),
        })
    }
}
