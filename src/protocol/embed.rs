//! What follows a task: the third part of a body.

use super::list::map_into;
use super::scan::{Items, Kind, Span};
use super::{DecodeError, EncodeError, Format, Limits, Raw, Signature, Steps};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// The tasks that follow this one. Nothing by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Embed {
    /// Sent after success, with the result as first argument.
    pub callbacks: Vec<Signature>,
    /// Sent after failure, with the id of the failed task as first argument.
    pub errbacks: Vec<Signature>,
    /// The remaining steps of a chain.
    pub chain: Steps,
    /// The body of the chord that this task is a part of.
    pub chord: Option<Box<Signature>>,
}

impl Embed {
    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        self.callbacks.is_empty()
            && self.errbacks.is_empty()
            && self.chain.is_empty()
            && self.chord.is_none()
    }

    /// Reads the map that `raw` holds.
    pub(super) fn read(raw: &Raw) -> Result<Self, DecodeError> {
        let mut embed = Self::default();
        for (entry, span) in entries(raw) {
            let value = Raw::new(raw.format(), raw.bytes().slice(span.range));
            match entry {
                Entry::Callbacks => embed.callbacks = or_nothing("embed.callbacks", &value)?,
                Entry::Errbacks => embed.errbacks = or_nothing("embed.errbacks", &value)?,
                Entry::Chain => embed.chain = Steps::read("embed.chain", &value)?,
                Entry::Chord => embed.chord = or_nothing("embed.chord", &value)?,
            }
        }
        Ok(embed)
    }

    /// Whether something stands in the map that `raw` holds, readable or not.
    pub(super) fn has_something(raw: &Raw) -> bool {
        entries(raw).iter().any(|(_, span)| {
            let is_empty = || {
                let value = &raw.bytes()[span.range.clone()];
                let items = Items::open(raw.format(), value, Limits::DEEPEST);
                matches!(items.map(|items| items.map(|mut items| items.next())), Ok(Ok(Ok(None))))
            };
            match span.kind {
                Kind::Null => false,
                Kind::List => !is_empty(),
                _ => true,
            }
        })
    }

    #[cfg(test)]
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let mut bytes = Vec::new();
        self.encode_into(Format::Json, &mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Appends the map, without what is empty.
    pub(super) fn encode_into(
        &self,
        format: Format,
        bytes: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let list = |signatures: &[Signature]| match signatures {
            [] => Ok(None),
            signatures => Raw::encode(format, signatures).map(Some),
        };
        let parts = [
            ("callbacks", list(&self.callbacks)?),
            ("errbacks", list(&self.errbacks)?),
            ("chain", (!self.chain.is_empty()).then(|| self.chain.encode(format)).transpose()?),
            ("chord", self.chord.as_ref().map(|body| Raw::encode(format, body)).transpose()?),
        ];
        let parts =
            parts.iter().filter_map(|(name, part)| Some((*name, &part.as_ref()?.bytes()[..])));
        map_into(format, &parts.collect::<Vec<_>>(), bytes);
        Ok(())
    }
}

/// What an embed has names for.
enum Entry {
    Callbacks,
    Errbacks,
    Chain,
    Chord,
}

impl Entry {
    fn named(name: &str) -> Option<Self> {
        match name {
            "callbacks" => Some(Self::Callbacks),
            "errbacks" => Some(Self::Errbacks),
            "chain" => Some(Self::Chain),
            "chord" => Some(Self::Chord),
            _ => None,
        }
    }
}

/// The entries of a map that passed a scan before, as far as they mean something.
fn entries(raw: &Raw) -> Vec<(Entry, Span)> {
    let mut entries = Vec::new();
    if let Ok(Ok(mut items)) = Items::open(raw.format(), raw.bytes(), Limits::DEEPEST) {
        while let (Ok(Some(key)), Ok(Some(value))) = (items.next(), items.next()) {
            let name = raw.format().decode::<String>(&raw.bytes()[key.range]);
            entries
                .extend(name.ok().and_then(|name| Entry::named(&name)).map(|name| (name, value)));
        }
    }
    entries
}

fn or_nothing<T: Default + DeserializeOwned>(place: &str, value: &Raw) -> Result<T, DecodeError> {
    Ok(value.format().decode_at::<Option<T>>(place, value.bytes())?.unwrap_or_default())
}

/// Celery writes null for what is not there.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
