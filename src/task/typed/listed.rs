//! Arguments read from the list in the message, as it stands.
//!
//! Most calls give their arguments by position, and they fit: then they are decoded like a tuple,
//! in one pass. What is wrong with others is not told here.

use super::{Argument, ReadArguments, Task};
use crate::protocol::{Body, ListReader, Unread};
use serde::de::DeserializeOwned;

/// A list of arguments, and the number of its next one.
struct Listed<'a> {
    list: ListReader<'a>,
    next: usize,
}

/// The arguments of `T`, if they are a list that holds what `T` takes.
#[inline]
pub(super) fn read<T: Task>(body: &Body) -> Option<T::Args> {
    let mut listed = Listed { list: body.list()?, next: 0 };
    let args = T::read(&mut listed).ok()?;
    listed.list.is_read_whole().then_some(args)
}

impl Listed<'_> {
    #[inline]
    fn find<A: Argument>(&mut self, index: usize) -> Result<Option<A>, Unread> {
        if index != self.next {
            return Err(Unread);
        }
        self.next += 1;
        A::take_next(&mut self.list)
    }
}

impl ReadArguments for Listed<'_> {
    type Error = Unread;

    #[inline]
    fn required<A: Argument>(&mut self, index: usize) -> Result<A, Unread> {
        self.find(index)?.ok_or(Unread)
    }

    #[inline]
    fn or<A: Argument>(&mut self, index: usize, default: impl FnOnce() -> A) -> Result<A, Unread> {
        Ok(self.find(index)?.unwrap_or_else(default))
    }

    fn structure<T: DeserializeOwned>(&mut self) -> Result<T, Unread> {
        Err(Unread)
    }
}
