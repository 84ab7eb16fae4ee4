//! Tasks that the compiler knows: a name, the types of the arguments, the type of the result.
//!
//! [`Task`] is what `#[task]` implements and what can be written by hand. It says how arguments
//! become a message and a message arguments, one by one, so that an error names the argument; it
//! knows nothing of how the task runs or how it is sent.

mod argument;
mod bound;
mod given;
mod listed;
mod message;
mod name;
mod read;

pub use argument::{Argument, Param};
pub use given::{ArgumentError, Given};
pub use message::Message;
pub use name::{dotted, dotted_len};
pub use read::ReadArguments;

use super::TaskOptions;
use crate::protocol::{EncodeError, Format, Value};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::collections::BTreeMap;

/// A value to be written, of whatever type.
pub type Erased = dyn erased_serde::Serialize + Send + Sync;

/// A kind of work, known to the compiler.
///
/// `#[task]` implements it. By hand:
///
/// ```
/// use celeriac::task::{Argument, Param, ReadArguments, Task, TaskOptions, Written};
///
/// struct Add;
///
/// impl Task for Add {
///     const NAME: &'static str = "shop.add";
///     const PARAMS: &'static [Param] = &[Param::new("a", "i64"), Param::new("b", "i64")];
///     type Args = (i64, i64);
///     type Output = i64;
///
///     fn options() -> TaskOptions {
///         TaskOptions::default()
///     }
///     fn write((a, b): &Self::Args) -> Written<'_> {
///         Written::Positional(vec![a.erased(), b.erased()])
///     }
///     fn read<R: ReadArguments>(from: &mut R) -> Result<Self::Args, R::Error> {
///         Ok((from.required(0)?, from.required(1)?))
///     }
/// }
/// ```
pub trait Task: 'static {
    /// The name under which it travels.
    const NAME: &'static str;
    /// What a caller passes, in order.
    const PARAMS: &'static [Param];
    /// The arguments: a tuple of what a caller passes.
    type Args: Send + Sync + 'static;
    /// The value of a run that succeeds.
    type Output: 'static;

    /// What the code declares; configuration and call override it.
    fn options() -> TaskOptions;

    /// The arguments as they are to be written.
    fn write(args: &Self::Args) -> Written<'_>;

    /// Reads the arguments of a call. [`Given::read`] calls it.
    ///
    /// # Errors
    ///
    /// What `from` says: that an argument is missing or of another type.
    fn read<R: ReadArguments>(from: &mut R) -> Result<Self::Args, R::Error>;
}

/// The arguments of one call, not yet encoded.
pub enum Written<'a> {
    /// By position.
    Positional(Vec<&'a Erased>),
    /// By name, in the order of the parameters.
    Named(Vec<(&'static str, &'a Erased)>),
    /// One structure whose fields are the arguments by name.
    Fields(&'a Erased),
}

/// Positional arguments as serde sees them.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a>(&'a Written<'a>);

/// Named arguments as serde sees them.
#[derive(Clone, Copy)]
pub(crate) struct Kwargs<'a>(&'a Written<'a>);

impl Written<'_> {
    /// The positional part.
    pub(crate) fn args(&self) -> Args<'_> {
        Args(self)
    }

    /// The named part.
    pub(crate) fn kwargs(&self) -> Kwargs<'_> {
        Kwargs(self)
    }

    /// Both parts as values, for a signature.
    ///
    /// # Errors
    ///
    /// When a value cannot be written.
    pub fn values(&self) -> Result<(Vec<Value>, BTreeMap<String, Value>), EncodeError> {
        Ok((convert(&self.args())?, convert(&self.kwargs())?))
    }
}

impl std::fmt::Debug for Written<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Written(..)")
    }
}

impl Serialize for Args<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let args: &[&Erased] = match self.0 {
            Written::Positional(args) => args,
            Written::Named(_) | Written::Fields(_) => &[],
        };
        let mut list = serializer.serialize_seq(Some(args.len()))?;
        for arg in args {
            list.serialize_element(arg)?;
        }
        list.end()
    }
}

impl Serialize for Kwargs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named: &[(&str, &Erased)] = match self.0 {
            Written::Positional(_) => &[],
            Written::Named(named) => named,
            Written::Fields(fields) => return erased_serde::serialize(fields, serializer),
        };
        let mut map = serializer.serialize_map(Some(named.len()))?;
        for (name, value) in named {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A value as the message format holds it.
fn convert<T: serde::de::DeserializeOwned>(
    value: &(impl Serialize + ?Sized),
) -> Result<T, EncodeError> {
    let format = Format::MessagePack;
    let bytes = format.encode(value)?;
    format
        .decode(&bytes)
        .map_err(|error| EncodeError { format: format.name(), message: error.to_string() })
}
