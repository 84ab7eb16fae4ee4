//! The numbers that Python writes into JSON and JSON does not have.

use super::Format;

const ODD: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// The first such number in a value, if the value is JSON and holds one.
pub(in crate::protocol) fn odd_number(format: Format, bytes: &[u8]) -> Option<&'static str> {
    match format {
        Format::Json => Pieces(bytes).find_map(|piece| piece.err()),
        Format::MessagePack => None,
    }
}

/// The same JSON with null in the place of each.
pub(in crate::protocol) fn without_odd_numbers(json: &[u8]) -> Vec<u8> {
    let pieces: Vec<&[u8]> = Pieces(json).map(|piece| piece.unwrap_or(b"null")).collect();
    pieces.concat()
}

/// What is left of a JSON text: given out as texts in quotes, other pieces, and, as errors, odd
/// numbers.
struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<&'a [u8], &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0;
        let first = *rest.first()?;
        if let Some(odd) = ODD.into_iter().find(|odd| rest.starts_with(odd.as_bytes())) {
            self.0 = &rest[odd.len()..];
            return Some(Err(odd));
        }
        let length = match first {
            b'"' => text_length(rest),
            _ => 1 + rest[1..].iter().take_while(|byte| !b"\"NI-".contains(byte)).count(),
        };
        let (piece, rest) = rest.split_at(length);
        self.0 = rest;
        Some(Ok(piece))
    }
}

/// Bytes of the text in quotes that `json` begins with; all of it when it does not end.
fn text_length(json: &[u8]) -> usize {
    let mut escaped = false;
    let end = json[1..].iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(json.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_numbers_are_found_outside_texts_only() {
        for (json, first, without) in [
            (
                r#"{"a": NaN, "NaN": -1, "b": [-Infinity, Infinity]}"#,
                Some("NaN"),
                r#"{"a": null, "NaN": -1, "b": [null, null]}"#,
            ),
            (r#"["\\", "\" NaN", -0.5, null]"#, None, r#"["\\", "\" NaN", -0.5, null]"#),
            ("-Infinity", Some("-Infinity"), "null"),
            (r#"["unended NaN"#, None, r#"["unended NaN"#),
            ("", None, ""),
        ] {
            assert_eq!(odd_number(Format::Json, json.as_bytes()), first, "{json}");
            assert_eq!(without_odd_numbers(json.as_bytes()), without.as_bytes());
        }
    }
}
