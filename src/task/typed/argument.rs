//! What can travel as an argument of a task.

use super::Erased;
use crate::protocol::{ArgumentReader, DecodeError, ListReader, Unread};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that can travel as an argument of a task: whatever serde can write and read, owned.
///
/// It is asked for argument by argument, so that the compiler's message, too, is about one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel as a task argument",
    label = "neither a known extractor nor Serialize + Deserialize",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, or mark the parameter \
            `#[extract]` if the worker supplies it",
    note = "an argument owns its data: `String` instead of `&str`, `Vec<T>` instead of `&[T]`"
)]
pub trait Argument: Sized + Send + Sync + 'static {
    /// For the encoder, which does not care for the type.
    fn erased(&self) -> &Erased;

    /// The next of a list of arguments, if there is one.
    #[doc(hidden)]
    fn take_next(list: &mut ListReader<'_>) -> Result<Option<Self>, Unread>;

    /// The positional argument at this index, if there is one.
    #[doc(hidden)]
    fn take_at(from: &ArgumentReader<'_>, index: usize) -> Option<Result<Self, DecodeError>>;

    /// The argument of this name, if there is one.
    #[doc(hidden)]
    fn take(from: &mut ArgumentReader<'_>, name: &str) -> Option<Result<Self, DecodeError>>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Argument for T {
    fn erased(&self) -> &Erased {
        self
    }

    #[inline]
    fn take_next(list: &mut ListReader<'_>) -> Result<Option<Self>, Unread> {
        list.take_next()
    }

    fn take_at(from: &ArgumentReader<'_>, index: usize) -> Option<Result<Self, DecodeError>> {
        from.take_at(index)
    }

    fn take(from: &mut ArgumentReader<'_>, name: &str) -> Option<Result<Self, DecodeError>> {
        from.take(name)
    }
}

/// One thing that a caller passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Param {
    /// Its name in a message.
    pub name: &'static str,
    /// Further names under which it may come.
    pub aliases: &'static [&'static str],
    /// Its Rust type, as written.
    pub kind: &'static str,
    /// Whether a call may leave it out.
    pub has_default: bool,
    /// Whether its value must not be shown.
    pub is_secret: bool,
}

impl Param {
    /// A parameter that every call must give.
    pub const fn new(name: &'static str, kind: &'static str) -> Self {
        Self { name, aliases: &[], kind, has_default: false, is_secret: false }
    }

    /// The same, but a call may leave it out.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { has_default: true, ..self }
    }

    /// The same, also known by these names.
    #[must_use]
    pub const fn aliased(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// The same, but its value is never shown.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// Every name under which it may come.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}
