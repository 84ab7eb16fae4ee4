//! The scan of JSON, as Python writes it: with NaN, infinities and integers of any length.

use super::{Fault, Kind, Span};
use crate::protocol::Limits;

/// The items of one list or map.
#[derive(Debug)]
pub(super) struct Items<'a> {
    text: Text<'a>,
    close: u8,
    started: bool,
    after_key: bool,
    max_depth: usize,
}

impl<'a> Items<'a> {
    pub(super) fn open(bytes: &'a [u8], max_depth: usize) -> Result<Result<Self, Kind>, Fault> {
        let mut text = Text::new(bytes);
        if let Err(error) = std::str::from_utf8(bytes) {
            return Err(Fault::Syntax { at: error.valid_up_to(), expected: "UTF-8" });
        }
        text.space();
        let close = match text.kind()? {
            Kind::List => b']',
            Kind::Map => b'}',
            other => return Ok(Err(other)),
        };
        if max_depth == 0 {
            return Err(Fault::TooDeep);
        }
        text.at += 1;
        let max_depth = max_depth.min(Limits::DEEPEST) - 1;
        Ok(Ok(Self { text, close, started: false, after_key: false, max_depth }))
    }

    pub(super) fn is_map(&self) -> bool {
        self.close == b'}'
    }

    pub(super) fn next(&mut self) -> Result<Option<Span>, Fault> {
        if !self.advance()? {
            return Ok(None);
        }
        let is_key = self.is_map() && !self.after_key;
        self.after_key = is_key;
        if is_key && self.text.peek() != Some(b'"') {
            return Err(self.text.expected("a key in quotes"));
        }
        let kind = self.text.kind()?;
        let start = self.text.at;
        self.text.odd = None;
        self.text.value(self.max_depth)?;
        let range = start..self.text.at;
        if is_key {
            self.text.space();
            self.text.byte(b':', "`:`")?;
        }
        Ok(Some(Span { range, kind, odd: self.text.odd }))
    }

    /// Moves to the next item; `false` when the end was there instead.
    fn advance(&mut self) -> Result<bool, Fault> {
        self.text.space();
        if self.after_key {
            return Ok(true);
        }
        if self.text.peek() == Some(self.close) {
            self.text.at += 1;
            return Ok(false);
        }
        if self.started {
            self.text.byte(b',', "`,` or the end of the list or map")?;
            self.text.space();
        }
        self.started = true;
        Ok(true)
    }

    pub(super) fn finish(&self) -> Result<(), Fault> {
        let rest = &self.text.bytes[self.text.at..];
        match rest.iter().position(|byte| !is_space(*byte)) {
            None => Ok(()),
            Some(offset) => {
                Err(Fault::Syntax { at: self.text.at + offset, expected: "the end of the body" })
            }
        }
    }
}

/// The kind of the value that `bytes` begin with.
pub(super) fn kind(bytes: &[u8]) -> Result<Kind, Fault> {
    Text::new(bytes).kind()
}

#[derive(Debug)]
struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
    odd: Option<usize>,
}

/// Which of the open levels are maps, innermost in the lowest bit. Deep enough for
/// [`Limits::DEEPEST`].
#[derive(Default)]
struct Nesting {
    maps: u128,
    depth: usize,
}

impl Nesting {
    fn push(&mut self, is_map: bool, max_depth: usize) -> Result<(), Fault> {
        if self.depth >= max_depth {
            return Err(Fault::TooDeep);
        }
        self.maps = self.maps << 1 | u128::from(is_map);
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.maps >>= 1;
        self.depth -= 1;
    }

    fn in_map(&self) -> bool {
        self.maps & 1 == 1
    }
}

impl<'a> Text<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, odd: None }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn expected(&self, expected: &'static str) -> Fault {
        Fault::Syntax { at: self.at, expected }
    }

    fn space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn byte(&mut self, byte: u8, expected: &'static str) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(self.expected(expected));
        }
        self.at += 1;
        Ok(())
    }

    fn kind(&self) -> Result<Kind, Fault> {
        match self.peek() {
            Some(b'[') => Ok(Kind::List),
            Some(b'{') => Ok(Kind::Map),
            Some(b'"') => Ok(Kind::Text),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => Ok(Kind::Number),
            _ => Err(self.expected("a value")),
        }
    }

    /// Passes over one value with all that it holds.
    fn value(&mut self, max_depth: usize) -> Result<(), Fault> {
        let mut open = Nesting::default();
        loop {
            self.space();
            let entered = match self.kind()? {
                Kind::List => self.enter(b']')?,
                Kind::Map => self.enter(b'}')?,
                _ => {
                    self.scalar()?;
                    None
                }
            };
            if let Some(is_map) = entered {
                open.push(is_map, max_depth)?;
                if is_map {
                    self.key()?;
                }
            } else if self.close(&mut open)? {
                return Ok(());
            }
        }
    }

    /// Enters a list or map that has items, and says whether it is a map. Passes an empty one.
    fn enter(&mut self, close: u8) -> Result<Option<bool>, Fault> {
        self.at += 1;
        self.space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(None);
        }
        Ok(Some(close == b'}'))
    }

    /// After a value: closes what ends here. `true` when everything is closed.
    fn close(&mut self, open: &mut Nesting) -> Result<bool, Fault> {
        while open.depth > 0 {
            self.space();
            match (self.peek(), open.in_map()) {
                (Some(b','), in_map) => {
                    self.at += 1;
                    if in_map {
                        self.space();
                        self.key()?;
                    }
                    return Ok(false);
                }
                (Some(b']'), false) | (Some(b'}'), true) => {
                    self.at += 1;
                    open.pop();
                }
                _ => return Err(self.expected("`,` or the end of the list or map")),
            }
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in quotes"));
        }
        self.string()?;
        self.space();
        self.byte(b':', "`:`")
    }

    fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), Fault> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += 1,
                Some(_) => return Err(self.expected("an escaped control character")),
                None => return Err(self.expected("the end of the text")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.peek() {
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 1..self.at + 5);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.expected("four hexadecimal digits"));
                }
                self.at += 5;
                Ok(())
            }
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.expected("an escape")),
        }
    }

    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'N') if start == self.at => self.odd_word(start, b"NaN"),
            Some(b'I') => self.odd_word(start, b"Infinity"),
            Some(b'0') => {
                self.at += 1;
                self.fraction().map(|_| ())
            }
            Some(b'1'..=b'9') => {
                self.digits();
                let is_integer = !self.fraction()?;
                if is_integer && !fits_64_bits(&self.bytes[start..self.at]) {
                    self.odd.get_or_insert(start);
                }
                Ok(())
            }
            _ => Err(self.expected("a number")),
        }
    }

    fn odd_word(&mut self, start: usize, word: &'static [u8]) -> Result<(), Fault> {
        self.odd.get_or_insert(start);
        self.word(word)
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.digits();
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    /// Passes a fraction and an exponent; `true` when there was one of them.
    fn fraction(&mut self) -> Result<bool, Fault> {
        let start = self.at;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(self.at > start)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether an integer, written in decimal digits, is within `i64` or `u64`.
fn fits_64_bits(digits: &[u8]) -> bool {
    // Eighteen digits always fit, with or without a sign.
    digits.len() <= 18
        || std::str::from_utf8(digits)
            .is_ok_and(|digits| digits.parse::<u64>().is_ok() || digits.parse::<i64>().is_ok())
}
