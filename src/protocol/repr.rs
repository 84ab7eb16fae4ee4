//! Values as Python shows them: what Celery puts into `argsrepr` and into events, for people.
//!
//! Where the text has a limit, writing stops there: a result of a gigabyte costs no more to show
//! than one of a kilobyte.

use super::{Body, Value};
use serde::ser::{self, Serialize};
use std::fmt::{self, Display, Write};

/// Longer texts are cut, as Celery's workers do.
const LONGEST: usize = 1024;

/// Arguments of more bytes than this are not read only to be shown.
const LARGEST: usize = 64 << 10;

/// Shows a value, whole, as Python's `repr` does.
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(&mut Shown(f)).map_err(|_| fmt::Error)
    }
}

/// `value` as Python's `repr` would show it, in at most 1,024 bytes and three dots.
///
/// ```
/// use celeriac::protocol::repr;
///
/// assert_eq!(repr(&("it's", 2.0, [true], None::<u8>)), r#"["it's", 2.0, [True], None]"#);
/// ```
pub fn repr(value: &(impl Serialize + ?Sized)) -> String {
    let mut shown = Shown(Short::default());
    match value.serialize(&mut shown) {
        Ok(()) => shown.0.text,
        Err(Stopped::Full) => shown.0.cut(),
        Err(Stopped::Unwritable(why)) => format!("<unprintable: {why}>"),
    }
}

impl Body {
    /// The positional arguments as Python shows a tuple: `(1, 'two')`.
    pub fn args_repr(&self) -> String {
        if self.raw_args().len() > LARGEST {
            return "(...)".to_owned();
        }
        let args: Vec<Value> = self.args().unwrap_or_default();
        let mut shown = Shown(Short { text: "(".to_owned() });
        for (index, arg) in args.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            if shown.put(comma).and_then(|()| arg.serialize(&mut shown)).is_err() {
                return shown.0.cut();
            }
        }
        shown.0.text + if args.len() == 1 { ",)" } else { ")" }
    }

    /// The named arguments as Python shows a dictionary: `{'size': 3}`.
    pub fn kwargs_repr(&self) -> String {
        if self.raw_kwargs().len() > LARGEST {
            return "{...}".to_owned();
        }
        repr(&self.kwargs().unwrap_or(Value::Map(Vec::new())))
    }
}

/// Text that takes no more than [`LONGEST`] bytes.
#[derive(Default)]
struct Short {
    text: String,
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text.push_str(text);
        if self.text.len() > LONGEST { Err(fmt::Error) } else { Ok(()) }
    }
}

impl Short {
    /// What was written, cut to its length.
    fn cut(mut self) -> String {
        self.text.truncate(self.text.floor_char_boundary(LONGEST));
        self.text + "..."
    }
}

/// Writes what it is given as Python shows it.
struct Shown<W>(W);

/// Why nothing more is written.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("long enough")]
    Full,
    #[error("{0}")]
    Unwritable(String),
}

impl ser::Error for Stopped {
    fn custom<T: Display>(message: T) -> Self {
        Self::Unwritable(message.to_string())
    }
}

type Written = Result<(), Stopped>;

impl From<fmt::Error> for Stopped {
    fn from(_: fmt::Error) -> Self {
        Self::Full
    }
}

impl<W: Write> Shown<W> {
    fn put(&mut self, text: &str) -> Written {
        Ok(self.0.write_str(text)?)
    }

    fn show(&mut self, value: impl fmt::Debug) -> Written {
        Ok(write!(self.0, "{value:?}")?)
    }

    /// Single quotes, or double ones around text that has only single ones in it.
    fn quote(&mut self, text: &str) -> Written {
        let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
        self.0.write_char(quote)?;
        for letter in text.chars() {
            match letter {
                '\\' => self.0.write_str(r"\\")?,
                '\n' => self.0.write_str(r"\n")?,
                '\r' => self.0.write_str(r"\r")?,
                '\t' => self.0.write_str(r"\t")?,
                _ if letter == quote => write!(self.0, "\\{quote}")?,
                _ if letter.is_control() => write!(self.0, "\\x{:02x}", u32::from(letter))?,
                _ => self.0.write_char(letter)?,
            }
        }
        Ok(self.0.write_char(quote)?)
    }
}

/// What is in the middle of a list or dictionary.
struct Inside<'a, W> {
    repr: &'a mut Shown<W>,
    count: usize,
    end: &'static str,
}

impl<'a, W: Write> Inside<'a, W> {
    fn open(repr: &'a mut Shown<W>, start: &str, end: &'static str) -> Result<Self, Stopped> {
        repr.put(start)?;
        Ok(Self { repr, count: 0, end })
    }

    fn item(&mut self, value: &(impl Serialize + ?Sized)) -> Written {
        self.repr.put(if self.count > 0 { ", " } else { "" })?;
        self.count += 1;
        value.serialize(&mut *self.repr)
    }

    fn value(&mut self, value: &(impl Serialize + ?Sized)) -> Written {
        self.repr.put(": ")?;
        value.serialize(&mut *self.repr)
    }

    fn close(self) -> Written {
        self.repr.put(self.end)
    }
}

macro_rules! shown {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, value: $type) -> Written {
            self.show(value)
        })*
    };
}

impl<'a, W: Write> ser::Serializer for &'a mut Shown<W> {
    type Ok = ();
    type Error = Stopped;
    type SerializeSeq = Inside<'a, W>;
    type SerializeTuple = Inside<'a, W>;
    type SerializeTupleStruct = Inside<'a, W>;
    type SerializeTupleVariant = Inside<'a, W>;
    type SerializeMap = Inside<'a, W>;
    type SerializeStruct = Inside<'a, W>;
    type SerializeStructVariant = Inside<'a, W>;

    shown!(
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_i128: i128, serialize_u128: u128
    );

    fn serialize_bool(self, value: bool) -> Written {
        self.put(if value { "True" } else { "False" })
    }

    fn serialize_f32(self, value: f32) -> Written {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Written {
        match value {
            _ if value.is_nan() => self.put("nan"),
            _ if value.is_infinite() => self.put(if value > 0.0 { "inf" } else { "-inf" }),
            _ => self.show(value),
        }
    }

    fn serialize_char(self, value: char) -> Written {
        self.quote(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Written {
        self.quote(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Written {
        Ok(write!(self.0, "b'{}'", value.escape_ascii())?)
    }

    fn serialize_none(self) -> Written {
        self.put("None")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        self.put("None")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.put("None")
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.quote(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        let mut map = Inside::open(self, "{", "}")?;
        map.item(variant)?;
        map.value(value)?;
        map.close()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Inside<'a, W>, Stopped> {
        Inside::open(self, "[", "]")
    }

    fn serialize_tuple(self, _: usize) -> Result<Inside<'a, W>, Stopped> {
        Inside::open(self, "[", "]")
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Inside<'a, W>, Stopped> {
        Inside::open(self, "[", "]")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Inside<'a, W>, Stopped> {
        self.put("{")?;
        self.quote(variant)?;
        Inside::open(self, ": [", "]}")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Inside<'a, W>, Stopped> {
        Inside::open(self, "{", "}")
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Inside<'a, W>, Stopped> {
        Inside::open(self, "{", "}")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Inside<'a, W>, Stopped> {
        self.put("{")?;
        self.quote(variant)?;
        Inside::open(self, ": {", "}}")
    }
}

macro_rules! listed {
    ($($part:ident: $method:ident),*) => {
        $(impl<W: Write> ser::$part for Inside<'_, W> {
            type Ok = ();
            type Error = Stopped;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
                self.item(value)
            }

            fn end(self) -> Written {
                self.close()
            }
        })*
    };
}

listed!(
    SerializeSeq: serialize_element, SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field, SerializeTupleVariant: serialize_field
);

impl<W: Write> ser::SerializeMap for Inside<'_, W> {
    type Ok = ();
    type Error = Stopped;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        self.item(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.value(value)
    }

    fn end(self) -> Written {
        self.close()
    }
}

macro_rules! named {
    ($($part:ident),*) => {
        $(impl<W: Write> ser::$part for Inside<'_, W> {
            type Ok = ();
            type Error = Stopped;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Written {
                self.item(name)?;
                self.value(value)
            }

            fn end(self) -> Written {
                self.close()
            }
        })*
    };
}

named!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Embed, Envelope, Format, Headers, Limits, Properties};
    use serde_json::json;

    fn body(format: Format, args: &impl Serialize, kwargs: &impl Serialize) -> Body {
        let bytes = Body::encode(format, args, kwargs, &Embed::default()).unwrap();
        let content_type = Some(format.content_type().to_owned());
        let envelope = Envelope {
            properties: Properties { content_type, ..Properties::default() },
            headers: Headers::new("t", "i".into()),
            body: bytes.into(),
        };
        Body::parse(&envelope, &Limits::default()).unwrap()
    }

    #[test]
    fn values_look_as_python_shows_them() {
        #[derive(serde::Serialize)]
        enum Shape {
            Plain,
            Of(u8),
            Two(u8, u8),
            Named { side: f64 },
        }
        for (shown, expected) in [
            (
                repr(&json!({ "a": [1, -2.5, true, null], "b": {} })),
                "{'a': [1, -2.5, True, None], 'b': {}}",
            ),
            (repr("it's"), "\"it's\""),
            (repr("\"it's\"\n\u{1}è"), r#"'"it\'s"\n\x01è'"#),
            (repr(&Value::Binary(b"a\xff".to_vec())), r"b'a\xff'"),
            (repr(&[f64::NAN, f64::NEG_INFINITY, 1.0]), "[nan, -inf, 1.0]"),
            (repr(&()), "None"),
            (Repr(&Value::from("'\"\\\n\u{1}ť")).to_string(), r#"'\'"\\\n\x01ť'"#),
            (
                repr(&(Shape::Plain, Shape::Of(1), Shape::Two(1, 2), Shape::Named { side: 0.5 })),
                "['Plain', {'Of': 1}, {'Two': [1, 2]}, {'Named': {'side': 0.5}}]",
            ),
        ] {
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn arguments_are_a_tuple_and_a_dictionary_in_either_format() {
        for format in [Format::Json, Format::MessagePack] {
            let two = body(format, &(1, "x"), &json!({ "size": 3 }));
            assert_eq!(
                (two.args_repr(), two.kwargs_repr()),
                ("(1, 'x')".into(), "{'size': 3}".into())
            );
            let one = body(format, &(1,), &());
            assert_eq!((one.args_repr(), one.kwargs_repr()), ("(1,)".into(), "{}".into()));
            assert_eq!(body(format, &(), &()).args_repr(), "()");
        }
    }

    #[test]
    fn what_is_long_is_cut_and_costs_no_more() {
        struct Endless;
        impl Serialize for Endless {
            fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(std::iter::repeat("è"))
            }
        }
        let shown = repr(&Endless);
        assert!(shown.len() <= LONGEST + 3 && shown.ends_with("..."), "{shown}");
        assert!(repr(&"è".repeat(9_999)).len() <= LONGEST + 3);
        let long = body(Format::Json, &("x".repeat(5_000), 1), &json!({ "k": "x".repeat(70_000) }));
        assert!(long.args_repr().starts_with("('xxx") && long.args_repr().len() <= LONGEST + 3);
        assert_eq!(long.kwargs_repr(), "{...}");
    }

    #[test]
    fn what_cannot_be_written_says_so() {
        struct Broken;
        impl Serialize for Broken {
            fn serialize<S: ser::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(ser::Error::custom("no"))
            }
        }
        assert_eq!(repr(&Broken), "<unprintable: no>");
    }
}
