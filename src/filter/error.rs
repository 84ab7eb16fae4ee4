//! What is wrong with a filter, and where.

use super::Span;
use std::fmt;

/// A filter that cannot be read, and where. Shown, it has the text with carets below the mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FilterError {
    /// The whole filter as written; of one that is too long, the beginning.
    pub text: String,
    /// Where the mistake begins, in characters.
    pub at: usize,
    /// How many characters it has, at least 1.
    pub length: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each character stays one, so that the carets stand below what they mean.
        let line = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = self.text.chars().map(line).collect();
        let (space, carets) = (" ".repeat(self.at), "^".repeat(self.length));
        write!(f, "{}\n  {text}\n  {space}{carets}", self.message)
    }
}

/// What is wrong with a part of a text that only the caller has whole.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) span: Span,
    pub(super) message: String,
}

impl Mistake {
    pub(super) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into() }
    }

    /// With the text it is in.
    pub(super) fn within(self, text: &str) -> FilterError {
        FilterError {
            text: text.to_owned(),
            at: self.span.at,
            length: self.span.length.max(1),
            message: self.message,
        }
    }
}

/// `; did you mean ..?`, when one of `names` is near to `word`.
pub(super) fn suggestion(word: &str, names: &[&str]) -> String {
    let word = word.to_lowercase();
    let near = |name: &&&str| strsim::damerau_levenshtein(&word, name) <= 2;
    let nearest = names.iter().filter(near).min_by_key(|it| strsim::levenshtein(&word, it));
    nearest.map_or(String::new(), |name| format!("; did you mean `{name}`?"))
}
