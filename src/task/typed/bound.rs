//! Arguments bound to parameters, one by one, as Python binds them.

use super::{Argument, ArgumentError, Given, Param, ReadArguments};
use crate::inherit::keys_of;
use crate::protocol::{ArgumentReader, DecodeError};
use serde::de::DeserializeOwned;

/// What one call gives, bound to parameters: positional arguments first, the others by name.
pub(super) struct Bound<'a> {
    given: Given<'a>,
    params: &'static [Param],
    arguments: ArgumentReader<'a>,
    /// What no parameter takes: told before anything else that is wrong.
    surplus: Result<(), ArgumentError>,
}

impl<'a> Bound<'a> {
    pub(super) fn new(given: Given<'a>, params: &'static [Param]) -> Result<Self, ArgumentError> {
        let arguments = given.body.arguments()?;
        let mut bound = Self { given, params, arguments, surplus: Ok(()) };
        bound.surplus = bound.check_surplus();
        Ok(bound)
    }

    /// Refuses what nobody has asked for.
    pub(super) fn finish(self) -> Result<(), ArgumentError> {
        self.surplus
    }

    fn find<A: Argument>(&mut self, index: usize) -> Result<Option<A>, ArgumentError> {
        std::mem::replace(&mut self.surplus, Ok(()))?;
        let param = &self.params[index];
        let found = if index < self.arguments.positional() {
            A::take_at(&self.arguments, index)
        } else {
            param.names().find_map(|name| A::take(&mut self.arguments, name))
        };
        found.transpose().map_err(|error| mismatch(param, error))
    }

    /// Refuses what no parameter takes. A name counts as taken twice when its position is, too.
    fn check_surplus(&self) -> Result<(), ArgumentError> {
        let task = || self.given.task.to_owned();
        let (takes, given) = (self.params.len(), self.arguments.positional());
        if given > takes {
            return Err(ArgumentError::TooMany { task: task(), takes, given });
        }
        for name in self.arguments.left() {
            let known = self.params.iter().position(|param| param.names().any(|own| own == name));
            match known {
                None => {
                    let (name, takes) = (name.to_owned(), self.takes());
                    return Err(ArgumentError::Unexpected { task: task(), name, takes });
                }
                Some(index) if index < given || self.is_doubled(index, name) => {
                    let name = self.params[index].name;
                    return Err(ArgumentError::Twice { task: task(), name });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether the parameter is also there under another of its names.
    fn is_doubled(&self, index: usize, name: &str) -> bool {
        self.params[index].names().any(|other| other != name && self.arguments.has(other))
    }

    fn takes(&self) -> String {
        match self.params {
            [] => "none".to_owned(),
            params => params.iter().map(|param| param.name).collect::<Vec<_>>().join(", "),
        }
    }
}

impl ReadArguments for Bound<'_> {
    type Error = ArgumentError;

    fn required<A: Argument>(&mut self, index: usize) -> Result<A, ArgumentError> {
        let found = self.find(index)?;
        found.ok_or_else(|| {
            let Param { name, kind, .. } = self.params[index];
            ArgumentError::Missing { task: self.given.task.to_owned(), name, kind }
        })
    }

    fn or<A: Argument>(
        &mut self,
        index: usize,
        default: impl FnOnce() -> A,
    ) -> Result<A, ArgumentError> {
        Ok(self.find(index)?.unwrap_or_else(default))
    }

    fn structure<T: DeserializeOwned>(&mut self) -> Result<T, ArgumentError> {
        // A structure has fields instead of parameters.
        self.surplus = Ok(());
        let task = || self.given.task.to_owned();
        let given = self.arguments.positional();
        if given > 0 {
            return Err(ArgumentError::TooMany { task: task(), takes: 0, given });
        }
        let keys = keys_of::<T>();
        let unknown = self.arguments.left().find(|name| !keys.is_empty() && !keys.contains(name));
        if let Some(name) = unknown {
            let (name, takes) = (name.to_owned(), keys.join(", "));
            return Err(ArgumentError::Unexpected { task: task(), name, takes });
        }
        self.given.body.kwargs().map_err(|error| ArgumentError::Field(without_root(error)))
    }
}

/// `kwargs.size` is argument `size` to whoever sent it.
fn without_root(error: DecodeError) -> DecodeError {
    let place = error.place.strip_prefix("kwargs.").unwrap_or_default();
    let place = if place.is_empty() { String::new() } else { format!("`{place}`") };
    DecodeError { place, ..error }
}

/// The value of a secret argument is not told, not even in an error.
fn mismatch(param: &Param, error: DecodeError) -> ArgumentError {
    let DecodeError { place, message } = error;
    let message = match param.is_secret {
        true => format!("its value, which is secret, is no {}", param.kind),
        false => message,
    };
    let dot = if place.is_empty() || place.starts_with('[') { "" } else { "." };
    ArgumentError::Type { name: param.name, place: format!("{dot}{place}"), message }
}
