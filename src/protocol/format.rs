//! Content types: how values become bytes and bytes values.
//!
//! JSON is written as Celery reads it: binary becomes Celery's `{"__type__": ..}` map. MessagePack
//! is written with named fields and with the texts a person would read (a UUID is text, not
//! sixteen bytes), so that a task takes the same arguments in either format, from any language.

use super::scan::{Fault, Items, Kind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use std::io;

/// How a body or a result is encoded.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub enum Format {
    /// `application/json`, which every Celery worker accepts.
    #[serde(rename = "json")]
    Json,
    /// `application/x-msgpack`, ours by default: shorter, and it holds binary.
    #[default]
    #[serde(rename = "msgpack")]
    MessagePack,
}

impl Format {
    /// The format that a content type names, if it is one of ours. Parameters such as
    /// `; charset=utf-8` are ignored.
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json" => Some(Self::Json),
            "application/x-msgpack" | "application/msgpack" => Some(Self::MessagePack),
            _ => None,
        }
    }

    /// The MIME type for property `content_type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::MessagePack => "application/x-msgpack",
        }
    }

    /// The value for property `content_encoding`.
    pub fn content_encoding(self) -> &'static str {
        match self {
            Self::Json => "utf-8",
            Self::MessagePack => "binary",
        }
    }

    /// The short name, as in configuration and in Celery's `serializer` option.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MessagePack => "msgpack",
        }
    }

    /// Encodes a value.
    ///
    /// # Errors
    ///
    /// When the value cannot be written in this format, such as a map whose keys are lists.
    pub fn encode<T: Serialize + ?Sized>(self, value: &T) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::with_capacity(128);
        self.encode_into(value, &mut bytes)?;
        Ok(bytes)
    }

    /// Appends an encoded value to `bytes`.
    ///
    /// # Errors
    ///
    /// As [`Format::encode`]; `bytes` then ends in a part of the value.
    pub fn encode_into<T: Serialize + ?Sized>(
        self,
        value: &T,
        bytes: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Json => {
                let mut json = serde_json::Serializer::with_formatter(bytes, TypedBinary);
                value.serialize(&mut json).map_err(|error| EncodeError::new(self, &error))
            }
            Self::MessagePack => {
                let mut msgpack =
                    rmp_serde::Serializer::new(bytes).with_struct_map().with_human_readable();
                value.serialize(&mut msgpack).map_err(|error| EncodeError::new(self, &error))
            }
        }
    }

    /// Decodes a value.
    ///
    /// # Errors
    ///
    /// When `bytes` do not hold such a value; the error names the place inside it.
    pub fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, DecodeError> {
        self.decode_at("", bytes)
    }

    /// Decodes a list or map from a sender that is not trusted: one that is nested more than
    /// `max_depth` levels deep is refused before anything is built.
    ///
    /// # Errors
    ///
    /// As [`Format::decode`], and when it is nested too deeply.
    pub fn decode_within<T: DeserializeOwned>(
        self,
        bytes: &[u8],
        max_depth: usize,
    ) -> Result<T, DecodeError> {
        let bad = |what: String| DecodeError { place: String::new(), message: what };
        let shallow = || {
            let Ok(mut items) = Items::open(self, bytes, max_depth)? else { return Ok(false) };
            while items.next()?.is_some() {}
            items.finish().map(|()| true)
        };
        match shallow() {
            Ok(true) => self.decode(bytes),
            Ok(false) => Err(bad("neither a list nor a map".to_owned())),
            Err(Fault::TooDeep) => Err(bad(format!("nested more than {max_depth} levels deep"))),
            Err(Fault::Syntax { at, expected }) => {
                Err(bad(format!("byte {at}: expected {expected}")))
            }
        }
    }

    /// Decodes a value that is found at `place` in a message.
    pub(super) fn decode_at<T: DeserializeOwned>(
        self,
        place: &str,
        bytes: &[u8],
    ) -> Result<T, DecodeError> {
        // Keeping track of the path costs, so it is done only when there is something to tell.
        match self {
            Self::Json => serde_json::from_slice(bytes).map_err(|error| {
                let mut json = serde_json::Deserializer::from_slice(bytes);
                DecodeError::locate::<T, _>(&mut json, place, &error, ToString::to_string)
            }),
            Self::MessagePack => T::deserialize(&mut msgpack(bytes)).map_err(|error| {
                DecodeError::locate::<T, _>(&mut msgpack(bytes), place, &error, msgpack_message)
            }),
        }
    }
}

/// The decoder of MessagePack.
pub(super) type MessagePackReader<'a> = rmp_serde::Deserializer<
    rmp_serde::decode::ReadRefReader<'a, [u8]>,
    rmp_serde::config::HumanReadableConfig<rmp_serde::config::DefaultConfig>,
>;

/// A decoder of what `bytes` hold.
pub(super) fn msgpack(bytes: &[u8]) -> MessagePackReader<'_> {
    rmp_serde::Deserializer::from_read_ref(bytes).with_human_readable()
}

/// What the decoder says, for a person who does not know its type markers.
fn msgpack_message(error: &rmp_serde::decode::Error) -> String {
    match error {
        rmp_serde::decode::Error::TypeMismatch(marker) => {
            let found = Kind::of(Format::MessagePack, &[marker.to_u8()]);
            format!("{} is not the type that is wanted here", found.map_or("nothing", Kind::name))
        }
        other => other.to_string(),
    }
}

/// Writes binary into JSON as Celery does: `bytes` when it is text, else `base64`.
struct TypedBinary;

impl serde_json::ser::Formatter for TypedBinary {
    fn write_byte_array<W>(&mut self, writer: &mut W, bytes: &[u8]) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        serde_json::to_writer(writer, &typed_binary(bytes)).map_err(io::Error::from)
    }
}

/// Celery's map for binary in JSON.
pub(super) fn typed_binary(bytes: &[u8]) -> serde_json::Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::json!({ "__type__": "bytes", "__value__": text }),
        Err(_) => serde_json::json!({ "__type__": "base64", "__value__": BASE64.encode(bytes) }),
    }
}

/// Why a value was not encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot be written as {format}: {message}")]
pub struct EncodeError {
    /// The format asked for, or the part of a message.
    pub format: &'static str,
    /// What is in the way.
    pub message: String,
}

impl EncodeError {
    fn new(format: Format, error: &dyn std::error::Error) -> Self {
        Self { format: format.name(), message: error.to_string() }
    }
}

/// Why bytes did not decode into what was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", located(place))]
pub struct DecodeError {
    /// Where in the message, such as `args[1]` or `kwargs.size`; empty for the whole value.
    pub place: String,
    /// What was found and what was expected.
    pub message: String,
}

fn located(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!("{place}: ") }
}

impl DecodeError {
    /// Decodes again, watching the path, to find where it goes wrong.
    fn locate<'de, T, D>(
        deserializer: D,
        place: &str,
        error: &D::Error,
        message: fn(&D::Error) -> String,
    ) -> Self
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        let Err(located) = serde_path_to_error::deserialize::<_, T>(deserializer) else {
            return Self { place: place.to_owned(), message: message(error) };
        };
        let path = match located.path().to_string() {
            root if root == "." => String::new(),
            path => path,
        };
        let joint =
            if place.is_empty() || path.is_empty() || path.starts_with('[') { "" } else { "." };
        Self { place: format!("{place}{joint}{path}"), message: message(located.inner()) }
    }
}
