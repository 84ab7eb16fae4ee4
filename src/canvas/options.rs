//! What stands in the options of a signature, as far as workflows are concerned.

use super::read::BadCanvas;
use crate::protocol::{Signature, Value};

/// Adds to an option that is a list of signatures.
pub(super) fn push(task: &mut Signature, option: &str, signature: &Signature) {
    let value = signature.to_value();
    match task.options.get_mut(option) {
        Some(Value::Array(list)) => list.push(value),
        Some(one @ Value::Map(_)) => *one = Value::Array(vec![one.clone(), value]),
        _ => drop(task.options.insert(option.to_owned(), Value::Array(vec![value]))),
    }
}

/// Takes out an option that is a list of signatures, or one, or nothing.
pub(super) fn take_list(task: &mut Signature, option: &str) -> Result<Vec<Signature>, BadCanvas> {
    match task.options.remove(option) {
        None | Some(Value::Nil) => Ok(Vec::new()),
        Some(Value::Array(list)) => list.into_iter().map(read).collect(),
        Some(one) => Ok(vec![read(one)?]),
    }
}

/// Takes out an option that is a signature or nothing.
pub(super) fn take_one(task: &mut Signature, option: &str) -> Result<Option<Signature>, BadCanvas> {
    match task.options.remove(option) {
        None | Some(Value::Nil) => Ok(None),
        Some(one) => read(one).map(Some),
    }
}

/// Takes out an option that is text or nothing.
pub(super) fn take_text(task: &mut Signature, option: &str) -> Option<String> {
    match task.options.remove(option)? {
        Value::String(text) => text.into_str(),
        _ => None,
    }
}

/// Takes out an option that is a whole number or nothing.
pub(super) fn take_number(task: &mut Signature, option: &str) -> Option<i64> {
    task.options.remove(option)?.as_i64()
}

/// Adds a stamp, or another value to one that is there.
pub(super) fn stamp(task: &mut Signature, name: &str, value: &Value) {
    let names = task.options.entry(STAMPED.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(names) = names
        && !names.iter().any(|known| known.as_str() == Some(name))
    {
        names.push(name.into());
    }
    task.options.insert(name.to_owned(), value.clone());
}

const STAMPED: &str = "stamped_headers";

fn read(value: Value) -> Result<Signature, BadCanvas> {
    Ok(Signature::from_value(value)?)
}
