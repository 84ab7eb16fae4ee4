//! Tasks whose arguments are one structure.

use super::{Param, ReadArguments, Task, Written};
use crate::task::{ErrorKind, TaskOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A structure that is at once the name of a task and its arguments; its fields travel by name.
///
/// `#[derive(Message)]` implements it; by hand it is two lines:
///
/// ```
/// use celeriac::task::{Message, Task};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Resize { url: String, width: u32 }
///
/// impl Message for Resize {
///     const NAME: &'static str = "img.resize";
///     type Output = String;
/// }
///
/// assert_eq!(<Resize as Task>::NAME, "img.resize");
/// ```
///
/// What `#[message(..)]` takes is what `#[task(..)]` takes, except `kwargs`, and
/// `output = Type`: what the handler returns.
pub trait Message: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name under which it travels.
    const NAME: &'static str;
    /// The error types that its retry policy may name: whoever handles the message returns an error
    /// that is one of them, or was caused by one, under that one's name. `retry_on` and
    /// `give_up_on` of `#[message(..)]` set it.
    const ERRORS: &'static [ErrorKind] = &[];
    /// The value of a run that succeeds.
    type Output: 'static;

    /// What the code declares; configuration and call override it.
    fn options() -> TaskOptions {
        TaskOptions::default()
    }
}

impl<M: Message> Task for M {
    const NAME: &'static str = M::NAME;
    const PARAMS: &'static [Param] = &[];
    type Args = M;
    type Output = M::Output;

    fn options() -> TaskOptions {
        M::options()
    }

    fn write(args: &M) -> Written<'_> {
        Written::Fields(args)
    }

    fn read<R: ReadArguments>(from: &mut R) -> Result<M, R::Error> {
        from.structure()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Body, Embed, Envelope, Format, Headers, Limits, Properties};
    use crate::task::Given;
    use serde_json::{Value, json};

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Resize {
        #[serde(alias = "uri")]
        url: String,
        width: Option<u32>,
    }

    impl Message for Resize {
        const NAME: &'static str = "img.resize";
        type Output = ();
    }

    fn read(args: &Value, kwargs: &Value) -> Result<Resize, String> {
        let bytes = Body::encode(Format::MessagePack, args, kwargs, &Embed::default()).unwrap();
        let content_type = Some(Format::MessagePack.content_type().to_owned());
        let properties = Properties { content_type, ..Properties::default() };
        let headers = Headers::new("t", "1".into());
        let envelope = Envelope { properties, headers, body: bytes.into() };
        let body = Body::parse(&envelope, &Limits::default()).unwrap();
        Given::new(<Resize as Task>::NAME, &body)
            .read::<Resize>()
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_message_travels_as_its_fields_and_takes_nothing_else() {
        let message = Resize { url: "u".to_owned(), width: Some(3) };
        let (args, kwargs) = Resize::write(&message).values().unwrap();
        assert!(args.is_empty());
        assert_eq!(kwargs.keys().collect::<Vec<_>>(), ["url", "width"]);

        assert_eq!(read(&json!([]), &json!({"url": "u", "width": 3})), Ok(message));
        let short = Resize { url: "u".to_owned(), width: None };
        assert_eq!(read(&json!([]), &json!({"uri": "u"})), Ok(short));
        for (args, kwargs, said) in [
            (json!([1]), json!({}), "img.resize() takes 0 positional arguments, 1 were given"),
            (json!([]), json!({"url": "u", "w": 3}), "unexpected keyword argument `w`"),
            (json!([]), json!({"url": 3}), "argument `url`: "),
            (json!([]), json!({}), "missing field `url`"),
        ] {
            let error = read(&args, &kwargs).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
