//! Finds the parts of an encoded value without building it.
//!
//! One pass over the bytes checks the grammar, the lengths and the depth, and says where the items
//! of a list or the entries of a map lie. It never recurses, and it allocates only for nesting
//! deeper than a list of lists. Whatever passes here can be handed to the decoders: they cannot be
//! made to recurse or allocate beyond what is really there.

mod json;
mod msgpack;

use super::Format;
use std::ops::Range;

/// What is wrong with the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Another thing should stand at this offset.
    Syntax { at: usize, expected: &'static str },
    /// Lists and maps are nested too deeply.
    TooDeep,
}

/// What kind of value starts somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    Binary,
    List,
    Map,
    Extension,
}

impl Kind {
    /// The kind of the value that `bytes` begin with, if they begin with one.
    pub(super) fn of(format: Format, bytes: &[u8]) -> Option<Self> {
        match format {
            Format::Json => json::kind(bytes).ok(),
            Format::MessagePack => msgpack::kind(bytes).ok(),
        }
    }

    /// The word for a person.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a truth value",
            Self::Number => "a number",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Extension => "an extension type",
        }
    }
}

/// One value inside the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// Where it lies.
    pub(super) range: Range<usize>,
    /// What it is.
    pub(super) kind: Kind,
    /// Where it has the first number that no other language could read: NaN, an infinity, or an
    /// integer beyond 64 bits. JSON only.
    pub(super) odd: Option<usize>,
}

/// Walks over the items of one list, or the keys and values of one map, from left to right.
///
/// Yields `None` at its end; [`Items::finish`] then checks that nothing else follows.
#[derive(Debug)]
pub(super) struct Items<'a>(Inner<'a>);

#[derive(Debug)]
enum Inner<'a> {
    Json(json::Items<'a>),
    MessagePack(msgpack::Items<'a>),
}

impl<'a> Items<'a> {
    /// Opens the list or map that `bytes` hold. `max_depth` counts it as the first level.
    ///
    /// Gives the kind that was found instead when it is neither.
    pub(super) fn open(
        format: Format,
        bytes: &'a [u8],
        max_depth: usize,
    ) -> Result<Result<Self, Kind>, Fault> {
        let inner = match format {
            Format::Json => json::Items::open(bytes, max_depth)?.map(Inner::Json),
            Format::MessagePack => msgpack::Items::open(bytes, max_depth)?.map(Inner::MessagePack),
        };
        Ok(inner.map(Self))
    }

    /// Whether it is a map: its items are then a key, its value, the next key and so on.
    pub(super) fn is_map(&self) -> bool {
        match &self.0 {
            Inner::Json(items) => items.is_map(),
            Inner::MessagePack(items) => items.is_map(),
        }
    }

    /// The next item, checked to its end.
    pub(super) fn next(&mut self) -> Result<Option<Span>, Fault> {
        match &mut self.0 {
            Inner::Json(items) => items.next(),
            Inner::MessagePack(items) => items.next(),
        }
    }

    /// Checks that the bytes end here. Only after the last item.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        match &self.0 {
            Inner::Json(items) => items.finish(),
            Inner::MessagePack(items) => items.finish(),
        }
    }
}

/// The entry of a map under a textual key, in bytes that passed a scan before.
pub(super) fn entry(format: Format, bytes: &[u8], wanted: &str) -> Option<Range<usize>> {
    let mut items = Items::open(format, bytes, super::Limits::DEEPEST).ok()?.ok()?;
    if !items.is_map() {
        return None;
    }
    while let Some(key) = items.next().ok()? {
        let value = items.next().ok()??;
        if key.kind == Kind::Text && format.decode::<String>(&bytes[key.range]).ok()? == wanted {
            return Some(value.range);
        }
    }
    None
}
