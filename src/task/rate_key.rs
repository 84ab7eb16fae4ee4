//! The key by which a call counts for the rate of its task.

use crate::protocol::{HeaderValue, Headers, header};

/// The most bytes of a rate key.
const LONGEST: usize = 255;

/// Why a call cannot have this rate key. It was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RateKeyError {
    /// It says nothing.
    #[error("an empty rate key: name whom the task is for, or leave the key out")]
    Empty,
    /// Workers keep the keys that they have seen lately, and so bound them.
    #[error("a rate key of {0} bytes, more than {LONGEST}: send a digest of it")]
    TooLong(usize),
}

/// Whether a call may have this key: 1 to 255 bytes.
pub(crate) fn check_rate_key(key: &str) -> Result<(), RateKeyError> {
    match key.len() {
        0 => Err(RateKeyError::Empty),
        1..=LONGEST => Ok(()),
        bytes => Err(RateKeyError::TooLong(bytes)),
    }
}

/// The key of a message. What no call of ours could have is none: it may come from anybody.
pub(crate) fn rate_key(headers: &Headers) -> Option<&str> {
    match headers.extra.get(header::RATE_KEY) {
        Some(HeaderValue::Text(key)) => check_rate_key(key).is_ok().then_some(key),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_from_a_message_only_as_a_call_could_have_it() {
        let longest = "é".repeat(127);
        for (value, expected) in [
            (HeaderValue::Text("smtp:acme".to_owned()), Some("smtp:acme")),
            (HeaderValue::Text(longest.clone() + "x"), Some(&*(longest.clone() + "x"))),
            (HeaderValue::Text(longest + "é"), None),
            (HeaderValue::Text(String::new()), None),
            (HeaderValue::Int(42), None),
            (HeaderValue::Null, None),
            (HeaderValue::Table([("a".to_owned(), HeaderValue::Null)].into()), None),
        ] {
            let mut headers = Headers::new("t", "i".into());
            headers.extra.insert(header::RATE_KEY.to_owned(), value.clone());
            assert_eq!(rate_key(&headers), expected, "{value:?}");
        }
        assert_eq!(rate_key(&Headers::new("t", "i".into())), None);
        assert_eq!(check_rate_key(""), Err(RateKeyError::Empty));
        assert_eq!(check_rate_key(&"x".repeat(256)), Err(RateKeyError::TooLong(256)));
    }
}
