//! Reading the positional arguments of a body in one pass.

use super::{Body, EMPTY_LIST};
use crate::protocol::Format;
use crate::protocol::format::{MessagePackReader, msgpack};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// The positional arguments of a call that gives no others, one after the other.
///
/// Nothing is looked at twice, and nothing is told about what does not fit: see
/// [`Body::arguments`] for that. It is one type for all tasks and both formats, so that little is
/// compiled for each task.
pub struct ListReader<'a>(Source<'a>);

enum Source<'a> {
    /// One decoder runs through the list.
    MessagePack { reader: MessagePackReader<'a>, left: usize },
    /// What is left of the list, from its next item or its end on.
    Json(&'a [u8]),
}

/// An argument is of another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread;

impl Body {
    /// The positional arguments, unless there are others too, or one would be changed by decoding.
    pub(crate) fn list(&self) -> Option<ListReader<'_>> {
        if self.args.odd.is_some() || !self.names_nothing() {
            return None;
        }
        let list = self.part(&self.args, EMPTY_LIST);
        Some(ListReader(match self.format {
            Format::Json => Source::Json(list.get(1..)?.trim_ascii_start()),
            Format::MessagePack => {
                let (head, left) = head(list);
                Source::MessagePack { reader: msgpack(&list[head..]), left }
            }
        }))
    }
}

impl ListReader<'_> {
    /// The next argument, if there is one more.
    ///
    /// # Errors
    ///
    /// When it is of another type. Nothing more can be read then.
    #[inline]
    pub fn take_next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Unread> {
        match &mut self.0 {
            Source::MessagePack { left: 0, .. } | Source::Json([b']', ..]) => Ok(None),
            Source::MessagePack { reader, left } => {
                *left -= 1;
                T::deserialize(reader).map(Some).map_err(|_| Unread)
            }
            Source::Json(rest) => next_in_json(rest).map(Some),
        }
    }

    /// Whether everything was read, and nothing of it by the wrong type: one that does not read its
    /// whole item leaves the decoder of MessagePack inside it.
    pub(crate) fn is_read_whole(&mut self) -> bool {
        match &mut self.0 {
            Source::MessagePack { reader, left } => {
                *left == 0 && IgnoredAny::deserialize(reader).is_err()
            }
            Source::Json(rest) => *rest == b"]",
        }
    }
}

impl std::fmt::Debug for ListReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ListReader(..)")
    }
}

/// The item that `rest` begins with; leaves what begins with the next one.
#[inline]
fn next_in_json<T: DeserializeOwned>(rest: &mut &[u8]) -> Result<T, Unread> {
    let mut decoder = serde_json::Deserializer::from_slice(rest);
    let item = T::deserialize(&mut decoder).map_err(|_| Unread)?;
    let read = decoder.into_iter::<IgnoredAny>().byte_offset();
    *rest = match rest[read..].trim_ascii_start() {
        [b',', after @ ..] => after.trim_ascii_start(),
        end @ [b']'] => end,
        // The type did not read the whole item.
        _ => return Err(Unread),
    };
    Ok(item)
}

/// The length of a MessagePack list's head, and the number of its items.
fn head(bytes: &[u8]) -> (usize, usize) {
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
    use crate::protocol::{Embed, Limits};
    use serde::Serialize;
    use serde_json::{Value, json};

    fn body(format: Format, args: &impl Serialize, kwargs: &impl Serialize) -> Body {
        let bytes = Body::encode(format, args, kwargs, &Embed::default()).unwrap();
        Body::find(format, bytes.into(), Limits::DEEPEST).unwrap()
    }

    fn json_body(text: &'static str) -> Body {
        Body::find(Format::Json, text.into(), Limits::DEEPEST).unwrap()
    }

    /// All of it, if each item is of this type.
    fn read<T: DeserializeOwned>(body: &Body) -> Option<Vec<T>> {
        let mut list = body.list()?;
        let mut items = Vec::new();
        while let Some(item) = list.take_next().ok()? {
            items.push(item);
        }
        list.is_read_whole().then_some(items)
    }

    #[test]
    fn a_list_of_any_length_is_read_to_its_end() {
        for count in [0_usize, 1, 15, 16, 70_000] {
            let many: Vec<usize> = (0..count).collect();
            for format in [Format::Json, Format::MessagePack] {
                assert_eq!(read(&body(format, &many, &())), Some(many.clone()));
            }
        }
        let items = json!([1, [2, 3], { "a": [4, 5] }, "],", -1.5e3, null, true]);
        let items = items.as_array().unwrap();
        for format in [Format::Json, Format::MessagePack] {
            assert_eq!(read::<Value>(&body(format, items, &())).as_ref(), Some(items));
        }
        let spaced = "[ [ 1 , [2, 3] ,\t{\"a\": [4, 5]} , \"],\",-1.5e3 ,null , true ] , {} , {} ]";
        assert_eq!(read::<Value>(&json_body(spaced)).as_ref(), Some(items));
        for absent in ["[[ ], null, null]", "[null, null, null]"] {
            assert_eq!(read::<Value>(&json_body(absent)), Some(Vec::new()));
        }
    }

    #[test]
    fn it_is_read_only_when_it_says_everything_and_fits() {
        for format in [Format::Json, Format::MessagePack] {
            assert!(body(format, &(1, 2), &json!({ "size": 3 })).list().is_none());
            assert_eq!(read::<u8>(&body(format, &(1, "2"), &())), None);
            let body = body(format, &(1, 2), &());
            let mut list = body.list().unwrap();
            assert_eq!(list.take_next::<u8>(), Ok(Some(1)));
            assert!(!list.is_read_whole());
        }
        assert!(json_body("[[1, 36893488147419103232], {}, null]").list().is_none());
    }

    /// Reads nothing of what it is given.
    #[derive(Debug)]
    struct Careless;

    impl<'de> serde::Deserialize<'de> for Careless {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }

    #[test]
    fn a_type_that_does_not_read_its_item_spoils_the_list() {
        for format in [Format::Json, Format::MessagePack] {
            assert!(read::<Careless>(&body(format, &(1, 2), &())).is_none(), "{format:?}");
            // What is left of one item would be the next.
            assert_eq!(read::<(u8, u8)>(&body(format, &[[1, 2, 3], [4, 5, 6]], &())), None);
        }
    }
}
