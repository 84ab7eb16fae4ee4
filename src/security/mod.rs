//! Signed messages, as Celery's serializer `auth` makes them: verified, and made.
//!
//! A worker that trusts certificates takes a message only from their owners. The signature covers
//! the body alone, so whoever can publish may send a signed body again, also to another task: it
//! shows who wrote the arguments, not who asks for what.

mod certificate;
mod pss;
mod settings;
#[cfg(test)]
mod tests;
mod trusted;

pub use settings::{Digest, Settings, Unsigned};

use crate::protocol::{Body, Bytes, EncodeError, Envelope, Format, Limits, Signed, Unreadable};
use certificate::Certificate;
use rsa::PrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use trusted::{Trusted, read};

/// Who is trusted, and how what is sent is signed. Cloning is cheap.
///
/// The default trusts no signatures, takes what is not signed, and signs nothing.
#[derive(Debug, Clone, Default)]
pub struct Security {
    digest: Digest,
    unsigned: Unsigned,
    trusted: Option<Arc<Trusted>>,
    signer: Option<Arc<Signer>>,
}

#[derive(Debug)]
struct Signer {
    id: String,
    key: PrivateKey,
}

/// Why messages cannot be verified or signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecurityError {
    /// A file or folder is not readable.
    #[error("[security] {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is no certificate that can be used.
    #[error(
        "[security] {}: not a certificate: {problem}; every file there must hold one as PEM",
        path.display()
    )]
    Certificate {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Two files hold a certificate of one issuer and serial number.
    #[error("[security] {}: certificate `{id}` is in another file too: remove one", path.display())]
    Twice {
        /// The second of them.
        path: PathBuf,
        /// Issuer and serial number.
        id: String,
    },
    /// Nobody is trusted.
    #[error("[security] certificates: no file fits {}", .0.display())]
    Nobody(PathBuf),
    /// The private key cannot be used.
    #[error("[security] key_file {}: {problem}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A key without its certificate, or the other way round.
    #[error("[security] key_file and cert_file belong together: set both or none")]
    Half,
}

impl Security {
    /// Reads the certificates and the key that the settings name.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read, or does not fit the other.
    pub fn open(settings: &Settings, now: SystemTime) -> Result<Self, SecurityError> {
        let trusted = settings.certificates.as_deref().map(|place| Trusted::open(place, now));
        let signer = match (&settings.key_file, &settings.cert_file) {
            (Some(key), Some(certificate)) => {
                Some(Signer::open(settings.digest, key, certificate)?)
            }
            (None, None) => None,
            _ => return Err(SecurityError::Half),
        };
        Ok(Self {
            digest: settings.digest,
            unsigned: settings.unsigned,
            trusted: trusted.transpose()?.map(Arc::new),
            signer: signer.map(Arc::new),
        })
    }

    /// Whether unsigned messages are refused here, while none of ours is signed.
    pub fn refuses_its_own(&self) -> bool {
        self.trusted.is_some() && self.unsigned == Unsigned::Refuse && self.signer.is_none()
    }

    /// Finds the parts of a message's body, if it may be trusted.
    ///
    /// # Errors
    ///
    /// As [`Body::parse`]; also when it is signed by nobody, or by somebody who is not trusted.
    pub fn parse(
        &self,
        envelope: &Envelope,
        limits: &Limits,
        now: SystemTime,
    ) -> Result<Body, Unreadable> {
        let Some(trusted) = &self.trusted else { return Body::parse(envelope, limits) };
        match Signed::read(envelope, limits)? {
            Some(signed) => {
                trusted.verify(self.digest, &signed, now)?;
                signed.parse(limits)
            }
            None if self.unsigned == Unsigned::Accept => Body::parse(envelope, limits),
            None => Err(Unreadable::Unsigned),
        }
    }

    /// Signs the body of a message that is about to be sent, if there is a key. `format` is that of
    /// the body, which is not compressed yet.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub fn sign(&self, mut envelope: Envelope, format: Format) -> Result<Envelope, EncodeError> {
        let Some(signer) = &self.signer else { return Ok(envelope) };
        envelope.body = signer.sign(self.digest, envelope.body, format)?.into();
        envelope.properties.content_type = Some(Signed::CONTENT_TYPE.to_owned());
        envelope.properties.content_encoding = Some(Signed::CONTENT_ENCODING.to_owned());
        Ok(envelope)
    }
}

impl Signer {
    fn open(digest: Digest, key: &Path, certificate: &Path) -> Result<Self, SecurityError> {
        let bad = |problem: &str| SecurityError::Key {
            path: key.to_owned(),
            problem: problem.to_owned(),
        };
        let text = String::from_utf8(read(key)?).map_err(|_| bad("it is no PEM file"))?;
        let private = PrivateKey::from_pkcs8_pem(&text)
            .ok()
            .or_else(|| PrivateKey::from_pkcs1_pem(&text).ok())
            .ok_or_else(|| bad("it is no RSA key in PEM without a password"))?;
        let certificate = Certificate::from_pem(&read(certificate)?).map_err(|problem| {
            SecurityError::Certificate { path: certificate.to_owned(), problem }
        })?;
        pss::sign(digest, &private, b"").map_err(|problem| bad(&problem))?;
        if private.to_public_key() != certificate.key {
            return Err(bad("it is not the key of the certificate in cert_file"));
        }
        Ok(Self { id: certificate.id, key: private })
    }

    fn sign(&self, digest: Digest, body: Bytes, format: Format) -> Result<Vec<u8>, EncodeError> {
        let signature = pss::sign(digest, &self.key, &body)
            .map_err(|message| EncodeError { format: "a signed body", message })?;
        let signed = Signed {
            signer: self.id.clone(),
            signature,
            content_type: format.content_type().to_owned(),
            content_encoding: format.content_encoding().to_owned(),
            body,
        };
        Ok(signed.write())
    }
}
