//! Lines out of a stream of bytes, as a terminal would leave them standing.

/// Longer lines are cut.
pub(super) const MAX_LINE: usize = 4096;

/// Puts lines together. A carriage return inside a line starts it afresh, as on a terminal: of a
/// progress bar only its last state remains.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    returned: bool,
}

impl Lines {
    /// Takes more bytes and hands every line they complete to `each`, without its end.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        for byte in bytes {
            match byte {
                b'\n' => self.end(&mut each),
                b'\r' => self.returned = true,
                _ => self.add(*byte),
            }
        }
    }

    /// Hands out the last line if nothing ended it.
    pub(super) fn finish(&mut self, mut each: impl FnMut(&str)) {
        if !self.line.is_empty() {
            self.end(&mut each);
        }
    }

    fn add(&mut self, byte: u8) {
        if std::mem::take(&mut self.returned) {
            self.line.clear();
        }
        if self.line.len() < MAX_LINE {
            self.line.push(byte);
        }
    }

    fn end(&mut self, each: &mut impl FnMut(&str)) {
        each(&String::from_utf8_lossy(&self.line));
        self.line.clear();
        self.returned = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut all = Vec::new();
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.push(chunk, |line| all.push(line.to_owned()));
        }
        lines.finish(|line| all.push(line.to_owned()));
        all
    }

    #[test]
    fn lines_are_put_together_over_any_cut() {
        assert_eq!(lines(&[b"a\nb", b"c\n\nd\r", b"\ne"]), ["a", "bc", "", "d", "e"]);
    }

    #[test]
    fn of_a_line_written_over_only_the_last_state_remains() {
        assert_eq!(lines(&[b"10%\r50%\r", b"100%\ndone"]), ["100%", "done"]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_its_limit() {
        let long = vec![b'x'; 1 << 20];
        assert_eq!(lines(&[&long, &long, b"\nshort"]), ["x".repeat(MAX_LINE).as_str(), "short"]);
    }
}
