//! One X.509 certificate, as far as signatures need it.

use super::{Digest, pss};
use rsa::PublicKey;
use rsa::pkcs8::DecodePublicKey;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::Any;
use x509_parser::pem::Pem;
use x509_parser::time::ASN1Time;

/// A certificate with an RSA key.
#[derive(Debug)]
pub(super) struct Certificate {
    /// Issuer and serial number, written as Celery writes them.
    pub(super) id: String,
    pub(super) key: PublicKey,
    from: SystemTime,
    until: SystemTime,
}

/// Why a signature is not taken.
#[derive(Debug, PartialEq)]
pub(super) enum Distrust {
    NotYet(SystemTime),
    Expired(SystemTime),
    Forged,
}

impl Certificate {
    /// Reads the first certificate of a PEM file, as Celery does.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let pem = Pem::iter_from_buffer(pem).next().ok_or("it is no PEM file")?;
        let pem = pem.map_err(|error| error.to_string())?;
        if pem.label != "CERTIFICATE" {
            return Err(format!("it holds a {}", pem.label.to_lowercase()));
        }
        Self::read(&pem.parse_x509().map_err(|error| error.to_string())?)
    }

    fn read(certificate: &X509Certificate<'_>) -> Result<Self, String> {
        let issuer = certificate.issuer().iter_attributes().map(|attribute| {
            let value = attribute.attr_value();
            text(value).ok_or_else(|| format!("its issuer holds a {}", value.tag()))
        });
        let mut id = issuer.collect::<Result<Vec<_>, _>>()?;
        id.push(certificate.tbs_certificate.serial.to_string());
        let validity = certificate.validity();
        let key = PublicKey::from_public_key_der(certificate.public_key().raw);
        Ok(Self {
            id: id.join(" "),
            key: key.map_err(|error| format!("its key is not read, only RSA is: {error}"))?,
            from: time(validity.not_before),
            until: time(validity.not_after),
        })
    }

    /// Whether it has ended by this time.
    pub(super) fn has_expired(&self, now: SystemTime) -> bool {
        now >= self.until
    }

    /// Whether `signature` is its owner's for `body`, at this time.
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub(super) fn verify(
        &self,
        digest: Digest,
        body: &[u8],
        signature: &[u8],
        now: SystemTime,
    ) -> Result<(), Distrust> {
        if self.has_expired(now) {
            return Err(Distrust::Expired(self.until));
        }
        if now < self.from {
            return Err(Distrust::NotYet(self.from));
        }
        match pss::is_signed(digest, &self.key, body, signature) {
            true => Ok(()),
            false => Err(Distrust::Forged),
        }
    }
}

/// The text of a name's attribute.
fn text(value: &Any<'_>) -> Option<String> {
    let utf8 = || std::str::from_utf8(value.data).ok().map(str::to_owned);
    let utf16 = || {
        let pairs = value.data.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair));
        char::decode_utf16(pairs).collect::<Result<_, _>>().ok()
    };
    match value.tag().0 {
        // BMPString
        30 => utf16(),
        // TeletexString, which is read as Latin-1 everywhere
        20 => Some(value.data.iter().copied().map(char::from).collect()),
        _ => utf8(),
    }
}

fn time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    match seconds >= 0 {
        true => UNIX_EPOCH + distance,
        false => UNIX_EPOCH - distance,
    }
}
