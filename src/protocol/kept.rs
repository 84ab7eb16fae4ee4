//! How a store keeps what Celery puts there: documents that do not say how they are encoded, and
//! the members of a chord.

use super::compression;
use super::scan::{Items, Span};
use super::{
    Bytes, DecodeError, EncodeError, Format, Limits, Raw, StoredException, StoredResult, TaskState,
};
use crate::ids::TaskId;

/// What Celery puts before a compressed document; its MIME type and a zero byte follow.
const COMPRESSED: &[u8] = b"\0celery-compressed\0";

impl StoredResult {
    /// Decodes a document as it lies in a store, whichever of our formats it has, compressed or
    /// not.
    ///
    /// # Errors
    ///
    /// When it is no such document, such as one that Celery has pickled.
    pub fn read_kept(bytes: impl Into<Bytes>) -> Result<Self, DecodeError> {
        let bytes = decompressed(bytes.into())?;
        Self::decode(format_of(&bytes), bytes)
    }
}

/// How one member of a chord ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The task.
    pub task_id: TaskId,
    /// `SUCCESS`, `FAILURE` or `REVOKED`.
    pub state: TaskState,
    /// Its value, or a [`super::StoredException`].
    pub result: Raw,
}

impl Member {
    /// Encodes it as Celery lists members in Redis: `[1, id, state, result]`, where the result is
    /// not encoded anew.
    ///
    /// # Errors
    ///
    /// When the id cannot be written.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let format = self.result.format();
        let (id, state) = (self.task_id.as_str(), self.state.as_str());
        let mut bytes = Vec::with_capacity(64 + self.result.bytes().len());
        match format {
            Format::Json => {
                bytes.extend_from_slice(b"[1, ");
                format.encode_into(id, &mut bytes)?;
                bytes.extend_from_slice(b", ");
                format.encode_into(state, &mut bytes)?;
                bytes.extend_from_slice(b", ");
                bytes.extend_from_slice(self.result.bytes());
                bytes.push(b']');
            }
            Format::MessagePack => {
                // A list of four, the first of them 1.
                bytes.extend_from_slice(&[0x94, 0x01]);
                format.encode_into(id, &mut bytes)?;
                format.encode_into(state, &mut bytes)?;
                bytes.extend_from_slice(self.result.bytes());
            }
        }
        Ok(bytes)
    }

    /// What Celery says of a chord that this member has failed.
    pub fn failure(&self) -> String {
        let exception: Option<StoredException> = self.result.decode().ok();
        let raised = exception.map_or_else(|| self.state.to_string(), |error| error.repr());
        format!("Dependency {} raised {raised}", self.task_id)
    }

    /// Decodes one, in either format.
    ///
    /// # Errors
    ///
    /// When it is no such list.
    pub fn decode(bytes: impl Into<Bytes>) -> Result<Self, DecodeError> {
        let bytes = bytes.into();
        let format = format_of(&bytes);
        let Some([_, id, state, result]) = four(format, &bytes) else {
            return Err(wrong("a chord's member is [1, id, state, result]"));
        };
        Ok(Self {
            task_id: format.decode(&bytes[id.range])?,
            state: format.decode(&bytes[state.range])?,
            result: Raw::new(format, bytes.slice(result.range)),
        })
    }
}

impl From<&StoredResult> for Member {
    fn from(stored: &StoredResult) -> Self {
        Self {
            task_id: stored.task_id.clone(),
            state: stored.state.clone(),
            result: stored.result.clone(),
        }
    }
}

/// JSON lists and maps begin with a bracket, which no MessagePack list or map does.
fn format_of(bytes: &[u8]) -> Format {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => Format::Json,
        _ => Format::MessagePack,
    }
}

fn four(format: Format, bytes: &[u8]) -> Option<[Span; 4]> {
    let mut items = Items::open(format, bytes, Limits::DEEPEST).ok()?.ok()?;
    let mut spans = Vec::with_capacity(4);
    while let Some(span) = items.next().ok()? {
        spans.push(span);
    }
    spans.try_into().ok().filter(|_| !items.is_map())
}

fn decompressed(bytes: Bytes) -> Result<Bytes, DecodeError> {
    let Some(rest) = bytes.strip_prefix(COMPRESSED) else { return Ok(bytes) };
    let Some(end) = rest.iter().position(|byte| *byte == 0) else {
        return Err(wrong("compressed, without saying how"));
    };
    let name = String::from_utf8_lossy(&rest[..end]);
    let body = bytes.slice(COMPRESSED.len() + end + 1..);
    compression::decompress(&body, Some(&name), &Limits::default())
        .map_err(|error| wrong(&error.to_string()))
}

fn wrong(message: &str) -> DecodeError {
    DecodeError { place: String::new(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Compression, Value};

    #[test]
    fn a_member_is_written_as_celery_writes_it_and_read_in_both_formats() {
        let celery = r#"[1, "bd21167c", "SUCCESS", {"a": [2]}]"#;
        let member = Member::decode(celery).unwrap();
        assert_eq!(member.encode().unwrap(), celery.as_bytes());
        let value: Value = member.result.decode().unwrap();
        let packed = Format::MessagePack.encode(&value).unwrap();
        let packed = Member { result: Raw::new(Format::MessagePack, packed), ..member };
        assert_eq!(Member::decode(packed.encode().unwrap()).unwrap(), packed);
        for other in ["[1, 2]", "{}", "[1, 2, 3, 4]", "7", ""] {
            assert!(Member::decode(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_kept_document_says_by_itself_how_it_is_encoded() {
        let json = r#"{"status": "SUCCESS", "result": [1, 2], "task_id": "t"}"#;
        let stored = StoredResult::read_kept(json).unwrap();
        let packed = stored.encode(Format::MessagePack).unwrap();
        let zlib = Compression::Gzip.compress(json.as_bytes());
        let compressed = [COMPRESSED, b"application/x-gzip\0", &zlib].concat();
        for bytes in [packed, compressed] {
            let again = StoredResult::read_kept(bytes).unwrap();
            assert_eq!(again.result.decode::<(u8, u8)>().unwrap(), (1, 2));
        }
        assert!(StoredResult::read_kept(&b"\x80\x05pickled"[..]).is_err());
        assert!(StoredResult::read_kept(&b"\0celery-compressed\0"[..]).is_err());
    }
}
