//! Finds the parts of an encoded value without building it.
//!
//! One pass over the bytes checks the grammar, the lengths and the depth, and says where the items
//! of a list or the entries of a map lie. It never recurses, and it allocates only for nesting
//! deeper than a list of lists. Whatever passes here can be handed to the decoders: they cannot be
//! made to recurse or allocate beyond what is really there.

mod json;
mod msgpack;
mod odd;

pub(super) use odd::{odd_number, without_odd_numbers};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Limits;
    use proptest::prelude::*;

    /// Walks over everything, as a body is walked over. `None` when it is no list and no map.
    fn walk(format: Format, bytes: &[u8]) -> Option<Result<usize, Fault>> {
        let walk = || {
            let mut items = match Items::open(format, bytes, Limits::DEEPEST)? {
                Ok(items) => items,
                Err(_) => return Ok(None),
            };
            let mut count = 0;
            while let Some(span) = items.next()? {
                assert!(span.range.start < span.range.end && span.range.end <= bytes.len());
                count += 1;
            }
            items.finish()?;
            Ok(Some(count))
        };
        walk().transpose()
    }

    #[test]
    fn items_lie_where_they_are_found() {
        let mut items =
            Items::open(Format::Json, br#" [ 1.5e3 , "a\"]" ,{"b":[ ]}]"#, 9).unwrap().unwrap();
        let mut found = Vec::new();
        while let Some(span) = items.next().unwrap() {
            found.push((span.range, span.kind));
        }
        assert_eq!(found, [(3..8, Kind::Number), (11..17, Kind::Text), (19..28, Kind::Map)]);
        items.finish().unwrap();
    }

    #[test]
    fn an_entry_is_found_by_its_key() {
        let json = br#"{"a\u0062": [1], "result": {"result": 2}}"#;
        assert_eq!(entry(Format::Json, json, "result"), Some(27..40));
        assert_eq!(entry(Format::Json, json, "ab"), Some(12..15));
        assert_eq!(entry(Format::Json, json, "c"), None);
        assert_eq!(entry(Format::MessagePack, b"\x82\x01\x02\xa1a\x05", "a"), Some(5..6));
        assert_eq!(entry(Format::MessagePack, b"\x91\x01", "a"), None);
    }

    proptest! {
        #[test]
        fn json_is_accepted_exactly_where_serde_accepts_it(
            tokens in proptest::collection::vec(proptest::sample::select(TOKENS), 0..14)
        ) {
            let text = tokens.concat();
            let parsed = serde_json::from_str::<serde_json::Value>(&text);
            let is_composite = parsed.as_ref().is_ok_and(|value| value.is_array() || value.is_object());
            let walked = walk(Format::Json, text.as_bytes());
            prop_assert_eq!(matches!(walked, Some(Ok(_))), is_composite, "{}", text);
        }

        #[test]
        fn messagepack_is_accepted_exactly_where_it_can_be_decoded(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                proptest::collection::vec(proptest::sample::select(MARKERS), 0..40),
            ]
        ) {
            let mut rest = &bytes[..];
            let decoded = rmpv::decode::read_value(&mut rest);
            let walked = walk(Format::MessagePack, &bytes);
            let fits = decoded.is_ok_and(|value| rest.is_empty() && (value.is_array() || value.is_map()));
            prop_assert_eq!(matches!(walked, Some(Ok(_))), fits);
        }

        #[test]
        fn any_bytes_are_walked_over_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            text in ".{0,100}",
        ) {
            let _ = walk(Format::Json, &bytes);
            let _ = walk(Format::MessagePack, &bytes);
            let _ = walk(Format::Json, format!("[{text}").as_bytes());
        }
    }

    const TOKENS: &[&str] = &[
        "[",
        "[",
        "]",
        "]",
        "{",
        "}",
        ",",
        ",",
        ":",
        " ",
        "\n",
        "\"a\"",
        "\"\\n\\u00e9\"",
        "\"\\x\"",
        "\"",
        "0",
        "1",
        "-",
        "-1",
        "01",
        "1.5",
        "1.",
        "2e9",
        "2e",
        "-0.1E+2",
        "true",
        "false",
        "null",
        "nul",
    ];

    const MARKERS: &[u8] = &[
        0x00, 0x7f, 0x80, 0x81, 0x82, 0x90, 0x91, 0x92, 0x93, 0xa0, 0xa1, 0xa3, 0xc0, 0xc1, 0xc2,
        0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3,
        0xd4, 0xd5, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff,
    ];
}
