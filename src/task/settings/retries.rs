//! How often and after how long a failed task is tried again.

use crate::backoff::Backoff;
use crate::units::{self, WordOrNumber};
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
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

/// How long a failed task waits before it is tried again: a table, or the text that `#[task]` takes,
/// "10s..1h" for a wait that doubles from the first to the longest, "10s" for one that stays.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields, default)]
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

impl<'de> Deserialize<'de> for BackoffTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable)
    }
}

impl Serialize for BackoffTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// The two forms of a [`BackoffTable`].
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
pub(super) enum BackoffForm {
    /// As `#[task]` takes it.
    Text(String),
    /// In parts.
    Table(BackoffTable),
}

/// Reads both forms of a [`BackoffTable`].
struct TextOrTable;

impl<'de> Visitor<'de> for TextOrTable {
    type Value = BackoffTable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#""10s..1h", "10s", or a table such as { first = "10s", max = "1h" }"#)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<BackoffTable, E> {
        BackoffTable::of(text).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BackoffTable, A::Error> {
        BackoffTable::deserialize(MapAccessDeserializer::new(map))
    }
}

impl BackoffTable {
    /// Reads the text form.
    fn of(text: &str) -> Result<Self, String> {
        let (first, max) = text.split_once("..").unwrap_or((text, text));
        let duration = |text: &str| {
            units::parse_duration(text.trim())
                .map_err(|why| format!(r#"{why}; write "10s..1h", or "10s" for a wait that stays"#))
        };
        let (first, max) = (duration(first)?, duration(max)?);
        if first > max {
            let why = "the first wait is longer than the longest; write \"SHORTEST..LONGEST\"";
            return Err(why.to_owned());
        }
        let factor = if first == max { 1.0 } else { 2.0 };
        Ok(Self { first: Some(first), factor: Some(factor), max: Some(max), jitter: None })
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<BackoffTable, String> {
        #[derive(Deserialize)]
        struct Task {
            backoff: BackoffTable,
        }
        let task: Result<Task, _> = toml::from_str(&format!("backoff = {value}"));
        task.map(|task| task.backoff).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_backoff_is_a_table_or_what_the_attribute_takes() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let table = BackoffTable { first: seconds(10), max: seconds(3600), ..Default::default() };
        assert_eq!(read(r#"{ first = "10s", max = "1h" }"#), Ok(table.clone()));
        let doubling = BackoffTable { factor: Some(2.0), ..table };
        assert_eq!(read(r#""10s..1h""#), Ok(doubling.clone()));
        assert_eq!(read(r#""10s .. 1h""#), Ok(doubling));
        let steady =
            BackoffTable { first: seconds(10), max: seconds(10), factor: Some(1.0), jitter: None };
        assert_eq!(read(r#""10s""#), Ok(steady));
        for (wrong, said) in [
            (r#""1h..10s""#, "longer than the longest"),
            (r#""10s..soon""#, r#"write "10s..1h""#),
            ("10", r#"expected "10s..1h""#),
            (r#"{ frist = "10s" }"#, "unknown field `frist`"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }
}
