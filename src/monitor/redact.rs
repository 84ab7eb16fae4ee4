//! What is not to be kept: values under names such as `password`, in arguments, results and errors,
//! before they are stored. Pure.
//!
//! Arguments come as Python shows them: `{'user': 4, 'token': 'x'}`. The value behind a name in
//! quotation marks and a colon is replaced, whatever it is; one that was cut off, to the end. What has
//! no name, such as the third positional argument, cannot be known: [`Redact::hide_args`] keeps none.

use super::change::{Change, Message, What};
use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use std::fmt::Write;

/// What stands in place of a value.
const HIDDEN: &str = "'•••'";

/// What is not kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Redact {
    names: GlobSet,
    hide_args: bool,
}

impl Redact {
    /// Values under `names`, in which `*` is any text; upper and lower case are the same. With
    /// `hide_args` no arguments and no results at all.
    ///
    /// # Errors
    /// When a name is no pattern: which, and why.
    pub(super) fn new(names: &[String], hide_args: bool) -> Result<Self, String> {
        let glob = |name: &String| -> Result<Glob, String> {
            let glob = GlobBuilder::new(name).case_insensitive(true).build();
            glob.map_err(|error| format!("\"{name}\": {error}"))
        };
        let mut set = GlobSetBuilder::new();
        for name in names {
            set.add(glob(name)?);
        }
        let names = set.build().map_err(|error| error.to_string())?;
        Ok(Self { names, hide_args })
    }

    /// Takes out of a change what is not to be kept.
    pub(super) fn apply(&self, change: &mut Change) {
        let Change::Task(step, _) = change else { return };
        match &mut step.what {
            What::Sent(message) | What::Received(message) => self.message(message),
            What::Succeeded { result, .. } => self.value(result),
            What::Failed { error, traceback } | What::Retried { error, traceback } => {
                *error = self.text(error);
                self.some(traceback);
            }
            _ => {}
        }
    }

    fn message(&self, message: &mut Message) {
        self.value(&mut message.args);
        self.value(&mut message.kwargs);
    }

    fn value(&self, value: &mut Option<String>) {
        if self.hide_args {
            *value = None;
        }
        self.some(value);
    }

    fn some(&self, text: &mut Option<String>) {
        if let Some(text) = text {
            *text = self.text(text);
        }
    }

    /// A text without the values that are not to be kept.
    pub(super) fn text(&self, text: &str) -> String {
        if self.names.is_empty() {
            return text.to_owned();
        }
        let mut kept = String::with_capacity(text.len());
        let mut rest = text;
        // Each mark may begin a name: an apostrophe in a sentence must not hide the next one.
        while let Some(start) = rest.find(['\'', '"']) {
            let (before, from) = rest.split_at(start);
            let end = match self.named(from) {
                Some((name, value)) => {
                    let _ = write!(kept, "{before}{name}: {HIDDEN}");
                    from.len() - value.len() + value_of(value)
                }
                None => {
                    kept.push_str(&rest[..=start]);
                    1
                }
            };
            rest = &from[end..];
        }
        kept.push_str(rest);
        kept
    }

    /// The name of a value that is not to be kept, its marks included, and what stands behind its colon.
    fn named<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let mark = text.chars().next()?;
        let length = text[1..].find(mark)?;
        let (name, rest) = text.split_at(length + 2);
        let value = rest.trim_start().strip_prefix(':')?.trim_start();
        self.names.is_match(&name[1..=length]).then_some((name, value))
    }
}

/// The string that `text` begins with, its marks included; to the end where it has none.
fn quoted(text: &str) -> &str {
    let mark = text.chars().next().unwrap_or_default();
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == mark => return &text[..=at],
            _ => {}
        }
    }
    text
}

/// How many bytes the value has that `text` begins with.
fn value_of(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(c) = text[at..].chars().next() {
        match c {
            '\'' | '"' => {
                at += quoted(&text[at..]).len();
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' | ',' | '\n' if depth == 0 => return at,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        at += c.len_utf8();
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact() -> Redact {
        let names = ["password", "*secret*", "token"].map(str::to_owned);
        Redact::new(&names, false).unwrap()
    }

    #[test]
    fn values_under_these_names_are_not_kept_and_all_others_are() {
        for (given, kept) in [
            ("{'user': 4, 'password': 'x'}", "{'user': 4, 'password': '•••'}"),
            ("{'Password': 12.5, 'n': 1}", "{'Password': '•••', 'n': 1}"),
            ("({'token': b'a\\'b', 'x': 'token'},)", "({'token': '•••', 'x': 'token'},)"),
            ("{'my_secret_key': {'a': [1, '}']}, 'b': 2}", "{'my_secret_key': '•••', 'b': 2}"),
            ("{\"token\": [1, 2], \"x\": 3}", "{\"token\": '•••', \"x\": 3}"),
            ("{'token': \"it's\", 'b': 'password'}", "{'token': '•••', 'b': 'password'}"),
            ("{'token': 'cut o", "{'token': '•••'"),
            ("{'token': {'a': 'cut o", "{'token': '•••'"),
            ("KeyError('token')", "KeyError('token')"),
            ("it's a token: x", "it's a token: x"),
            ("can't log in with {'password': 'x'}", "can't log in with {'password': '•••'}"),
            ("{'é': 'ü', 'token' : 'ß'}", "{'é': 'ü', 'token': '•••'}"),
            ("", ""),
        ] {
            assert_eq!(redact().text(given), kept, "{given}");
        }
    }

    #[test]
    fn odd_texts_harm_nothing() {
        for odd in ["'", "'token':", "'token': ", "'token'", "\\'", "'\\", "'token': )", "''''"] {
            let _ = redact().text(odd);
        }
        let deep = format!("'token': {}", "[".repeat(100_000));
        assert_eq!(redact().text(&deep), "'token': '•••'");
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        let error = Redact::new(&["[".to_owned()], false).unwrap_err();
        assert!(error.starts_with("\"[\": "), "{error}");
    }
}
