//! How far back a page looks.

use super::super::change::Micros;
use serde::Deserialize;

/// How far back a page looks, from the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) enum Range {
    #[default]
    #[serde(rename = "15m")]
    Quarter,
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "6h")]
    Six,
    #[serde(rename = "24h")]
    Day,
    #[serde(rename = "7d")]
    Week,
}

/// A range that can be chosen.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) href: String,
    pub(super) text: &'static str,
    pub(super) is_current: bool,
}

const MINUTE: Micros = 60_000_000;

impl Range {
    const ALL: [Self; 5] = [Self::Quarter, Self::Hour, Self::Six, Self::Day, Self::Week];

    /// How long it is.
    pub(super) fn span(self) -> Micros {
        match self {
            Self::Quarter => 15 * MINUTE,
            Self::Hour => 60 * MINUTE,
            Self::Six => 360 * MINUTE,
            Self::Day => 1_440 * MINUTE,
            Self::Week => 7 * 1_440 * MINUTE,
        }
    }

    /// As it stands in filters and addresses.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Quarter => "15m",
            Self::Hour => "1h",
            Self::Six => "6h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Quarter => "15 min",
            Self::Hour => "1 h",
            Self::Six => "6 h",
            Self::Day => "24 h",
            Self::Week => "7 d",
        }
    }

    /// All of them, as links to a page whose address goes on behind `prefix`.
    pub(super) fn choices(self, prefix: &str) -> Vec<Choice> {
        let choice = |range: Self| Choice {
            href: format!("{prefix}range={}", range.word()),
            text: range.text(),
            is_current: range == self,
        };
        Self::ALL.into_iter().map(choice).collect()
    }
}
