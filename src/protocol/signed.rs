//! A signed body, as Celery's serializer `auth` writes it.
//!
//! Five fields (signer, signature, inner content type, its encoding, the body that was signed) stand
//! one after another between separators, the first two in base64, and all of it in base64 once more.
//! The signature covers the inner body and nothing else: neither the headers, nor the task's name.
//! Nothing is verified here; [`crate::security`] does that.

use super::compression::decompress;
use super::{Body, Bytes, Envelope, Format, Limits, Unreadable};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

const SEPARATOR: &[u8] = &[0, 1];

/// A body with who signed it. Not verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Signed {
    /// Which certificate the signer names: its issuer and serial number.
    pub signer: String,
    /// The signature of `body`.
    pub signature: Vec<u8>,
    /// MIME type of `body`.
    pub content_type: String,
    /// `utf-8` or `binary`.
    pub content_encoding: String,
    /// What was signed.
    pub body: Bytes,
}

impl Signed {
    /// The content type of a message with such a body.
    pub const CONTENT_TYPE: &str = "application/data";

    /// The encoding of a message with such a body.
    pub const CONTENT_ENCODING: &str = "utf-8";

    /// Takes the body of a message apart; `None` when its content type is another.
    ///
    /// # Errors
    ///
    /// When it is not made of these fields, does not decompress, or is too long.
    pub fn read(envelope: &Envelope, limits: &Limits) -> Result<Option<Self>, Unreadable> {
        if envelope.properties.content_type.as_deref() != Some(Self::CONTENT_TYPE) {
            return Ok(None);
        }
        let compression = envelope.headers.compression.as_deref();
        let outer = decompress(&envelope.body, compression, limits)?;
        let fields = Bytes::from(decode(&outer, "base64 around all of it")?);
        let mut rest = fields.as_ref();
        let mut next = |expected| {
            let at = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
            let at = at.ok_or_else(|| shape(expected, "fewer fields"))?;
            let field = &rest[..at];
            rest = &rest[at + SEPARATOR.len()..];
            Ok(field)
        };
        let signer = text(&decode(next("a signer")?, "a signer in base64")?, "a signer")?;
        let signature = decode(next("a signature")?, "a signature in base64")?;
        let content_type = text(next("a content type")?, "a content type")?;
        let content_encoding = text(next("an encoding")?, "an encoding")?;
        let body = fields.slice_ref(rest);
        Ok(Some(Self { signer, signature, content_type, content_encoding, body }))
    }

    /// The body as it travels.
    pub fn write(&self) -> Vec<u8> {
        let signer = BASE64.encode(&self.signer);
        let signature = BASE64.encode(&self.signature);
        let fields: [&[u8]; 5] = [
            signer.as_bytes(),
            signature.as_bytes(),
            self.content_type.as_bytes(),
            self.content_encoding.as_bytes(),
            &self.body,
        ];
        BASE64.encode(fields.join(SEPARATOR)).into_bytes()
    }

    /// Finds the parts of the body that was signed.
    ///
    /// # Errors
    ///
    /// As [`Body::parse`].
    pub fn parse(&self, limits: &Limits) -> Result<Body, Unreadable> {
        let format = Format::from_content_type(&self.content_type)
            .ok_or_else(|| Unreadable::ContentType { found: self.content_type.clone() })?;
        Body::find(format, self.body.clone(), limits.max_depth)
    }
}

fn decode(bytes: &[u8], expected: &'static str) -> Result<Vec<u8>, Unreadable> {
    BASE64.decode(bytes).map_err(|error| shape(expected, &error.to_string()))
}

fn text(bytes: &[u8], expected: &'static str) -> Result<String, Unreadable> {
    String::from_utf8(bytes.to_vec()).map_err(|error| shape(expected, &error.to_string()))
}

fn shape(expected: &'static str, found: &str) -> Unreadable {
    Unreadable::Shape { place: "signed body", expected, found: found.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Compression, Headers, Properties};

    fn signed() -> Signed {
        Signed {
            signer: "Some CA 17".to_owned(),
            signature: vec![0, 1, 2, 0xff],
            content_type: "application/json".to_owned(),
            content_encoding: "utf-8".to_owned(),
            body: Bytes::from_static(b"[[\"\x00\x01\"],{},null]"),
        }
    }

    fn envelope(body: impl Into<Bytes>) -> Envelope {
        let content_type = Some(Signed::CONTENT_TYPE.to_owned());
        let properties = Properties { content_type, ..Properties::default() };
        Envelope { properties, headers: Headers::new("t", "i".into()), body: body.into() }
    }

    #[test]
    fn what_is_written_is_read_also_with_separators_in_it_and_compressed() {
        let limits = Limits::default();
        let mut message = envelope(signed().write());
        assert_eq!(Signed::read(&message, &limits), Ok(Some(signed())));
        message.body = Compression::Gzip.compress(&message.body).into();
        message.headers.compression = Some(Compression::Gzip.header().to_owned());
        assert_eq!(Signed::read(&message, &limits), Ok(Some(signed())));
        message.properties.content_type = Some("application/json".to_owned());
        assert_eq!(Signed::read(&message, &limits), Ok(None));
    }

    #[test]
    fn what_is_not_made_so_says_where() {
        let read = |body: &[u8]| {
            let error = Signed::read(&envelope(body.to_vec()), &Limits::default()).unwrap_err();
            error.to_string()
        };
        assert!(read(b"{}").starts_with("signed body: expected base64 around all of it"));
        let inner = |fields: &str| read(BASE64.encode(fields).as_bytes());
        assert_eq!(inner(""), "signed body: expected a signer, found fewer fields");
        assert_eq!(inner("Yg==\0\x01"), "signed body: expected a signature, found fewer fields");
        assert!(inner("?\0\x01").starts_with("signed body: expected a signer in base64, found"));
        let nothing = Signed::read(&envelope(""), &Limits::default()).unwrap_err();
        assert_eq!(nothing.reason(), "unreadable");
    }

    #[test]
    fn the_inner_content_type_must_be_one_that_is_read() {
        let mut pickled = signed();
        pickled.content_type = "application/x-python-serialize".to_owned();
        let error = pickled.parse(&Limits::default()).unwrap_err();
        assert!(error.to_string().contains("(pickle) can run code"), "{error}");
    }
}
