//! Collecting an answer that somebody else writes, and may never stop writing.

use super::Output;
use serde_json::Value;

/// Bytes up to a limit; what comes after is counted as too much and let go.
#[derive(Debug)]
pub(super) struct Capture {
    bytes: Vec<u8>,
    limit: usize,
    overflowed: bool,
}

impl Capture {
    /// An empty capture of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, overflowed: false }
    }

    /// Takes more bytes.
    pub(super) fn push(&mut self, more: &[u8]) {
        let room = self.limit - self.bytes.len();
        self.overflowed |= more.len() > room;
        self.bytes.extend_from_slice(&more[..more.len().min(room)]);
    }

    /// Whether there was more than the limit.
    pub(super) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// The bytes as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).trim().to_owned()
    }

    /// The answer as a task's value: JSON if it is JSON, nothing if it is empty, else the text
    /// without the white space around it.
    pub(super) fn into_output(self) -> Output {
        match serde_json::from_slice::<Value>(&self.bytes) {
            Ok(value) => Output::new(value),
            Err(_) if self.text().is_empty() => Output::none(),
            Err(_) => Output::new(self.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::value;
    use serde_json::json;

    #[test]
    fn an_answer_is_json_or_text_or_nothing() {
        for (answer, expected) in [
            (&b"{\"size\": 3}\n"[..], json!({"size": 3})),
            (b"42", json!(42)),
            (b" \n", json!(null)),
            (b"done\n", json!("done")),
            (b"{\"broken\": ", json!("{\"broken\":")),
            (b"caf\xe9", json!("caf\u{fffd}")),
        ] {
            let mut capture = Capture::new(100);
            capture.push(answer);
            assert_eq!(value(Ok(capture.into_output())), expected);
        }
    }

    #[test]
    fn what_exceeds_the_limit_is_let_go() {
        let mut capture = Capture::new(4);
        capture.push(b"abc");
        assert!(!capture.overflowed());
        capture.push(b"d");
        assert!(!capture.overflowed());
        capture.push(b"ef");
        capture.push(&[b'x'; 100]);
        assert!(capture.overflowed());
        assert_eq!(capture.text(), "abcd");
    }
}
