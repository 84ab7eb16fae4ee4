//! Header values, in the types that an AMQP field table can hold.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A value in the header table, independent of any AMQP library.
///
/// Narrow integers and floats are widened: they mean the same to every reader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

impl From<&str> for HeaderValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for HeaderValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for HeaderValue {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for HeaderValue {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<f64> for HeaderValue {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for HeaderValue {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}
