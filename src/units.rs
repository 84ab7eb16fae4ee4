//! Durations, sizes and rates as an operator writes them: `"1h30m"`, `"16 MiB"`, `"100/m"`.
//!
//! A bare number is refused, and the message says which unit was probably meant. The text before
//! the first `"; "` of a message says what is wrong, the text after it what to write instead;
//! whoever prints an error may show the two in different places.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// Reads text, or a number that is refused with advice.
struct Unit<T> {
    expected: &'static str,
    parse: fn(&str) -> Result<T, String>,
    bare: fn(&str) -> String,
}

impl<T> Visitor<'_> for Unit<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text.trim()).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        Err(E::custom((self.bare)(&number.to_string())))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        Err(E::custom((self.bare)(&number.to_string())))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        Err(E::custom((self.bare)(&number.to_string())))
    }
}

/// For `#[serde(with = ..)]` on a [`Duration`]: `"250ms"`, `"30s"`, `"1h30m"`, `"7d"`.
pub mod duration {
    use super::*;

    /// Reads a duration.
    ///
    /// # Errors
    /// If it has no unit or is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_any(Unit {
            expected: r#"a duration such as "30s" or "1h30m""#,
            parse: parse_duration,
            bare: bare_duration,
        })
    }

    /// Writes a duration the way it is read.
    ///
    /// # Errors
    /// Only if the serializer fails.
    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(*value))
    }
}

/// For `#[serde(with = ..)]` on an optional [`Duration`]; absent is `None`.
pub mod optional_duration {
    use super::*;

    /// Reads a duration.
    ///
    /// # Errors
    /// If it has no unit or is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        duration::deserialize(deserializer).map(Some)
    }

    /// Writes a duration the way it is read.
    ///
    /// # Errors
    /// Only if the serializer fails.
    pub fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(format_duration).serialize(serializer)
    }
}

/// For `#[serde(with = ..)]` on a number of bytes: `"64 KiB"`, `"10 GB"`.
pub mod size {
    use super::*;

    /// Reads a size in bytes.
    ///
    /// # Errors
    /// If it has no unit or is no size.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(Unit {
            expected: r#"a size such as "64 KiB" or "10 GB""#,
            parse: parse_size,
            bare: bare_size,
        })
    }

    /// Writes a size the way it is read.
    ///
    /// # Errors
    /// Only if the serializer fails.
    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_size(*value))
    }
}

/// For `#[serde(with = ..)]` on an optional number of bytes; absent is `None`.
pub mod optional_size {
    use super::*;

    /// Reads a size in bytes.
    ///
    /// # Errors
    /// If it has no unit or is no size.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u64>, D::Error> {
        size::deserialize(deserializer).map(Some)
    }

    /// Writes a size the way it is read.
    ///
    /// # Errors
    /// Only if the serializer fails.
    pub fn serialize<S: Serializer>(value: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(format_size).serialize(serializer)
    }
}

/// Reads `"1h30m"`. Units: `ns us ms s m h d w`, and the longer words for them.
///
/// # Errors
/// A message for the operator.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if text.parse::<f64>().is_ok() {
        return Err(bare_duration(text));
    }
    humantime::parse_duration(text).map_err(|error| {
        format!(r#"`{text}` is not a duration ({error}); write it like "250ms", "30s" or "1h30m""#)
    })
}

fn bare_duration(number: &str) -> String {
    let seconds = number.parse::<u64>().ok().filter(|n| *n >= 60 && n % 60 == 0);
    let longer = match seconds {
        Some(n) => format!(r#" or "{}""#, format_duration(Duration::from_secs(n))),
        None => String::new(),
    };
    format!(r#"a duration needs a unit; seconds? write "{number}s"{longer}"#)
}

/// Writes a duration in the fewest units that are exact: `"1h30m"`, `"250ms"`, `"0s"`.
pub fn format_duration(value: Duration) -> String {
    const UNITS: [(&str, u128); 7] = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    let mut rest = value.as_nanos();
    let mut text = String::new();
    for (unit, nanos) in UNITS {
        if rest >= nanos {
            text.push_str(&format!("{}{unit}", rest / nanos));
            rest %= nanos;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Reads `"16 MiB"`. `kB MB GB TB` count by 1000, `KiB MiB GiB TiB` by 1024.
///
/// # Errors
/// A message for the operator.
pub fn parse_size(text: &str) -> Result<u64, String> {
    if text.parse::<f64>().is_ok() {
        return Err(bare_size(text));
    }
    bytesize::ByteSize::from_str(text).map(|size| size.as_u64()).map_err(|_| {
        format!(r#"`{text}` is not a size; write it like "64 KiB", "300 MB" or "1 GiB""#)
    })
}

fn bare_size(number: &str) -> String {
    let exact = number.parse::<u64>().map(format_size).unwrap_or_default();
    if exact.is_empty() || exact == format!("{number} B") {
        return format!(r#"a size needs a unit; megabytes? write "{number} MB""#);
    }
    format!(r#"a size needs a unit; bytes? write "{exact}""#)
}

/// Writes a size in the largest unit that is exact: `"16 MiB"`, `"10 GB"`, `"17 B"`.
pub fn format_size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 8] = [
        ("TiB", 1 << 40),
        ("TB", 1_000_000_000_000),
        ("GiB", 1 << 30),
        ("GB", 1_000_000_000),
        ("MiB", 1 << 20),
        ("MB", 1_000_000),
        ("KiB", 1 << 10),
        ("kB", 1_000),
    ];
    UNITS
        .iter()
        .find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit))
        .map_or_else(|| format!("{bytes} B"), |(name, unit)| format!("{} {name}", bytes / unit))
}

/// How often something may start: `"10/s"`, `"100/m"`, `"5/h"`.
#[derive(Debug, Clone, Copy, PartialEq, schemars::JsonSchema)]
#[schemars(with = "String")]
pub struct Rate {
    count: f64,
    per: Per,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
    Hour,
}

impl Rate {
    /// The rate in starts per second.
    pub fn per_second(self) -> f64 {
        match self.per {
            Per::Second => self.count,
            Per::Minute => self.count / 60.0,
            Per::Hour => self.count / 3600.0,
        }
    }
}

/// A rate per second, in the largest unit in which it is a whole number.
pub(crate) fn format_rate(per_second: f64) -> String {
    let is_whole = |number: f64| number >= 0.5 && (number - number.round()).abs() < 1e-6;
    let per = [(1.0, 's'), (60.0, 'm'), (3600.0, 'h')];
    match per.iter().find(|(seconds, _)| is_whole(per_second * seconds)) {
        Some((seconds, unit)) => format!("{}/{unit}", (per_second * seconds).round()),
        None => format!("{per_second}/s"),
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.parse::<f64>().is_ok() {
            return Err(bare_rate(text));
        }
        let wrong = || format!(r#"`{text}` is not a rate; write it like "10/s", "100/m" or "5/h""#);
        let (count, per) = text.split_once('/').ok_or_else(wrong)?;
        let count: f64 = count.trim().parse().map_err(|_| wrong())?;
        let per = match per.trim() {
            "s" => Per::Second,
            "m" => Per::Minute,
            "h" => Per::Hour,
            _ => return Err(wrong()),
        };
        if !count.is_finite() || count <= 0.0 {
            return Err("a rate must be above zero; leave the key out for no limit".to_owned());
        }
        Ok(Self { count, per })
    }
}

fn bare_rate(number: &str) -> String {
    format!(r#"a rate needs a unit; per second? write "{number}/s""#)
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Per::Second => 's',
            Per::Minute => 'm',
            Per::Hour => 'h',
        };
        write!(f, "{}/{per}", self.count)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Unit {
            expected: r#"a rate such as "10/s" or "100/m""#,
            parse: Self::from_str,
            bare: bare_rate,
        })
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A number that the program may choose: `"auto"`, or at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Count {
    /// Chosen by the program.
    #[default]
    Auto,
    /// Chosen by the operator.
    Fixed(NonZeroU32),
}

impl Count {
    /// The operator's number, or `auto`.
    pub fn unwrap_or(self, auto: u32) -> u32 {
        match self {
            Self::Auto => auto,
            Self::Fixed(number) => number.get(),
        }
    }
}

impl From<u32> for Count {
    /// Zero means [`Count::Auto`].
    fn from(number: u32) -> Self {
        NonZeroU32::new(number).map_or(Self::Auto, Self::Fixed)
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            number => number.parse().map(Self::Fixed).map_err(|_| {
                format!(r#"`{text}` is not a count; write "auto" or a number from 1"#)
            }),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(number) => write!(f, "{number}"),
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrNumber {
            word: ("auto", Self::Auto),
            number: |n| NonZeroU32::new(n).map(Self::Fixed),
            expected: r#""auto" or a number from 1"#,
        })
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Fixed(number) => serializer.serialize_u32(number.get()),
        }
    }
}

impl schemars::JsonSchema for Count {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": u32::MAX }]
        })
    }
}

/// Reads one word or a number.
pub(crate) struct WordOrNumber<T> {
    pub(crate) word: (&'static str, T),
    pub(crate) number: fn(u32) -> Option<T>,
    pub(crate) expected: &'static str,
}

impl<T> Visitor<'_> for WordOrNumber<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        if text == self.word.0 {
            return Ok(self.word.1);
        }
        Err(E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        u32::try_from(number)
            .ok()
            .and_then(self.number)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bare_number_is_told_which_unit_was_probably_meant() {
        assert_eq!(
            parse_duration("600").unwrap_err(),
            r#"a duration needs a unit; seconds? write "600s" or "10m""#
        );
        assert_eq!(
            parse_duration("5").unwrap_err(),
            r#"a duration needs a unit; seconds? write "5s""#
        );
        assert_eq!(
            parse_size("16").unwrap_err(),
            r#"a size needs a unit; megabytes? write "16 MB""#
        );
        assert_eq!(
            parse_size("16777216").unwrap_err(),
            r#"a size needs a unit; bytes? write "16 MiB""#
        );
        assert_eq!(
            "10".parse::<Rate>().unwrap_err(),
            r#"a rate needs a unit; per second? write "10/s""#
        );
    }

    #[test]
    fn a_rate_is_counted_per_second_whatever_its_unit() {
        let per_second =
            ["10/s", "90/m", "5/h"].map(|text| text.parse::<Rate>().unwrap().per_second());
        assert_eq!(per_second, [10.0, 1.5, 5.0 / 3600.0]);
        assert!("0/s".parse::<Rate>().is_err());
        assert!("5/d".parse::<Rate>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(nanos in any::<u64>(), bytes in 0u64..1 << 52) {
            let wait = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&format_duration(wait)), Ok(wait));
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_a_unit_panic(text in ".*") {
            let _ = (parse_duration(&text), parse_size(&text), text.parse::<Rate>());
        }
    }
}
