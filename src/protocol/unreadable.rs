//! Why a message cannot be taken as a task.

/// Why a message is not run. The text names the place and what was found there; the message goes
/// to the archive with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// There is no `content_type` property.
    #[error("no content type: the sender must set application/json or application/x-msgpack")]
    NoContentType,

    /// The body is in a format that we do not read.
    #[error(
        "content type `{found}`{}: send application/json or application/x-msgpack instead",
        known(found)
    )]
    ContentType {
        /// What the property says.
        found: String,
    },

    /// The body is compressed in a way that we do not read.
    #[error("compression `{found}` is not read: use gzip, zstd, bzip2, xz or none")]
    Compression {
        /// What the header says.
        found: String,
    },

    /// The body does not decompress.
    #[error("body is not {compression}: {message}")]
    Decompress {
        /// What the header says.
        compression: String,
        /// What the decoder says.
        message: String,
    },

    /// The body is longer than we take.
    #[error("body of {found} bytes, at most {limit} are read")]
    TooLarge {
        /// Bytes on the wire.
        found: usize,
        /// [`super::Limits::max_body`].
        limit: usize,
    },

    /// The body is longer than we take once it is decompressed.
    #[error("body is longer than {limit} bytes when decompressed")]
    Inflated {
        /// [`super::Limits::max_decompressed`].
        limit: usize,
    },

    /// Lists and maps are nested too deeply.
    #[error("{place} is nested deeper than {limit} levels")]
    TooDeep {
        /// Which part of the body.
        place: &'static str,
        /// [`super::Limits::max_depth`].
        limit: usize,
    },

    /// A header has a type or value that it cannot have.
    #[error("header `{name}`: expected {expected}, found {found}")]
    Header {
        /// Name of the header.
        name: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },

    /// A part of the body has another shape than the protocol says.
    #[error("{place}: expected {expected}, found {found}")]
    Shape {
        /// Which part of the body.
        place: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },

    /// The body is not in the format that its content type names.
    #[error("{place} is not {format}: expected {expected} at byte {at}")]
    Syntax {
        /// Which part of the body.
        place: &'static str,
        /// What the content type names.
        format: &'static str,
        /// What should stand there.
        expected: &'static str,
        /// Offset in the decompressed body.
        at: usize,
    },

    /// Nobody signed it, and only signed messages are taken.
    #[error(
        "not signed, and [security] takes only signed messages: sign it (Celery's `task_serializer \
         = \"auth\"`), or set unsigned = \"accept\""
    )]
    Unsigned,

    /// Its signature is not trusted.
    #[error("signed by `{signer}`: {problem}")]
    Signature {
        /// Issuer and serial number of the certificate that the message names.
        signer: String,
        /// Why it is not trusted.
        problem: String,
    },

    /// Neither a `task` header (protocol 2) nor a map with `task` as body (protocol 1).
    #[error("not a task: no header `task`, and the body is no map with `task` and `id` ({0})")]
    NotATask(String),
}

impl Unreadable {
    /// A short code that does not change, for the archive and for counting.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoContentType | Self::ContentType { .. } => "content_type",
            Self::Compression { .. } | Self::Decompress { .. } => "compression",
            Self::TooLarge { .. } | Self::Inflated { .. } => "too_large",
            Self::TooDeep { .. } => "too_deep",
            Self::Unsigned | Self::Signature { .. } => "signature",
            Self::NotATask(_) => "protocol",
            Self::Header { .. } | Self::Shape { .. } | Self::Syntax { .. } => "unreadable",
        }
    }
}

/// What we know about a content type that we refuse.
fn known(content_type: &str) -> &'static str {
    match content_type {
        "application/x-python-serialize" => " (pickle) can run code and is never read",
        "application/x-yaml" => " (yaml) is not read",
        "application/data" => {
            " (signed by Celery's `auth` serializer, or raw data) is not read without [security] \
             certificates"
        }
        "text/plain" | "application/text" => " (raw text) is not a task",
        _ => " is not read",
    }
}
