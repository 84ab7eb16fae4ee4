//! Header values, in the types that an AMQP field table can hold.

use std::collections::BTreeMap;

/// A value in the header table, independent of any AMQP library.
///
/// Narrow integers and floats are widened: they mean the same to every reader.
#[derive(Debug, Clone, PartialEq)]
pub enum HeaderValue {
    /// No value (`V`).
    Null,
    /// A truth value (`t`).
    Bool(bool),
    /// Any integer; written as 32 bits when it fits (`I`), else as 64 (`l`).
    Int(i64),
    /// Any float (`d`).
    Float(f64),
    /// Text (`S`).
    Text(String),
    /// A long string that is not UTF-8, or a byte array.
    Bytes(Vec<u8>),
    /// Seconds since 1970 (`T`).
    Time(u64),
    /// A list (`A`).
    List(Vec<HeaderValue>),
    /// A nested table (`F`).
    Table(BTreeMap<String, HeaderValue>),
}
