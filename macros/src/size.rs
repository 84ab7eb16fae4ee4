//! Sizes in attributes, by the rules of the configuration file.

use syn::{Error, LitStr, Result};

const UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A size such as `"512 MiB"`, in bytes.
pub(crate) fn bytes(text: &LitStr) -> Result<u64> {
    let value = text.value();
    let unit = value.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let (number, unit) = (&value[..value.len() - unit.len()], unit.trim());
    let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
    let number: Option<u64> = number.parse().ok();
    let bytes = number.zip(scale).and_then(|(number, scale)| number.checked_mul(scale));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| {
        let message = format!(r#"`{value}` is no size; write it like "512 MiB" or "2 GB""#);
        Error::new(text.span(), message)
    })
}
