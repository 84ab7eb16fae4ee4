//! Reading the arguments of a body one by one, each into a type of its own.

use super::{Body, EMPTY_LIST, EMPTY_MAP, Part};
use crate::protocol::format::{MessagePackReader, msgpack};
use crate::protocol::scan::{Items, Span};
use crate::protocol::{DecodeError, Format, Limits};
use serde::de::DeserializeOwned;

/// The arguments of one call, taken one by one: first by position, then by name.
///
/// What went wrong with one argument is told about that argument alone, and what each is decoded
/// into is chosen by whoever takes it.
#[derive(Debug)]
pub struct ArgumentReader<'a> {
    positional: Positional<'a>,
    named: Vec<Named<'a>>,
}

/// An argument that was given by name and not taken yet.
#[derive(Debug)]
struct Named<'a> {
    name: String,
    value: Encoded<'a>,
}

/// One encoded argument, or the number in it that no Rust type takes unchanged.
#[derive(Debug)]
struct Encoded<'a> {
    format: Format,
    bytes: &'a [u8],
    odd: Option<DecodeError>,
}

/// The list of positional arguments.
struct Positional<'a> {
    body: &'a Body,
    taken: usize,
    source: Source<'a>,
}

enum Source<'a> {
    /// One decoder runs through the whole list: nothing is looked at twice.
    MessagePack { reader: MessagePackReader<'a>, count: usize },
    /// The same, with what is left of the list from its next item on.
    Json { rest: &'a [u8], count: usize },
    /// There is a number that no Rust type takes unchanged, so that each item is looked at first.
    Odd(Vec<Span>),
}

impl Body {
    /// The arguments, to be taken one by one.
    ///
    /// # Errors
    ///
    /// When the name of an argument is no text.
    pub fn arguments(&self) -> Result<ArgumentReader<'_>, DecodeError> {
        Ok(ArgumentReader { positional: Positional::new(self), named: self.named()? })
    }

    fn named(&self) -> Result<Vec<Named<'_>>, DecodeError> {
        let bytes = self.part(&self.kwargs, EMPTY_MAP);
        if bytes == EMPTY_MAP.encoded(self.format) {
            return Ok(Vec::new());
        }
        let spans = spans(self.format, bytes);
        let entries = spans.chunks_exact(2).map(|entry| {
            let (key, value) = (&entry[0], &entry[1]);
            let name = self.format.decode_at("kwargs", &bytes[key.range.clone()])?;
            Ok(Named { name, value: self.encoded("kwargs", bytes, value) })
        });
        entries.collect()
    }

    fn part(&self, part: &Part, empty: super::Empty) -> &[u8] {
        match part.is_null {
            true => empty.encoded(self.format),
            false => &self.bytes[part.range.clone()],
        }
    }

    fn encoded<'a>(&self, place: &str, bytes: &'a [u8], span: &Span) -> Encoded<'a> {
        let odd = span
            .odd
            .map(|at| DecodeError { place: String::new(), ..self.odd_number(place, bytes, at) });
        Encoded { format: self.format, bytes: &bytes[span.range.clone()], odd }
    }
}

impl ArgumentReader<'_> {
    /// How many are given by position.
    pub fn positional(&self) -> usize {
        self.positional.count()
    }

    /// The next positional argument, if there is one more.
    ///
    /// # Errors
    ///
    /// When it is of another type; the error's place is inside the argument. The following ones
    /// can then not be taken any more.
    pub fn take_next<T: DeserializeOwned>(&mut self) -> Option<Result<T, DecodeError>> {
        self.positional.take_next()
    }

    /// The argument given under this name, if it was and is not taken yet.
    ///
    /// # Errors
    ///
    /// When it is of another type; the error's place is inside the argument.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Option<Result<T, DecodeError>> {
        let at = self.named.iter().position(|named| named.name == name)?;
        Some(self.named.swap_remove(at).value.decode())
    }

    /// Whether an argument of this name is still there.
    pub fn has(&self, name: &str) -> bool {
        self.named.iter().any(|named| named.name == name)
    }

    /// The names that were given and not taken.
    pub fn left(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|named| named.name.as_str())
    }
}

impl<'a> Positional<'a> {
    fn new(body: &'a Body) -> Self {
        let bytes = body.part(&body.args, EMPTY_LIST);
        let source = match body.format {
            Format::Json if body.args.odd.is_some() => Source::Odd(spans(Format::Json, bytes)),
            Format::Json => {
                let rest = bytes.get(1..).unwrap_or_default().trim_ascii_start();
                let is_empty = rest.first().is_none_or(|byte| *byte == b']');
                Source::Json { rest, count: if is_empty { 0 } else { body.args.commas + 1 } }
            }
            Format::MessagePack => {
                let (head, count) = list_head(bytes);
                Source::MessagePack { reader: msgpack(&bytes[head..]), count }
            }
        };
        Self { body, taken: 0, source }
    }

    fn count(&self) -> usize {
        match &self.source {
            Source::MessagePack { count, .. } | Source::Json { count, .. } => *count,
            Source::Odd(spans) => spans.len(),
        }
    }

    fn take_next<T: DeserializeOwned>(&mut self) -> Option<Result<T, DecodeError>> {
        let index = self.taken;
        self.taken += 1;
        match &mut self.source {
            Source::MessagePack { count, .. } | Source::Json { count, .. } if index >= *count => {
                None
            }
            Source::MessagePack { reader, .. } => {
                let value = T::deserialize(reader);
                Some(value.or_else(|_| self.again(index)))
            }
            Source::Json { rest, .. } => {
                let value = next_in_json(rest);
                Some(value.or_else(|_| self.again(index)))
            }
            Source::Odd(spans) => {
                let span = spans.get(index)?.clone();
                let bytes = self.body.part(&self.body.args, EMPTY_LIST);
                Some(self.body.encoded("args", bytes, &span).decode())
            }
        }
    }

    /// Decodes an argument that did not fit once more, to find out where.
    #[cold]
    fn again<T: DeserializeOwned>(&self, index: usize) -> Result<T, DecodeError> {
        let bytes = self.body.part(&self.body.args, EMPTY_LIST);
        let spans = spans(self.body.format, bytes);
        let range = spans.get(index).map_or(0..0, |span| span.range.clone());
        self.body.format.decode(&bytes[range])
    }
}

impl std::fmt::Debug for Positional<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Positional").field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl Encoded<'_> {
    fn decode<T: DeserializeOwned>(self) -> Result<T, DecodeError> {
        match self.odd {
            Some(odd) => Err(odd),
            None => self.format.decode(self.bytes),
        }
    }
}

/// The item of a list that `rest` begins with; leaves what begins with the next one.
fn next_in_json<T: DeserializeOwned>(rest: &mut &[u8]) -> serde_json::Result<T> {
    let mut items = serde_json::Deserializer::from_slice(rest).into_iter();
    let item = items.next().unwrap_or_else(|| Err(serde::de::Error::custom("no item")));
    let after = rest.get(items.byte_offset()..).unwrap_or_default().trim_ascii_start();
    *rest = after.strip_prefix(b",").unwrap_or(after).trim_ascii_start();
    item
}

/// The items of a list, or keys and values of a map, in bytes that passed a scan before.
fn spans(format: Format, bytes: &[u8]) -> Vec<Span> {
    let Ok(Ok(mut items)) = Items::open(format, bytes, Limits::DEEPEST) else {
        return Vec::new();
    };
    std::iter::from_fn(|| items.next().ok().flatten()).collect()
}

/// The length of a MessagePack list's head, and the number of its items.
fn list_head(bytes: &[u8]) -> (usize, usize) {
    match *bytes {
        [0xdc, a, b, ..] => (3, usize::from(u16::from_be_bytes([a, b]))),
        [0xdd, a, b, c, d, ..] => (5, u32::from_be_bytes([a, b, c, d]) as usize),
        [marker, ..] => (1, usize::from(marker & 0x0f)),
        [] => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Embed, Value};
    use serde::Serialize;

    fn body(format: Format, args: &impl Serialize, kwargs: &impl Serialize) -> Body {
        let bytes = Body::encode(format, args, kwargs, &Embed::default()).unwrap();
        Body::find(format, bytes.into(), Limits::DEEPEST).unwrap()
    }

    fn json(text: &'static str) -> Body {
        Body::find(Format::Json, text.into(), Limits::DEEPEST).unwrap()
    }

    #[test]
    fn arguments_are_taken_by_position_and_by_name() {
        let kwargs = serde_json::json!({ "size": 3, "deep": { "er": [1] } });
        for format in [Format::Json, Format::MessagePack] {
            let body = body(format, &(7, "x", [1.5, 2.5]), &kwargs);
            let mut arguments = body.arguments().unwrap();
            assert_eq!(arguments.positional(), 3);
            assert_eq!(arguments.take_next::<u8>(), Some(Ok(7)));
            assert_eq!(arguments.take_next::<String>(), Some(Ok("x".to_owned())));
            assert_eq!(arguments.take_next::<Vec<f64>>(), Some(Ok(vec![1.5, 2.5])));
            assert_eq!(arguments.take_next::<u8>(), None);
            assert_eq!(arguments.take::<u8>("size"), Some(Ok(3)));
            assert_eq!(arguments.take::<u8>("size"), None);
            assert_eq!(arguments.left().collect::<Vec<_>>(), ["deep"]);
        }
    }

    #[test]
    fn long_lists_and_absent_parts_are_read_as_well() {
        for count in [15_usize, 16, 70_000] {
            let many: Vec<usize> = (0..count).collect();
            for format in [Format::Json, Format::MessagePack] {
                let body = body(format, &many, &());
                let mut arguments = body.arguments().unwrap();
                assert_eq!(arguments.positional(), count);
                let read = std::iter::from_fn(|| arguments.take_next::<usize>());
                assert!(read.map(Result::unwrap).eq(many.iter().copied()), "{count}");
            }
        }
        let spaced = json("[ [ 1 , [2, 3] ,\t{\"a\": [4, 5]} , \"],\" ] , {} , null ]");
        let mut arguments = spaced.arguments().unwrap();
        assert_eq!(arguments.positional(), 4);
        assert_eq!(arguments.take_next::<u8>(), Some(Ok(1)));
        assert_eq!(arguments.take_next::<Vec<u8>>(), Some(Ok(vec![2, 3])));
        assert!(arguments.take_next::<Value>().unwrap().is_ok());
        assert_eq!(arguments.take_next::<String>(), Some(Ok("],".to_owned())));
        assert_eq!(arguments.take_next::<u8>(), None);
        assert_eq!(json("[[ ], null, null]").arguments().unwrap().positional(), 0);
        let absent = json("[null, null, null]");
        assert_eq!(absent.arguments().unwrap().positional(), 0);
    }

    #[test]
    fn an_argument_that_does_not_fit_says_where_inside() {
        for format in [Format::Json, Format::MessagePack] {
            let body = body(format, &(1, [1, -2]), &serde_json::json!({ "n": [1, -2] }));
            let mut arguments = body.arguments().unwrap();
            assert_eq!(arguments.take_next::<u8>(), Some(Ok(1)));
            let wrong = arguments.take_next::<Vec<u8>>().unwrap().unwrap_err();
            assert_eq!(wrong.place, "[1]");
            let wrong = arguments.take::<Vec<u8>>("n").unwrap().unwrap_err();
            assert_eq!(wrong.place, "[1]");
        }
    }

    #[test]
    fn a_number_that_would_be_changed_spoils_only_its_own_argument() {
        let body = json(r#"[[1, 36893488147419103232], {"a": NaN, "b": 2}, null]"#);
        let mut arguments = body.arguments().unwrap();
        assert_eq!(arguments.take_next::<u8>(), Some(Ok(1)));
        let wrong = arguments.take_next::<Value>().unwrap().unwrap_err();
        assert!(wrong.message.contains("beyond 64 bits"), "{wrong}");
        assert!(arguments.take::<Value>("a").unwrap().is_err());
        assert_eq!(arguments.take::<u8>("b"), Some(Ok(2)));
    }
}
