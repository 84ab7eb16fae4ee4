//! What a filter may ask about: given by who can answer.

use super::error::{Mistake, suggestion};
use super::lex::Raw;

/// The fields that a filter may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    known: &'static [Field],
    bare: Bare,
}

/// Whether a word without a field says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bare {
    Refused,
    Allowed,
}

/// A field: its name, and what is said about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    name: &'static str,
    kind: Kind,
    reach: Reach,
}

/// Whether a field is named alone, or with a path behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Alone,
    Below,
}

/// What stands behind a field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A name: whole, with `*` for any text, or a part of it with `:~`.
    Text,
    /// Longer text, of which a part is given, in upper or lower case.
    Prose,
    /// An id, or its beginning of at least so many characters.
    Id {
        /// At least 1.
        shortest: usize,
    },
    /// One of these words, which are in lower case.
    Word(&'static [&'static str]),
    /// When something was: compared, a range, a day, or within the last `2h`.
    Time,
    /// The beginning of what is meant.
    Since,
    /// The end of what is meant.
    Until,
    /// How long something took: compared, or a range.
    Duration,
    /// A whole number: equal, compared, or a range.
    Number,
    /// `yes` or `no`.
    Truth,
}

impl Field {
    /// A field such as `queue`.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, reach: Reach::Alone }
    }

    /// All fields below a name, such as `kwargs.user.plan` below `kwargs`.
    pub const fn below(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, reach: Reach::Below }
    }

    /// Its name; of one with a path the first part.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// What is said about it.
    pub fn kind(self) -> Kind {
        self.kind
    }

    /// What is written before the operator, or before the path.
    pub(super) fn start(self) -> String {
        match self.reach {
            Reach::Alone => format!("{}:", self.name),
            Reach::Below => format!("{}.", self.name),
        }
    }
}

impl Fields {
    /// These fields. What stands without one is a mistake.
    pub const fn new(known: &'static [Field]) -> Self {
        Self { known, bare: Bare::Refused }
    }

    /// Lets words and phrases stand without a field.
    pub const fn with_bare_words(self) -> Self {
        Self { bare: Bare::Allowed, ..self }
    }

    /// All of them.
    pub fn known(&self) -> &'static [Field] {
        self.known
    }

    /// The field that `name` means, and the path behind it, without its dot.
    pub(super) fn find<'a>(&self, name: &'a str) -> Option<(Field, &'a str)> {
        let (head, reach, path) = match name.split_once('.') {
            Some((head, path)) => (head, Reach::Below, path),
            None => (name, Reach::Alone, ""),
        };
        let complete = path.is_empty() || path.split('.').all(|part| !part.is_empty());
        let means = |field: &&Field| field.reach == reach && head.eq_ignore_ascii_case(field.name);
        let field = self.known.iter().find(means).filter(|_| complete)?;
        (reach == Reach::Alone || !path.is_empty()).then_some((*field, path))
    }

    /// What is wrong with a name that means none of them.
    pub(super) fn unknown(&self, name: &Raw) -> Mistake {
        if name.text.is_empty() {
            return Mistake::new(name.span, "the name of a field is missing before `:`");
        }
        let names = self.names();
        let near = match suggestion(&name.text, &names) {
            none if none.is_empty() => format!("; the fields are {}", names.join(", ")),
            near => near,
        };
        Mistake::new(name.span, format!("unknown field `{}`{near}", name.text))
    }

    /// What is wrong with a word or phrase that stands alone, if anything.
    pub(super) fn refuse_bare(&self, bare: &Raw) -> Result<(), Mistake> {
        match self.bare {
            Bare::Allowed => Ok(()),
            Bare::Refused => {
                let names = self.names().join(", ");
                let message = format!("expected field:value; the fields are {names}");
                Err(Mistake::new(bare.span, message))
            }
        }
    }

    fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.known.iter().map(|field| field.name).collect();
        names.dedup();
        names
    }
}
