//! The certificates of those whose messages are taken.

use super::certificate::{Certificate, Distrust};
use super::{Digest, SecurityError};
use crate::clock::to_iso;
use crate::protocol::{Signed, Unreadable};
use globset::{Glob, GlobMatcher};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tracing::warn;

/// Certificates by what a message calls them.
#[derive(Debug)]
pub(super) struct Trusted {
    place: PathBuf,
    certificates: HashMap<String, Certificate>,
}

impl Trusted {
    /// Reads all certificates of a folder, or those whose names fit a pattern.
    ///
    /// # Errors
    ///
    /// When there are none, or one of them cannot be read.
    pub(super) fn open(place: &Path, now: SystemTime) -> Result<Self, SecurityError> {
        let mut certificates = HashMap::new();
        for path in files(place)? {
            let pem = read(&path)?;
            let certificate = Certificate::from_pem(&pem)
                .map_err(|problem| SecurityError::Certificate { path: path.clone(), problem })?;
            if certificate.has_expired(now) {
                warn!(
                    certificate = certificate.id,
                    path = %path.display(),
                    "this certificate has expired, what it signs goes to the archive"
                );
            }
            let id = certificate.id.clone();
            if certificates.insert(id.clone(), certificate).is_some() {
                return Err(SecurityError::Twice { path, id });
            }
        }
        if certificates.is_empty() {
            return Err(SecurityError::Nobody(place.to_owned()));
        }
        Ok(Self { place: place.to_owned(), certificates })
    }

    /// Whether one of them has signed this.
    ///
    /// # Errors
    ///
    /// Why it is not so.
    pub(super) fn verify(
        &self,
        digest: Digest,
        signed: &Signed,
        now: SystemTime,
    ) -> Result<(), Unreadable> {
        let Signed { signer, signature, body, .. } = signed;
        let refused = |problem| Unreadable::Signature { signer: signer.clone(), problem };
        let Some(certificate) = self.certificates.get(signer) else {
            let place = self.place.display();
            return Err(refused(format!("its certificate is unknown, it is not in {place}")));
        };
        certificate.verify(digest, body, signature, now).map_err(|distrust| {
            refused(match distrust {
                Distrust::Expired(end) => format!("its certificate expired at {}", to_iso(end)),
                Distrust::NotYet(start) => {
                    format!("its certificate is not valid before {}", to_iso(start))
                }
                Distrust::Forged => format!(
                    "the signature does not fit the body: changed on its way, signed with another \
                     key, or with another digest than {digest}"
                ),
            })
        })
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, SecurityError> {
    fs::read(path).map_err(|source| SecurityError::Read { path: path.to_owned(), source })
}

/// The files of a folder, or those in it that fit a pattern; not the hidden ones.
fn files(place: &Path) -> Result<Vec<PathBuf>, SecurityError> {
    let (folder, pattern) = if place.is_dir() { (place, None) } else { pattern(place)? };
    let unread = |source| SecurityError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        let name = Path::new(path.file_name().unwrap_or_default());
        let is_hidden = name.as_os_str().as_encoded_bytes().starts_with(b".");
        let fits = pattern.as_ref().is_none_or(|pattern| pattern.is_match(name));
        if fits && !is_hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn pattern(place: &Path) -> Result<(&Path, Option<GlobMatcher>), SecurityError> {
    let bad = || SecurityError::Nobody(place.to_owned());
    let name = place.file_name().and_then(|name| name.to_str()).ok_or_else(bad)?;
    let glob = Glob::new(name).map_err(|_| bad())?;
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok((folder.unwrap_or(Path::new(".")), Some(glob.compile_matcher())))
}
