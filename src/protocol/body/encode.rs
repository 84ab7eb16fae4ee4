//! Writing a body.

use super::{Body, EMPTY_LIST, EMPTY_MAP};
use crate::protocol::scan::Kind;
use crate::protocol::{Embed, EncodeError, Format};
use serde::Serialize;

impl Body {
    /// Encodes a body. What follows is an empty map when nothing does: a Celery worker runs a task
    /// with null there too, but code of its users that asks the request for its chord or errbacks
    /// breaks on it.
    ///
    /// # Errors
    ///
    /// When `args` are not a list (nor `()`), `kwargs` no map (nor `()`), or a value cannot be
    /// written in this format.
    pub fn encode(
        format: Format,
        args: &(impl Serialize + ?Sized),
        kwargs: &(impl Serialize + ?Sized),
        embed: &Embed,
    ) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::with_capacity(128);
        bytes.push(match format {
            Format::Json => b'[',
            Format::MessagePack => 0x93,
        });
        push(format, &mut bytes, args, Kind::List)?;
        separate(format, &mut bytes);
        push(format, &mut bytes, kwargs, Kind::Map)?;
        separate(format, &mut bytes);
        embed.encode_into(format, &mut bytes)?;
        if format == Format::Json {
            bytes.push(b']');
        }
        Ok(bytes)
    }
}

/// Appends one part. `()` stands for no arguments.
fn push(
    format: Format,
    bytes: &mut Vec<u8>,
    value: &(impl Serialize + ?Sized),
    wanted: Kind,
) -> Result<(), EncodeError> {
    let (part, empty) = match wanted {
        Kind::Map => ("kwargs", EMPTY_MAP),
        _ => ("args", EMPTY_LIST),
    };
    let start = bytes.len();
    format.encode_into(value, bytes)?;
    let found = Kind::of(format, &bytes[start..]);
    if found == Some(Kind::Null) {
        bytes.truncate(start);
        bytes.extend_from_slice(empty.encoded(format));
    } else if found != Some(wanted) {
        let found = found.map_or("nothing", Kind::name);
        let message = format!("expected {}, got {found}", wanted.name());
        return Err(EncodeError { format: part, message });
    }
    Ok(())
}

fn separate(format: Format, bytes: &mut Vec<u8>) {
    if format == Format::Json {
        bytes.push(b',');
    }
}
