//! How much of a message we are willing to take in.

/// Bounds on what is read from a message. They hold before anything of that size is allocated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest body on the wire, in bytes. Default 64 MiB.
    pub max_body: usize,
    /// Longest body after decompression, in bytes. Default 256 MiB.
    pub max_decompressed: usize,
    /// How deeply lists and maps may be nested, the body's own list included. Default 100, at
    /// most [`Limits::DEEPEST`]; more counts as that.
    pub max_depth: usize,
}

impl Limits {
    /// The largest `max_depth` that has an effect: the decoders behind it stop a little later.
    pub const DEEPEST: usize = 120;
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_body: 64 << 20, max_decompressed: 256 << 20, max_depth: 100 }
    }
}
