//! Reading the arguments of a body one by one, each into a type of its own.

use super::{Body, EMPTY_LIST, EMPTY_MAP, Part};
use crate::protocol::scan::{Items, Span};
use crate::protocol::{DecodeError, Format, Limits};
use serde::de::DeserializeOwned;

/// The arguments of one call, taken one by one, by position and by name.
///
/// What went wrong with one argument is told about that argument alone, and what each is decoded
/// into is chosen by whoever takes it.
#[derive(Debug)]
pub struct ArgumentReader<'a> {
    positional: Vec<Encoded<'a>>,
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

impl Body {
    /// The arguments, to be taken one by one.
    ///
    /// # Errors
    ///
    /// When the name of an argument is no text.
    pub fn arguments(&self) -> Result<ArgumentReader<'_>, DecodeError> {
        Ok(ArgumentReader { positional: self.positional(), named: self.named()? })
    }

    pub(super) fn names_nothing(&self) -> bool {
        self.part(&self.kwargs, EMPTY_MAP) == EMPTY_MAP.encoded(self.format)
    }

    fn positional(&self) -> Vec<Encoded<'_>> {
        let bytes = self.part(&self.args, EMPTY_LIST);
        let items = spans(self.format, bytes);
        items.iter().map(|item| self.encoded("args", bytes, item)).collect()
    }

    fn named(&self) -> Result<Vec<Named<'_>>, DecodeError> {
        let bytes = self.part(&self.kwargs, EMPTY_MAP);
        let spans = spans(self.format, bytes);
        let entries = spans.as_chunks().0.iter().map(|[key, value]| {
            let name = self.format.decode_at("kwargs", &bytes[key.range.clone()])?;
            Ok(Named { name, value: self.encoded("kwargs", bytes, value) })
        });
        entries.collect()
    }

    pub(super) fn part(&self, part: &Part, empty: super::Empty) -> &[u8] {
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
        self.positional.len()
    }

    /// The positional argument at this index, if there is one.
    ///
    /// # Errors
    ///
    /// When it is of another type; the error's place is inside the argument.
    pub fn take_at<T: DeserializeOwned>(&self, index: usize) -> Option<Result<T, DecodeError>> {
        self.positional.get(index).map(Encoded::decode)
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

impl Encoded<'_> {
    fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        match &self.odd {
            Some(odd) => Err(odd.clone()),
            None => self.format.decode(self.bytes),
        }
    }
}

/// The items of a list, or keys and values of a map, in bytes that passed a scan before.
fn spans(format: Format, bytes: &[u8]) -> Vec<Span> {
    let Ok(Ok(mut items)) = Items::open(format, bytes, Limits::DEEPEST) else {
        return Vec::new();
    };
    std::iter::from_fn(|| items.next().ok().flatten()).collect()
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
            assert_eq!(arguments.take_at::<u8>(0), Some(Ok(7)));
            assert_eq!(arguments.take_at::<String>(1), Some(Ok("x".to_owned())));
            assert_eq!(arguments.take_at::<Vec<f64>>(2), Some(Ok(vec![1.5, 2.5])));
            assert_eq!(arguments.take_at::<u8>(3), None);
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
                let arguments = body.arguments().unwrap();
                assert_eq!(arguments.positional(), count);
                let read = (0..count).map(|index| arguments.take_at::<usize>(index));
                assert!(read.eq(many.iter().map(|number| Some(Ok(*number)))), "{count}");
            }
        }
        let spaced = json("[ [ 1 , [2, 3] ,\t{\"a\": [4, 5]} , \"],\" ] , {} , null ]");
        let arguments = spaced.arguments().unwrap();
        assert_eq!(arguments.positional(), 4);
        assert_eq!(arguments.take_at::<u8>(0), Some(Ok(1)));
        assert_eq!(arguments.take_at::<Vec<u8>>(1), Some(Ok(vec![2, 3])));
        assert_eq!(arguments.take_at::<String>(3), Some(Ok("],".to_owned())));
        for absent in ["[[ ], null, null]", "[null, null, null]"] {
            assert_eq!(json(absent).arguments().unwrap().positional(), 0);
        }
    }

    #[test]
    fn an_argument_that_does_not_fit_says_where_inside() {
        for format in [Format::Json, Format::MessagePack] {
            let body = body(format, &(1, [1, -2]), &serde_json::json!({ "n": [1, -2] }));
            let mut arguments = body.arguments().unwrap();
            let wrong = arguments.take_at::<Vec<u8>>(1).unwrap().unwrap_err();
            assert_eq!(wrong.place, "[1]");
            let wrong = arguments.take::<Vec<u8>>("n").unwrap().unwrap_err();
            assert_eq!(wrong.place, "[1]");
        }
    }

    #[test]
    fn a_number_that_would_be_changed_spoils_only_its_own_argument() {
        let body = json(r#"[[1, 36893488147419103232], {"a": NaN, "b": 2}, null]"#);
        let mut arguments = body.arguments().unwrap();
        assert_eq!(arguments.take_at::<u8>(0), Some(Ok(1)));
        let wrong = arguments.take_at::<Value>(1).unwrap().unwrap_err();
        assert!(wrong.message.contains("beyond 64 bits"), "{wrong}");
        assert!(arguments.take::<Value>("a").unwrap().is_err());
        assert_eq!(arguments.take::<u8>("b"), Some(Ok(2)));
    }
}
