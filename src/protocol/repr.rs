//! Values as Python shows them, for texts that Celery's users compare and search.

use super::Value;
use std::fmt::{self, Display, Formatter, Write};

/// Shows a value as Python's `repr` does.
///
/// ```
/// use celeriac::protocol::{Repr, Value};
///
/// let value = Value::from(vec![Value::from("it's"), Value::Nil, Value::from(true)]);
/// assert_eq!(Repr(&value).to_string(), r#"["it's", None, True]"#);
/// ```
#[derive(Debug)]
pub struct Repr<'a>(pub &'a Value);

impl Display for Repr<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Nil => f.write_str("None"),
            Value::Boolean(true) => f.write_str("True"),
            Value::Boolean(false) => f.write_str("False"),
            Value::Integer(number) => number.fmt(f),
            Value::F32(number) => float(f, f64::from(*number)),
            Value::F64(number) => float(f, *number),
            Value::String(string) => match string.as_str() {
                Some(string) => text(f, string),
                None => bytes(f, string.as_bytes()),
            },
            Value::Binary(binary) | Value::Ext(_, binary) => bytes(f, binary),
            Value::Array(items) => {
                f.write_char('[')?;
                separated(f, items, |f, item| Repr(item).fmt(f))?;
                f.write_char(']')
            }
            Value::Map(entries) => {
                f.write_char('{')?;
                separated(f, entries, |f, (key, value)| {
                    write!(f, "{}: {}", Repr(key), Repr(value))
                })?;
                f.write_char('}')
            }
        }
    }
}

/// Shows items with a comma between them.
fn separated<T>(
    f: &mut Formatter<'_>,
    items: &[T],
    show: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        show(f, item)?;
    }
    Ok(())
}

fn float(f: &mut Formatter<'_>, number: f64) -> fmt::Result {
    match number {
        _ if number.is_nan() => f.write_str("nan"),
        _ if number.is_infinite() => f.write_str(if number > 0.0 { "inf" } else { "-inf" }),
        _ => write!(f, "{number:?}"),
    }
}

/// In single quotes, unless there is one inside and no double quote.
fn text(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    f.write_char(quote)?;
    for letter in text.chars() {
        match letter {
            '\\' => f.write_str(r"\\")?,
            '\n' => f.write_str(r"\n")?,
            '\r' => f.write_str(r"\r")?,
            '\t' => f.write_str(r"\t")?,
            letter if letter == quote => write!(f, "\\{quote}")?,
            letter if letter.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(letter))?,
            letter => f.write_char(letter)?,
        }
    }
    f.write_char(quote)
}

fn bytes(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    write!(f, "b'{}'", bytes.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_python_shows_them() {
        let map = Value::Map(vec![(Value::from("a"), Value::from(vec![Value::from(-1)]))]);
        for (value, shown) in [
            (Value::from("no"), "'no'"),
            (Value::from("it's"), "\"it's\""),
            (Value::from("'\"\\\n\u{1}ť"), r#"'\'"\\\n\x01ť'"#),
            (Value::from(1.0), "1.0"),
            (Value::from(f64::NAN), "nan"),
            (Value::from(f64::NEG_INFINITY), "-inf"),
            (Value::Binary(vec![b'a', 0]), r"b'a\x00'"),
            (map, "{'a': [-1]}"),
        ] {
            assert_eq!(Repr(&value).to_string(), shown);
        }
    }
}
