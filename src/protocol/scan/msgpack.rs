//! The scan of MessagePack.

use super::{Fault, Kind, Span};
use crate::protocol::Limits;

/// The kind of the value that `bytes` begin with.
pub(super) fn kind(bytes: &[u8]) -> Result<Kind, Fault> {
    Items { bytes, at: 0, left: 0, is_map: false, max_depth: 0 }.kind()
}

/// The items of one list or map.
#[derive(Debug)]
pub(super) struct Items<'a> {
    bytes: &'a [u8],
    at: usize,
    left: u64,
    is_map: bool,
    max_depth: usize,
}

impl<'a> Items<'a> {
    pub(super) fn open(bytes: &'a [u8], max_depth: usize) -> Result<Result<Self, Kind>, Fault> {
        let mut items = Self { bytes, at: 0, left: 0, is_map: false, max_depth };
        let kind = items.kind()?;
        if !matches!(kind, Kind::List | Kind::Map) {
            return Ok(Err(kind));
        }
        if max_depth == 0 {
            return Err(Fault::TooDeep);
        }
        items.max_depth = max_depth.min(Limits::DEEPEST) - 1;
        items.is_map = kind == Kind::Map;
        items.left = items.head()?;
        Ok(Ok(items))
    }

    pub(super) fn is_map(&self) -> bool {
        self.is_map
    }

    pub(super) fn next(&mut self) -> Result<Option<Span>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let kind = self.kind()?;
        let start = self.at;
        self.skip()?;
        Ok(Some(Span { range: start..self.at, kind, odd: None }))
    }

    pub(super) fn finish(&self) -> Result<(), Fault> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.expected("the end of the body")) }
    }

    fn expected(&self, expected: &'static str) -> Fault {
        Fault::Syntax { at: self.at, expected }
    }

    fn kind(&self) -> Result<Kind, Fault> {
        match self.bytes.get(self.at) {
            None => Err(self.expected("a value")),
            Some(marker) => match marker {
                0x00..=0x7f | 0xe0..=0xff | 0xca..=0xd3 => Ok(Kind::Number),
                0x80..=0x8f | 0xde | 0xdf => Ok(Kind::Map),
                0x90..=0x9f | 0xdc | 0xdd => Ok(Kind::List),
                0xa0..=0xbf | 0xd9..=0xdb => Ok(Kind::Text),
                0xc0 => Ok(Kind::Null),
                0xc1 => Err(self.expected("a type that exists")),
                0xc2 | 0xc3 => Ok(Kind::Bool),
                0xc4..=0xc6 => Ok(Kind::Binary),
                0xc7..=0xc9 | 0xd4..=0xd8 => Ok(Kind::Extension),
            },
        }
    }

    /// Passes over one value with all that it holds.
    fn skip(&mut self) -> Result<(), Fault> {
        // Counts of values still to come: of the innermost open level, and of those around it.
        let mut left = self.head()?;
        let mut outer: Vec<u64> = Vec::new();
        if left > 0 && self.max_depth == 0 {
            return Err(Fault::TooDeep);
        }
        loop {
            while left == 0 {
                match outer.pop() {
                    Some(count) => left = count,
                    None => return Ok(()),
                }
            }
            left -= 1;
            let inside = self.head()?;
            if inside > 0 {
                if outer.len() + 2 > self.max_depth {
                    return Err(Fault::TooDeep);
                }
                outer.push(left);
                left = inside;
            }
        }
    }

    /// Passes over a scalar, or over the head of a list or map and says how many values follow.
    fn head(&mut self) -> Result<u64, Fault> {
        let Some(&marker) = self.bytes.get(self.at) else {
            return Err(self.expected("a value"));
        };
        let (payload, values) = match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (0, 0),
            0x80..=0x8f => return self.values(1, 2 * u64::from(marker & 0x0f)),
            0x90..=0x9f => return self.values(1, u64::from(marker & 0x0f)),
            0xa0..=0xbf => (u64::from(marker & 0x1f), 0),
            0xc1 => return Err(self.expected("a type that exists")),
            0xc4 | 0xd9 => (1 + self.length(1)?, 0),
            0xc5 | 0xda => (2 + self.length(2)?, 0),
            0xc6 | 0xdb => (4 + self.length(4)?, 0),
            0xc7 => (2 + self.length(1)?, 0),
            0xc8 => (3 + self.length(2)?, 0),
            0xc9 => (5 + self.length(4)?, 0),
            0xcc | 0xd0 => (1, 0),
            0xcd | 0xd1 => (2, 0),
            0xca | 0xce | 0xd2 => (4, 0),
            0xcb | 0xcf | 0xd3 => (8, 0),
            0xd4..=0xd8 => (1 + (1 << (marker - 0xd4)), 0),
            0xdc => return self.values(3, self.length(2)?),
            0xdd => return self.values(5, self.length(4)?),
            0xde => return self.values(3, 2 * self.length(2)?),
            0xdf => return self.values(5, 2 * self.length(4)?),
        };
        let rest = (self.bytes.len() - self.at - 1) as u64;
        if payload > rest {
            return Err(self.expected("a value that ends within the body"));
        }
        self.at += 1 + payload as usize;
        Ok(values)
    }

    /// Passes over the head of a list or map. Each value takes at least a byte, so a length beyond
    /// the end of the bytes is refused before anyone makes room for it.
    fn values(&mut self, head: usize, values: u64) -> Result<u64, Fault> {
        let rest = (self.bytes.len() - self.at).checked_sub(head);
        if rest.is_none_or(|rest| values > rest as u64) {
            return Err(self.expected("a list or map that ends within the body"));
        }
        self.at += head;
        Ok(values)
    }

    /// The big-endian number of `width` bytes after the marker.
    fn length(&self, width: usize) -> Result<u64, Fault> {
        let digits = self.bytes.get(self.at + 1..self.at + 1 + width);
        let digits = digits.ok_or_else(|| self.expected("a length"))?;
        Ok(digits.iter().fold(0, |length, digit| length << 8 | u64::from(*digit)))
    }
}
