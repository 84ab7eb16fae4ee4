//! Lists put together from values that are encoded already.

use super::scan::Kind;
use super::{Body, Embed, EncodeError, Format, Raw};
use serde::Serialize;

impl Raw {
    /// The list of these values. Those in another format are translated.
    ///
    /// # Errors
    ///
    /// When a value cannot be written in this format.
    pub fn list<'a>(
        format: Format,
        items: impl ExactSizeIterator<Item = &'a Self>,
    ) -> Result<Self, EncodeError> {
        let mut bytes = Vec::with_capacity(16 * items.len() + 8);
        open(format, items.len(), &mut bytes);
        for (index, item) in items.enumerate() {
            if index > 0 && format == Format::Json {
                bytes.push(b',');
            }
            bytes.extend_from_slice(item.to_format(format)?.bytes());
        }
        if format == Format::Json {
            bytes.push(b']');
        }
        Ok(Self::new(format, bytes))
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        Kind::of(self.format(), self.bytes()) == Some(Kind::Null)
    }
}

impl Body {
    /// Encodes a body whose first argument is encoded already; `args` are the others.
    ///
    /// # Errors
    ///
    /// When a value cannot be written in this format.
    pub fn encode_given<A: Serialize>(
        format: Format,
        given: Option<&Raw>,
        args: &[A],
        kwargs: &(impl Serialize + ?Sized),
        embed: &Embed,
    ) -> Result<Vec<u8>, EncodeError> {
        let Some(given) = given else { return Self::encode(format, args, kwargs, embed) };
        let others = args.iter().map(|arg| Raw::encode(format, arg));
        let others = others.collect::<Result<Vec<_>, _>>()?;
        let all: Vec<_> = std::iter::once(given).chain(&others).collect();
        let list = Raw::list(format, all.into_iter())?;
        // The empty list that stands at the start of the encoded body makes room for this one.
        let empty = Self::encode(format, &(), kwargs, embed)?;
        let (opening, rest) = match format {
            Format::Json => (&empty[..1], &empty[3..]),
            Format::MessagePack => (&empty[..1], &empty[2..]),
        };
        Ok([opening, list.bytes(), rest].concat())
    }
}

fn open(format: Format, length: usize, bytes: &mut Vec<u8>) {
    match (format, length) {
        (Format::Json, _) => bytes.push(b'['),
        (Format::MessagePack, 0..16) => bytes.push(0x90 | length as u8),
        (Format::MessagePack, 16..0x1_0000) => {
            bytes.push(0xdc);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        (Format::MessagePack, _) => {
            bytes.push(0xdd);
            bytes.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
}

/// Appends the map of these values. At most fifteen, under names of at most 31 bytes that need no
/// escaping.
pub(super) fn map_into(format: Format, entries: &[(&str, &[u8])], bytes: &mut Vec<u8>) {
    bytes.push(match format {
        Format::Json => b'{',
        Format::MessagePack => 0x80 | entries.len() as u8,
    });
    for (index, (name, value)) in entries.iter().enumerate() {
        match format {
            Format::Json => {
                bytes.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
                bytes.extend_from_slice(name.as_bytes());
                bytes.extend_from_slice(b"\":");
            }
            Format::MessagePack => {
                bytes.push(0xa0 | name.len() as u8);
                bytes.extend_from_slice(name.as_bytes());
            }
        }
        bytes.extend_from_slice(value);
    }
    if format == Format::Json {
        bytes.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Envelope, Headers, Limits, Properties};

    #[test]
    fn a_list_of_encoded_values_is_the_list_of_the_values() {
        for format in [Format::Json, Format::MessagePack] {
            for length in [0, 1, 15, 16, 1_000, 70_000_u32] {
                let formats = [Format::Json, Format::MessagePack].into_iter().cycle();
                let items: Vec<_> = (0..length)
                    .zip(formats)
                    .map(|(item, format)| Raw::encode(format, &item).unwrap())
                    .collect();
                let list = Raw::list(format, items.iter()).unwrap();
                assert_eq!(list.decode::<Vec<u32>>().unwrap(), (0..length).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn what_is_given_is_the_first_argument() {
        for format in [Format::Json, Format::MessagePack] {
            let given = Raw::encode(Format::Json, &["x"]).unwrap();
            let kwargs = [("a", 1)].into_iter().collect::<std::collections::BTreeMap<_, _>>();
            let embed = Embed::default();
            let body = Body::encode_given(format, Some(&given), &[7, 8], &kwargs, &embed).unwrap();
            let properties = Properties {
                content_type: Some(format.content_type().to_owned()),
                ..Properties::default()
            };
            let headers = Headers::new("t", "i".into());
            let envelope = Envelope { properties, headers, body: body.into() };
            let body = Body::parse(&envelope, &Limits::default()).unwrap();
            let args: (Vec<String>, i32, i32) = body.args().unwrap();
            assert_eq!(args, (vec!["x".to_owned()], 7, 8));
            assert_eq!(body.kwargs_json().unwrap().len(), 1);
        }
    }
}
