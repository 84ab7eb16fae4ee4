//! The one language in which people say which tasks they mean: `state:failure name:send_* since:2h`.
//!
//! The command line, the monitor's pages and its API read the same text. [`parse()`] makes an [`Expr`]
//! of it, given the [`Fields`] that whoever asks can answer for, and every mistake is a
//! [`FilterError`] that points at its place. What an expression selects is for others: the archive
//! looks at letters with it, the monitor makes SQL of it. The grammar, from loose to tight:
//!
//! ```text
//! or    = and { "OR" and }
//! and   = not { ["AND"] not }
//! not   = { "NOT" | "-" } atom
//! atom  = "(" or ")" | field op value { "," value } | word | phrase
//! field = name { "." name }
//! op    = ":" | ":>" | ":>=" | ":<" | ":<=" | ":~"
//! value = word | phrase | duration | time | value ".." value | "*"
//! ```
//!
//! It reads from a network: length, depth and the number of values are bounded, and reading neither
//! fails in another way nor takes more than linear time.
//!
//! ```
//! use celeriac::filter::{Field, Fields, Kind, parse};
//!
//! static FIELDS: Fields = Fields::new(&[
//!     Field::new("queue", Kind::Text),
//!     Field::new("run", Kind::Duration),
//! ]);
//! assert!(parse("queue:mail,video* NOT run:<5s", &FIELDS).is_ok());
//! let error = parse("run:>5", &FIELDS).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "a duration needs a unit: 5s, 5ms, 5m\n  run:>5\n       ^"
//! );
//! ```

mod complete;
mod error;
mod expr;
mod field;
mod lex;
mod parse;
mod pattern;
mod read;
#[cfg(test)]
mod tests;
mod value;
mod when;

pub use complete::{Completion, Expected, complete};
pub use error::FilterError;
pub use expr::{Expr, Given, Term};
pub use field::{Field, Fields, Kind};
pub use parse::parse;
pub use pattern::Pattern;
pub use value::{Bounds, Value, quoted};
pub use when::When;

/// A place in the text of a filter, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Where it begins.
    pub at: usize,
    /// How many characters it has.
    pub length: usize,
}

impl Span {
    /// From the beginning of one place to the end of another behind it.
    fn to(self, end: Self) -> Self {
        Self { at: self.at, length: (end.at + end.length).saturating_sub(self.at) }
    }
}
