//! The body of a task message: `[args, kwargs, embed]`.

mod arguments;
mod encode;
mod json;
mod list;
#[cfg(test)]
mod tests;

pub use arguments::ArgumentReader;
pub use list::{ListReader, Unread};

use super::compression::decompress;
use super::scan::{Fault, Items, Kind, Span};
use super::{Bytes, DecodeError, Embed, Envelope, Format, Limits, Unreadable, Value, embed};
use json::to_json;
use serde::de::DeserializeOwned;
use std::ops::Range;

/// The three parts of a body, found in its bytes but not yet built.
///
/// An uncompressed body shares its bytes with the envelope; nothing is copied.
#[derive(Debug, Clone)]
pub struct Body {
    format: Format,
    bytes: Bytes,
    args: Part,
    kwargs: Part,
    embed: Part,
    follows: Vec<embed::Found>,
}

/// One part: where it lies, and whether it holds a number that cannot be read exactly.
#[derive(Debug, Clone)]
struct Part {
    range: Range<usize>,
    is_null: bool,
    odd: Option<usize>,
}

impl Body {
    /// Finds the parts of a message's body, after decompressing it where necessary.
    ///
    /// Checks the whole grammar, so that the parts can be passed on as they are.
    ///
    /// # Errors
    ///
    /// When the message does not hold exactly a list, a map and a map (each may be null), or goes
    /// beyond the limits.
    pub fn parse(envelope: &Envelope, limits: &Limits) -> Result<Self, Unreadable> {
        let content_type = envelope.properties.content_type.as_deref();
        let compression = envelope.headers.compression.as_deref();
        let (format, bytes) = open(content_type, compression, &envelope.body, limits)?;
        Self::find(format, bytes, limits.max_depth)
    }

    pub(in crate::protocol) fn find(
        format: Format,
        bytes: Bytes,
        max_depth: usize,
    ) -> Result<Self, Unreadable> {
        let at = |place| move |fault| unreadable(place, format, max_depth, &fault);
        let mut items = match Items::open(format, &bytes, max_depth).map_err(at("body"))? {
            Ok(items) if !items.is_map() => items,
            Ok(_) => return Err(shape("body", WHOLE, Kind::Map.name())),
            Err(other) => return Err(shape("body", WHOLE, other.name())),
        };
        let mut next = |place: &'static str, count: &str| {
            let span = items.next().map_err(at(place))?;
            span.ok_or_else(|| shape("body", WHOLE, count))
        };
        let args = Part::new("args", next("args", "an empty list")?, Kind::List)?;
        let kwargs = Part::new("kwargs", next("kwargs", "a list of 1")?, Kind::Map)?;
        let embed = Part::new("embed", next("embed", "a list of 2")?, Kind::Map)?;
        if items.next().map_err(at("body"))?.is_some() {
            return Err(shape("body", WHOLE, "a longer list"));
        }
        items.finish().map_err(at("body"))?;
        let nothing: [&[u8]; 3] = [b"{}", CELERY_NOTHING, &[0x80]];
        let follows = match nothing.contains(&&bytes[embed.range.clone()]) {
            true => Vec::new(),
            false => embed::find(format, &bytes, embed.range.clone()),
        };
        Ok(Self { format, bytes, args, kwargs, embed, follows })
    }

    /// How the body is encoded.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The whole body as it stands in the message, decompressed.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The positional arguments as they stand in the message: a list, or null.
    pub fn raw_args(&self) -> &[u8] {
        &self.bytes[self.args.range.clone()]
    }

    /// The named arguments as they stand in the message: a map, or null.
    pub fn raw_kwargs(&self) -> &[u8] {
        &self.bytes[self.kwargs.range.clone()]
    }

    /// The positional arguments, usually as a tuple.
    ///
    /// # Errors
    ///
    /// When they are of another type; the error names the position.
    pub fn args<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.decode("args", &self.args, EMPTY_LIST)
    }

    /// The named arguments.
    ///
    /// # Errors
    ///
    /// When they are of another type; the error names the argument.
    pub fn kwargs<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.decode("kwargs", &self.kwargs, EMPTY_MAP)
    }

    /// The positional arguments as JSON. Binary becomes Celery's `{"__type__": ..}` map, and keys
    /// that are no text become text.
    ///
    /// # Errors
    ///
    /// When a number is not finite or beyond 64 bits.
    pub fn args_json(&self) -> Result<Vec<serde_json::Value>, DecodeError> {
        match self.format {
            Format::Json => self.args(),
            Format::MessagePack => Ok(self.args::<Vec<Value>>()?.iter().map(to_json).collect()),
        }
    }

    /// The named arguments as JSON, by the rules of [`Body::args_json`].
    ///
    /// # Errors
    ///
    /// As [`Body::args_json`].
    pub fn kwargs_json(&self) -> Result<serde_json::Map<String, serde_json::Value>, DecodeError> {
        match self.format {
            Format::Json => self.kwargs(),
            Format::MessagePack => match to_json(&self.kwargs()?) {
                serde_json::Value::Object(map) => Ok(map),
                _ => Ok(serde_json::Map::new()),
            },
        }
    }

    /// Whether something follows the task. `true` also when that cannot be read.
    pub fn is_followed(&self) -> bool {
        self.embed.odd.is_some() || !self.follows.is_empty()
    }

    /// What follows the task.
    ///
    /// # Errors
    ///
    /// When a signature is not one.
    pub fn embed(&self) -> Result<Embed, DecodeError> {
        let range = &self.embed.range;
        match self.embed.odd {
            Some(at) => Err(self.odd_number("embed", &self.bytes[range.clone()], at - range.start)),
            None => Embed::read(self.format, &self.bytes, &self.follows),
        }
    }

    fn decode<T: DeserializeOwned>(
        &self,
        place: &'static str,
        part: &Part,
        empty: Empty,
    ) -> Result<T, DecodeError> {
        if part.is_null {
            return self.format.decode_at(place, empty.encoded(self.format));
        }
        let bytes = &self.bytes[part.range.clone()];
        match part.odd {
            Some(at) => Err(self.odd_number(place, bytes, at - part.range.start)),
            None => self.format.decode_at(place, bytes),
        }
    }

    /// Names the argument that holds a number which no Rust type takes without changing it.
    fn odd_number(&self, place: &str, bytes: &[u8], at: usize) -> DecodeError {
        let number: String = bytes[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-')
            .map(|byte| char::from(*byte))
            .take(40)
            .collect();
        let place = match argument_at(self.format, bytes, at) {
            Some(argument) => format!("{place}{argument}"),
            None => place.to_owned(),
        };
        let message = if number.ends_with(|digit: char| digit.is_ascii_digit()) {
            format!("integer {number} is beyond 64 bits: send it as text")
        } else {
            format!("{number} is no JSON number: send null or text")
        };
        DecodeError { place, message }
    }
}

/// What Celery writes when nothing follows.
const CELERY_NOTHING: &[u8] =
    br#"{"callbacks": null, "errbacks": null, "chain": null, "chord": null}"#;

const WHOLE: &str = "a list of args, kwargs, embed";

/// What stands for a part that is null.
#[derive(Clone, Copy)]
struct Empty(&'static [u8], &'static [u8]);

const EMPTY_LIST: Empty = Empty(b"[]", &[0x90]);
const EMPTY_MAP: Empty = Empty(b"{}", &[0x80]);

impl Empty {
    fn encoded(self, format: Format) -> &'static [u8] {
        match format {
            Format::Json => self.0,
            Format::MessagePack => self.1,
        }
    }
}

impl Part {
    fn new(place: &'static str, span: Span, wanted: Kind) -> Result<Self, Unreadable> {
        let is_null = span.kind == Kind::Null;
        if span.kind != wanted && !is_null {
            return Err(shape(place, wanted.name(), span.kind.name()));
        }
        Ok(Self { range: span.range, is_null, odd: span.odd })
    }
}

/// Checks content type and length, and decompresses.
pub(super) fn open(
    content_type: Option<&str>,
    compression: Option<&str>,
    body: &Bytes,
    limits: &Limits,
) -> Result<(Format, Bytes), Unreadable> {
    let content_type = content_type.ok_or(Unreadable::NoContentType)?;
    let format = Format::from_content_type(content_type)
        .ok_or_else(|| Unreadable::ContentType { found: content_type.to_owned() })?;
    Ok((format, decompress(body, compression, limits)?))
}

pub(super) fn unreadable(
    place: &'static str,
    format: Format,
    max_depth: usize,
    fault: &Fault,
) -> Unreadable {
    match *fault {
        Fault::TooDeep => Unreadable::TooDeep { place, limit: max_depth.min(Limits::DEEPEST) },
        Fault::Syntax { at, expected } => {
            Unreadable::Syntax { place, format: format.name(), expected, at }
        }
    }
}

fn shape(place: &'static str, expected: &'static str, found: &str) -> Unreadable {
    Unreadable::Shape { place, expected, found: found.to_owned() }
}

/// The index or name of the argument that byte `at` belongs to.
fn argument_at(format: Format, bytes: &[u8], at: usize) -> Option<String> {
    let mut items = Items::open(format, bytes, Limits::DEEPEST).ok()?.ok()?;
    let mut index = 0;
    while let Some(span) = items.next().ok()? {
        let name = if items.is_map() {
            let name: String = format.decode(&bytes[span.range]).ok()?;
            if !items.next().ok()??.range.contains(&at) {
                continue;
            }
            format!(".{name}")
        } else {
            index += 1;
            if !span.range.contains(&at) {
                continue;
            }
            format!("[{}]", index - 1)
        };
        return Some(name);
    }
    None
}
