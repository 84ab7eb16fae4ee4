//! Tasks that are functions of the program that embeds us.
//!
//! ```
//! use celeriac::handler::{Failure, Kwargs, Registry, TaskContext};
//! use celeriac::task::TaskOptions;
//! use std::time::Duration;
//!
//! #[derive(serde::Deserialize)]
//! struct Thumbnail { path: String, width: u32 }
//!
//! # fn main() -> anyhow::Result<()> {
//! let mut tasks = Registry::new();
//! tasks.add_async(
//!     "mail.send",
//!     TaskOptions::default(),
//!     |cx: TaskContext, (to, subject): (String, String)| async move {
//!         if to.ends_with("@example.org") && cx.attempt() == 1 {
//!             anyhow::bail!(Failure::Snooze { after: Duration::from_secs(60) });
//!         }
//!         Ok(format!("{subject} to {to}"))
//!     },
//! )?;
//! tasks.add_blocking(
//!     "video.thumbnail",
//!     TaskOptions::default(),
//!     |_: TaskContext, Kwargs(wanted): Kwargs<Thumbnail>| {
//!         let bytes = std::fs::read(wanted.path)?;
//!         anyhow::Ok(bytes.len() as u64 / u64::from(wanted.width))
//!     },
//! )?;
//! # Ok(())
//! # }
//! ```

use super::{DuplicateTask, Failure, Handler, Output, Registry, TaskContext, TaskError};
use crate::protocol::{Body, DecodeError};
use crate::task::{ErrorKind, TaskOptions};
use crate::traces;
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::any::type_name;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::Span;

/// The guide's examples, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/tasks.md")]
struct Guide;

/// What a function takes: a tuple of up to eight positional arguments, or [`Kwargs`].
pub trait Arguments: Sized + Send + 'static {
    /// Reads them from a body.
    ///
    /// # Errors
    ///
    /// When the call has other arguments; the error names the first that does not fit.
    fn decode(body: &Body) -> Result<Self, DecodeError>;
}

/// Arguments given by name, as a structure with a field for each.
///
/// ```
/// # fn main() -> anyhow::Result<()> {
/// use celeriac::handler::{Kwargs, Registry};
/// use celeriac::task::TaskOptions;
///
/// #[derive(serde::Deserialize)]
/// struct Size {
///     width: u32,
///     height: Option<u32>,
/// }
///
/// let area = |_, Kwargs(size): Kwargs<Size>| async move {
///     anyhow::Ok(size.width * size.height.unwrap_or(size.width))
/// };
/// let mut registry = Registry::new();
/// registry.add_async("img.area", TaskOptions::default(), area)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kwargs<T>(pub T);

impl Registry {
    /// Adds an async function.
    ///
    /// A call whose arguments do not fit is rejected. An error that is, or wraps, a [`Failure`]
    /// decides for itself what follows; one that is a [`TaskError`] brings its kind and text; any
    /// other has the name of its type as kind, and the retry policy judges it.
    ///
    /// The function is dropped at its hard time limit, at the `await` it stands at.
    ///
    /// ```
    /// # fn main() -> anyhow::Result<()> {
    /// # use celeriac::handler::{Registry, TaskContext};
    /// # use celeriac::task::TaskOptions;
    /// async fn greet(_: TaskContext, (name, times): (String, usize)) -> anyhow::Result<String> {
    ///     Ok(name.repeat(times))
    /// }
    ///
    /// let mut registry = Registry::new();
    /// registry.add_async("greet", TaskOptions::default(), greet)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the name is taken.
    pub fn add_async<A, F, R, T, E>(
        &mut self,
        name: impl Into<String>,
        options: TaskOptions,
        function: F,
    ) -> Result<&mut Self, DuplicateTask>
    where
        A: Arguments,
        F: Fn(TaskContext, A) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize + Send + Sync + 'static,
        E: Into<anyhow::Error> + 'static,
    {
        let function = Arc::new(function);
        let handler = move |cx, body: Arc<Body>| -> Attempt {
            let function = Arc::clone(&function);
            Box::pin(async move {
                let arguments = arguments(&body)?;
                drop(body);
                let ended = function(cx, arguments).await;
                ended.map(Output::new).map_err(|error| failure(error, &[]))
            })
        };
        self.add(name, options, Arc::new(Function(handler)))
    }

    /// Adds a function that blocks its thread, and is given one of its own.
    ///
    /// As [`Registry::add_async`], but nothing stops it from outside: at its limits its context's
    /// `cancel` is cancelled, and it ends when it looks there.
    ///
    /// ```
    /// # fn main() -> anyhow::Result<()> {
    /// # use celeriac::handler::{Registry, TaskContext};
    /// # use celeriac::task::TaskOptions;
    /// fn checksum(cx: TaskContext, (bytes,): (Vec<u8>,)) -> anyhow::Result<u32> {
    ///     let parts = bytes.chunks(4096).take_while(|_| !cx.cancel.is_cancelled());
    ///     Ok(parts.flatten().map(|byte| u32::from(*byte)).sum())
    /// }
    ///
    /// let mut registry = Registry::new();
    /// registry.add_blocking("checksum", TaskOptions::default(), checksum)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the name is taken.
    pub fn add_blocking<A, F, T, E>(
        &mut self,
        name: impl Into<String>,
        options: TaskOptions,
        function: F,
    ) -> Result<&mut Self, DuplicateTask>
    where
        A: Arguments,
        F: Fn(TaskContext, A) -> Result<T, E> + Send + Sync + 'static,
        T: Serialize + Send + Sync + 'static,
        E: Into<anyhow::Error> + 'static,
    {
        let function = Arc::new(function);
        let handler = move |cx: TaskContext, body: Arc<Body>| -> Attempt {
            let function = Arc::clone(&function);
            Box::pin(async move {
                let arguments = arguments(&body)?;
                drop(body);
                cx.on_thread.note();
                let cancel = cx.cancel.clone();
                let run = move || {
                    function(cx, arguments).map(Output::new).map_err(|error| failure(error, &[]))
                };
                blocking(cancel, run).await
            })
        };
        self.add(name, options, Arc::new(Function(handler)))
    }
}

type Attempt = BoxFuture<'static, Result<Output, Failure>>;

struct Function<F>(F);

impl<F> Handler for Function<F>
where
    F: Fn(TaskContext, Arc<Body>) -> Attempt + Send + Sync + 'static,
{
    fn call(&self, cx: TaskContext, body: Arc<Body>) -> Attempt {
        (self.0)(cx, body)
    }
}

/// Runs a function on a thread of its own. It learns that this future was dropped, as it is at a
/// hard limit, by `cancel`.
pub(super) async fn blocking(
    cancel: CancellationToken,
    function: impl FnOnce() -> Result<Output, Failure> + Send + 'static,
) -> Result<Output, Failure> {
    let _dropped = cancel.drop_guard();
    let (span, trace) = (Span::current(), traces::here());
    let function = move || match trace {
        Some(trace) => trace.in_scope(|| span.in_scope(function)),
        None => span.in_scope(function),
    };
    match spawn_blocking(function).await {
        Ok(ended) => ended,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Failure::error("Interrupted", error.to_string())),
        },
    }
}

fn arguments<A: Arguments>(body: &Body) -> Result<A, Failure> {
    A::decode(body).map_err(|error| Failure::argument(error.to_string()))
}

/// What an error of a function means. One of `kinds`, or one caused by it, is named after that.
pub(super) fn failure<E: Into<anyhow::Error> + 'static>(error: E, kinds: &[ErrorKind]) -> Failure {
    let error: anyhow::Error = error.into();
    let error = match error.downcast::<Failure>() {
        Ok(failure) => return failure,
        Err(error) => error,
    };
    match error.downcast::<TaskError>() {
        Ok(error) => Failure::Error(error),
        Err(error) => {
            let known = kinds.iter().find(|kind| kind.covers(error.as_ref())).map(ErrorKind::name);
            Failure::Error(described(known.unwrap_or_else(kind::<E>), &error))
        }
    }
}

/// The path of the error's type, without what it is generic over.
fn kind<E>() -> &'static str {
    type_name::<E>().split('<').next().unwrap_or_default()
}

fn described(kind: &str, error: &anyhow::Error) -> TaskError {
    let (message, everything) = (error.to_string(), format!("{error:?}"));
    let described = TaskError::new(kind, message);
    if everything == described.message { described } else { described.with_detail(everything) }
}

impl<T: DeserializeOwned + Send + 'static> Arguments for Kwargs<T> {
    fn decode(body: &Body) -> Result<Self, DecodeError> {
        no_args(body)?;
        body.kwargs().map(Self)
    }
}

impl Arguments for () {
    fn decode(body: &Body) -> Result<Self, DecodeError> {
        no_kwargs(body)?;
        no_args(body)
    }
}

macro_rules! tuple {
    ($count:literal: $($argument:ident),+) => {
        impl<$($argument: DeserializeOwned + Send + 'static),+> Arguments for ($($argument,)+) {
            fn decode(body: &Body) -> Result<Self, DecodeError> {
                no_kwargs(body)?;
                body.args().map_err(|error| miscounted(body, $count).unwrap_or(error))
            }
        }
    };
}

tuple!(1: A);
tuple!(2: A, B);
tuple!(3: A, B, C);
tuple!(4: A, B, C, D);
tuple!(5: A, B, C, D, E);
tuple!(6: A, B, C, D, E, F);
tuple!(7: A, B, C, D, E, F, G);
tuple!(8: A, B, C, D, E, F, G, H);

fn no_args(body: &Body) -> Result<(), DecodeError> {
    miscounted(body, 0).map_or(Ok(()), Err)
}

/// The error of a call that does not have `expected` positional arguments, if it is one.
fn miscounted(body: &Body, expected: usize) -> Option<DecodeError> {
    let given = body.args::<Vec<IgnoredAny>>().ok()?.len();
    let message = format!("the task takes {expected} positional arguments, the call has {given}");
    (given != expected).then(|| DecodeError { place: "args".to_owned(), message })
}

fn no_kwargs(body: &Body) -> Result<(), DecodeError> {
    let given: BTreeMap<String, IgnoredAny> = body.kwargs()?;
    let Some(name) = given.into_keys().next() else { return Ok(()) };
    let message = "the task takes no arguments by name".to_owned();
    Err(DecodeError { place: format!("kwargs.{name}"), message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::{body, context, error, rejection, value};
    use crate::protocol::Format;
    use anyhow::Context;
    use serde_json::{Value, json};
    use std::num::ParseIntError;
    use std::time::Duration;

    #[derive(serde::Deserialize)]
    struct Size {
        width: u32,
        unit: Option<String>,
    }

    /// One task of each kind.
    fn tasks() -> Registry {
        let mut tasks = Registry::new();
        let options = TaskOptions::default;
        let repeat = |_: TaskContext, (text, times): (String, usize)| async move {
            anyhow::Ok(text.repeat(times))
        };
        let size = |_: TaskContext, Kwargs(size): Kwargs<Size>| {
            let unit = size.unit.unwrap_or_else(|| "px".to_owned());
            anyhow::Ok(format!("{}{unit}", size.width))
        };
        let parse = |_: TaskContext, (text,): (String,)| async move { text.parse::<i64>() };
        tasks.add_async("repeat", options(), repeat).unwrap();
        tasks.add_blocking("size", options(), size).unwrap();
        tasks.add_async("parse", options(), parse).unwrap();
        tasks.add_async("nothing", options(), |_, ()| async { anyhow::Ok(()) }).unwrap();
        tasks
    }

    async fn call(name: &str, args: Value, kwargs: Value) -> Vec<Result<Output, Failure>> {
        let tasks = tasks();
        let handler = &tasks.get(name).unwrap().handler;
        let mut ended = Vec::new();
        for format in [Format::Json, Format::MessagePack] {
            let body = body(format, &args, &kwargs);
            ended.push(handler.call(context(name, "1"), body).await);
        }
        ended
    }

    #[tokio::test]
    async fn arguments_become_what_the_function_takes() {
        for (name, args, kwargs, expected) in [
            ("repeat", json!(["ab", 2]), json!({}), json!("abab")),
            ("size", json!([]), json!({"width": 3}), json!("3px")),
            ("size", json!([]), json!({"width": 3, "unit": "mm"}), json!("3mm")),
            ("parse", json!(["17"]), json!({}), json!(17)),
            ("nothing", json!([]), json!({}), json!(null)),
        ] {
            for ended in call(name, args.clone(), kwargs.clone()).await {
                assert_eq!(value(ended), expected, "{name}");
            }
        }
    }

    #[tokio::test]
    async fn arguments_that_do_not_fit_are_rejected_by_name() {
        for (name, args, kwargs, said) in [
            (
                "repeat",
                json!(["ab"]),
                json!({}),
                "args: the task takes 2 positional arguments, the call has 1",
            ),
            (
                "repeat",
                json!(["ab", 1, 2]),
                json!({}),
                "args: the task takes 2 positional arguments, the call has 3",
            ),
            ("repeat", json!(["ab", "two"]), json!({}), "args[1]: "),
            ("repeat", json!(["ab", -1]), json!({}), "args[1]: "),
            ("repeat", json!(["ab", 2]), json!({"deep": 1}), "kwargs.deep: the task takes no"),
            ("size", json!([1]), json!({"width": 3}), "args: the task takes 0 positional"),
            ("size", json!([]), json!({}), "missing field `width`"),
            ("size", json!([]), json!({"width": "3"}), "kwargs.width: "),
            ("nothing", json!([1]), json!({}), "args: the task takes 0 positional"),
        ] {
            for ended in call(name, args.clone(), kwargs.clone()).await {
                let error = rejection(ended);
                assert_eq!(error.kind, "ArgumentError");
                assert!(error.message.contains(said), "{name}: {error}");
            }
        }
    }

    #[tokio::test]
    async fn an_error_is_named_after_its_type() {
        for ended in call("parse", json!(["x"]), json!({})).await {
            let error = error(ended);
            assert_eq!(error.kind, type_name::<ParseIntError>());
            assert_eq!(error.message, "invalid digit found in string");
        }
    }

    #[test]
    fn an_error_may_decide_for_itself() {
        let snooze = Failure::Snooze { after: Duration::from_secs(3) };
        assert_eq!(failure(snooze.clone(), &[]), snooze);
        assert_eq!(failure(anyhow::Error::new(snooze.clone()).context("waiting"), &[]), snooze);

        let named = TaskError::new("SmtpDown", "421");
        assert_eq!(failure(named.clone(), &[]), Failure::Error(named));

        let wrapped = "x".parse::<i64>().context("reading the size");
        let Failure::Error(error) = failure(wrapped.unwrap_err(), &[]) else { panic!("no error") };
        assert_eq!(
            (error.kind.as_str(), error.message.as_str()),
            ("anyhow::Error", "reading the size")
        );
        assert!(error.detail.unwrap().contains("invalid digit"));
    }

    #[tokio::test]
    async fn a_blocking_function_learns_that_it_was_dropped() {
        let mut tasks = Registry::new();
        let (entered, mut began) = tokio::sync::mpsc::unbounded_channel();
        let (left, mut ended) = tokio::sync::mpsc::unbounded_channel();
        let function = move |cx: TaskContext, (): ()| {
            entered.send(()).unwrap();
            futures::executor::block_on(cx.cancel.cancelled());
            left.send(()).unwrap();
            anyhow::Ok(())
        };
        tasks.add_blocking("wait", TaskOptions::default(), function).unwrap();
        let body = body(Format::Json, &json!([]), &json!({}));
        tokio::select! {
            _ = tasks.get("wait").unwrap().handler.call(context("wait", "1"), body) => unreachable!(),
            began = began.recv() => began.unwrap(),
        }
        ended.recv().await.unwrap();
    }

    #[tokio::test]
    #[should_panic = "as loud as in an async function"]
    async fn a_panic_in_a_blocking_function_stays_a_panic() {
        let mut tasks = Registry::new();
        let function = |_: TaskContext, (): ()| -> anyhow::Result<()> {
            panic!("as loud as in an async function")
        };
        tasks.add_blocking("panic", TaskOptions::default(), function).unwrap();
        let body = body(Format::Json, &json!([]), &json!({}));
        tasks.get("panic").unwrap().handler.call(context("panic", "1"), body).await.ok();
    }
}
