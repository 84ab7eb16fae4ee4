//! Text with stars in it.

/// A text in which some parts may be anything: `send_*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// What stands before, between and behind the stars; at least one.
    pieces: Vec<String>,
}

impl Pattern {
    /// Exactly this text.
    pub fn exactly(text: impl Into<String>) -> Self {
        Self { pieces: vec![text.into()] }
    }

    /// Whatever begins with this text.
    pub fn beginning(text: impl Into<String>) -> Self {
        Self { pieces: vec![text.into(), String::new()] }
    }

    /// A text in which each `*` stands for any text.
    pub fn with_stars(text: &str) -> Self {
        Self { pieces: text.split('*').map(str::to_owned).collect() }
    }

    /// The text, if there is no star.
    pub fn exact(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [text] => Some(text),
            _ => None,
        }
    }

    /// The text before the star, if there is one star and it is at the end.
    pub fn prefix(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [text, end] if end.is_empty() => Some(text),
            _ => None,
        }
    }

    /// What stands before, between and behind the stars, in order; at least one, and any may be
    /// empty.
    pub fn pieces(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().map(String::as_str)
    }

    /// Whether `text` is of this form, as a whole and in the same case.
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return false };
        let Some((last, middle)) = rest.split_last() else { return text == first };
        let inner = text.strip_prefix(first.as_str()).and_then(|it| it.strip_suffix(last.as_str()));
        inner.is_some_and(|inner| in_order(inner, middle))
    }

    /// Whether `text` has the pieces in it, in order, in upper or lower case.
    pub fn is_in(&self, text: &str) -> bool {
        let pieces: Vec<_> = self.pieces.iter().map(|piece| piece.to_lowercase()).collect();
        in_order(&text.to_lowercase(), &pieces)
    }
}

/// Whether `text` has `pieces` in it, one behind the other.
fn in_order(text: &str, pieces: &[String]) -> bool {
    let mut rest = text;
    pieces.iter().all(|piece| match rest.find(piece.as_str()) {
        Some(at) => {
            rest = &rest[at + piece.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_for_none() {
        let cases = [
            ("mail.send", "mail.send", true),
            ("mail.send", "mail.sender", false),
            ("mail.*", "mail.send", true),
            ("mail.*", "mail.", true),
            ("mail.*", "email.send", false),
            ("*.send", "mail.send", true),
            ("*.send", "mail.sends", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
            ("*", "", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Pattern::with_stars(pattern).matches(text), expected, "{pattern} {text}");
        }
        assert!(Pattern::exactly("a*").matches("a*"));
        assert!(!Pattern::exactly("a*").matches("ab"));
    }

    #[test]
    fn a_part_of_a_text_is_found_in_any_case() {
        assert!(Pattern::with_stars("Timed*out").is_in("it timed us OUT"));
        assert!(!Pattern::with_stars("out*timed").is_in("it timed us out"));
        assert!(Pattern::with_stars("*").is_in(""));
    }
}
