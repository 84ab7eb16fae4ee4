//! RSA signatures as Celery makes them: PSS, with the longest salt that the key has room for.
//!
//! `ring` reads only salts as long as the digest, so this is the `rsa` crate's work.

use super::Digest;
use rsa::pss::{Signature, SigningKey, VerifyingKey};
use rsa::sha2::{Sha256, Sha384, Sha512};
use rsa::signature::{SignatureEncoding, Signer, Verifier};
use rsa::traits::PublicKeyParts;
use rsa::{PrivateKey, PublicKey};

impl Digest {
    /// How long it is, in bytes.
    fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The longest salt, in bytes (RFC 8017, 9.1.1); `None` when the key is too short for any.
    fn salt(self, key: &impl PublicKeyParts) -> Option<usize> {
        let encoded = (key.n().bit_width() as usize).saturating_sub(1).div_ceil(8);
        encoded.checked_sub(self.size() + 2)
    }
}

/// Whether `signature` is this key's for `body`.
pub(super) fn is_signed(digest: Digest, key: &PublicKey, body: &[u8], signature: &[u8]) -> bool {
    let (Some(salt), Ok(signature)) = (digest.salt(key), Signature::try_from(signature)) else {
        return false;
    };
    let key = key.clone();
    match digest {
        Digest::Sha256 => {
            VerifyingKey::<Sha256>::new_with_salt_len(key, salt).verify(body, &signature).is_ok()
        }
        Digest::Sha384 => {
            VerifyingKey::<Sha384>::new_with_salt_len(key, salt).verify(body, &signature).is_ok()
        }
        Digest::Sha512 => {
            VerifyingKey::<Sha512>::new_with_salt_len(key, salt).verify(body, &signature).is_ok()
        }
    }
}

/// Signs `body`.
///
/// # Errors
///
/// When the key is too short for the digest, or the system has no random numbers.
pub(super) fn sign(digest: Digest, key: &PrivateKey, body: &[u8]) -> Result<Vec<u8>, String> {
    let salt = digest.salt(key).ok_or_else(|| format!("the key is too short for {digest}"))?;
    let key = key.clone();
    let signature = match digest {
        Digest::Sha256 => SigningKey::<Sha256>::new_with_salt_len(key, salt).try_sign(body),
        Digest::Sha384 => SigningKey::<Sha384>::new_with_salt_len(key, salt).try_sign(body),
        Digest::Sha512 => SigningKey::<Sha512>::new_with_salt_len(key, salt).try_sign(body),
    };
    signature.map(|signature| signature.to_vec()).map_err(|error| error.to_string())
}
