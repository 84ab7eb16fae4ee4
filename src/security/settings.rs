//! `[security]`: whose messages are taken, and how ours are signed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Whose messages are taken, and how ours are signed: Celery's `setup_security`.
///
/// A signature covers a task's arguments, not its name and its other headers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The certificates of those whose signed messages workers take: a folder of PEM files, or a
    /// pattern of file names in a folder. Read when a worker starts. Without it signed messages go
    /// to the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/celeriac/trusted/*.pem")]
    pub certificates: Option<PathBuf>,
    /// What workers that have `certificates` do with messages that nobody signed.
    pub unsigned: Unsigned,
    /// What is signed and verified: Celery's `security_digest`. Both sides must say the same.
    pub digest: Digest,
    /// The private key that signs what this program sends, as PEM without a password: Celery's
    /// `security_key`. Needs `cert_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/celeriac/worker.key")]
    pub key_file: Option<PathBuf>,
    /// The certificate of `key_file`, as PEM: Celery's `security_certificate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/celeriac/worker.pem")]
    pub cert_file: Option<PathBuf>,
}

/// What becomes of messages that nobody signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unsigned {
    /// They go to the archive.
    #[default]
    Refuse,
    /// They are run, as if there were no signatures: while a fleet moves over.
    Accept,
}

/// How a body is made short before it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Digest {
    /// SHA-256, Celery's default.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        })
    }
}
