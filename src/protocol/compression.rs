//! Compressed bodies.
//!
//! Header `compression` names how a body is compressed: by a MIME type, or by one of Celery's
//! aliases. What Celery calls gzip is a zlib stream; we write that too, and read both. Whatever is
//! read stops at a bound, so that a small message cannot fill the memory.

use super::{Bytes, Limits, Unreadable};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How we compress what we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// What Celery calls gzip: a zlib stream. Every Celery worker reads it.
    Gzip,
    /// Zstandard, at its fastest. Celery reads it where package `zstandard` is installed.
    Zstd,
}

impl Compression {
    /// The value for header `compression`.
    pub fn header(self) -> &'static str {
        match self {
            Self::Gzip => "application/x-gzip",
            Self::Zstd => "application/zstd",
        }
    }

    /// Compresses an encoded body.
    pub fn compress(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Gzip => {
                let mut compressed = Vec::with_capacity(bytes.len() / 2);
                let mut zlib =
                    flate2::read::ZlibEncoder::new(bytes, flate2::Compression::default());
                zlib.read_to_end(&mut compressed).expect("memory is readable to its end");
                compressed
            }
            Self::Zstd => ruzstd::encoding::compress_to_vec(
                bytes,
                ruzstd::encoding::CompressionLevel::Fastest,
            ),
        }
    }
}

/// The bytes of a body as its sender encoded them. Not copied when they are not compressed.
pub(super) fn decompress(
    body: &Bytes,
    compression: Option<&str>,
    limits: &Limits,
) -> Result<Bytes, Unreadable> {
    if body.len() > limits.max_body {
        return Err(Unreadable::TooLarge { found: body.len(), limit: limits.max_body });
    }
    let Some(name) = compression else { return Ok(body.clone()) };
    let codec =
        Codec::from_name(name).ok_or_else(|| Unreadable::Compression { found: name.to_owned() })?;
    let limit = limits.max_decompressed;
    // The decoders take bytes from anyone. Should one of them panic, that is a bad body and no
    // reason to stop the worker; they share no state with us.
    let outcome = catch_unwind(AssertUnwindSafe(|| codec.read(body, limit)));
    match outcome.unwrap_or_else(|_| Err(io::Error::other("the decoder gave up"))) {
        Ok(bytes) if bytes.len() > limit => Err(Unreadable::Inflated { limit }),
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => {
            Err(Unreadable::Decompress { compression: name.to_owned(), message: error.to_string() })
        }
    }
}

/// A compression that is read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Codec {
    Zlib,
    Bzip2,
    Xz,
    Zstd,
}

impl Codec {
    // Brotli is left out: Celery needs an extra package for it, and so would we.
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "application/x-gzip" | "gzip" | "zlib" => Some(Self::Zlib),
            "application/x-bz2" | "bzip2" | "bzip" => Some(Self::Bzip2),
            "application/x-lzma" | "lzma" | "xz" => Some(Self::Xz),
            "application/zstd" | "zstd" | "zstandard" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Decompresses `bytes`, but stops just beyond `limit`.
    fn read(self, bytes: &[u8], limit: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::Zlib if bytes.starts_with(&[0x1f, 0x8b]) => {
                read_within(flate2::read::MultiGzDecoder::new(bytes), limit)
            }
            Self::Zlib => read_within(flate2::read::ZlibDecoder::new(bytes), limit),
            Self::Bzip2 => read_within(bzip2::read::MultiBzDecoder::new(bytes), limit),
            Self::Xz => {
                // The dictionary is allocated before anything is read.
                let kib = u32::try_from(limit / 1024).unwrap_or(u32::MAX - 1).max(128 << 10);
                read_within(lzma_rust2::XzReader::new_mem_limit(bytes, true, kib), limit)
            }
            Self::Zstd => {
                if zstd_window(bytes).is_some_and(|window| window > limit.max(8 << 20) as u64) {
                    return Err(io::Error::other("its window is larger than what is read"));
                }
                let zstd =
                    ruzstd::decoding::StreamingDecoder::new(bytes).map_err(io::Error::other)?;
                read_within(zstd, limit)
            }
        }
    }
}

fn read_within(reader: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// How much memory a Zstandard frame wants (RFC 8878, 3.1.1.1): its window, or all of its content
/// when that is one segment. The decoder would reserve it before it reads anything.
fn zstd_window(frame: &[u8]) -> Option<u64> {
    let descriptor = *frame.get(4)?;
    let single_segment = descriptor & 0b0010_0000 != 0;
    if !single_segment {
        let window = u64::from(*frame.get(5)?);
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * (window & 7));
    }
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 0b11)];
    let width = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let size = frame.get(5 + dictionary..5 + dictionary + width)?;
    let number = size.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Some(if width == 2 { number + 256 } else { number })
}
