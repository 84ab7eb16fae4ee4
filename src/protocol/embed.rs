//! What follows a task: the third part of a body.

use super::list::map_into;
use super::scan::{Items, Kind, Span};
use super::{Bytes, DecodeError, EncodeError, Format, Limits, Raw, Signature, Steps};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use std::ops::Range;

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

    /// Reads what was found in a body.
    pub(super) fn read(format: Format, body: &Bytes, found: &[Found]) -> Result<Self, DecodeError> {
        let mut embed = Self::default();
        for Found { entry, range } in found {
            let value = Raw::new(format, body.slice(range.clone()));
            match entry {
                Entry::Callbacks => embed.callbacks = or_nothing("embed.callbacks", &value)?,
                Entry::Errbacks => embed.errbacks = or_nothing("embed.errbacks", &value)?,
                Entry::Chain => embed.chain = Steps::read("embed.chain", &value)?,
                Entry::Chord => embed.chord = or_nothing("embed.chord", &value)?,
            }
        }
        Ok(embed)
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

/// A part of an embed that says something, readable or not, and where in the body it lies.
#[derive(Debug, Clone)]
pub(super) struct Found {
    entry: Entry,
    range: Range<usize>,
}

#[derive(Debug, Clone, Copy)]
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

/// What stands in the embed that lies in `range` of a body that passed a scan.
pub(super) fn find(format: Format, body: &[u8], range: Range<usize>) -> Vec<Found> {
    let (start, bytes) = (range.start, &body[range]);
    let mut found = Vec::new();
    let Ok(Ok(mut items)) = Items::open(format, bytes, Limits::DEEPEST) else { return found };
    while let (Ok(Some(key)), Ok(Some(value))) = (items.next(), items.next()) {
        let name = format.decode::<String>(&bytes[key.range]).unwrap_or_default();
        if let Some(entry) = Entry::named(&name)
            && !is_nothing(format, bytes, &value)
        {
            let range = start + value.range.start..start + value.range.end;
            found.push(Found { entry, range });
        }
    }
    found
}

/// Celery writes null for what is not there, others an empty list.
fn is_nothing(format: Format, bytes: &[u8], value: &Span) -> bool {
    let list = || Items::open(format, &bytes[value.range.clone()], Limits::DEEPEST);
    match value.kind {
        Kind::Null => true,
        Kind::List => list().is_ok_and(|list| list.is_ok_and(|mut list| list.next() == Ok(None))),
        _ => false,
    }
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
