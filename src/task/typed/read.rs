//! Where the arguments of a call are read from.

use super::Argument;
use serde::de::DeserializeOwned;

/// The arguments of a call, to be read one by one in the order of the parameters.
///
/// Two things implement it, so that [`Task::read`](super::Task::read) is written once: a list in the
/// message that is decoded as it stands, which is fast, and arguments that have been bound to
/// parameters, which knows what is wrong with which.
pub trait ReadArguments {
    /// Why an argument was not read.
    type Error;

    /// Parameter number `index`, which every call must give. Ask in the order of the parameters.
    ///
    /// # Errors
    ///
    /// When it is missing or of another type.
    fn required<A: Argument>(&mut self, index: usize) -> Result<A, Self::Error>;

    /// Parameter number `index`, or its default. Ask in the order of the parameters.
    ///
    /// # Errors
    ///
    /// When it is of another type.
    fn or<A: Argument>(
        &mut self,
        index: usize,
        default: impl FnOnce() -> A,
    ) -> Result<A, Self::Error>;

    /// All named arguments, as the fields of one structure.
    ///
    /// # Errors
    ///
    /// When there are positional arguments, or a field is missing, unknown or of another type.
    fn structure<T: DeserializeOwned>(&mut self) -> Result<T, Self::Error>;
}
