//! Async functions that take a message, without a macro.

use super::{Definition, Extract, Invocation, Return};
use crate::task::Message;
use std::any::TypeId;
use std::sync::Arc;

/// An async function whose last parameter is a [`Message`] and whose others are supplied by the
/// worker, six at most.
///
/// ```
/// use celeriac::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, Message)]
/// #[message(name = "img.resize", output = u64, queue = "img")]
/// struct Resize { width: u64 }
///
/// async fn resize(State(factor): State<u64>, job: Resize) -> anyhow::Result<u64> {
///     Ok(job.width * factor)
/// }
///
/// let set = TaskSet::new().state(2_u64).handler(resize);
/// assert!(set.check().is_ok());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no task handler",
    note = "a handler is an async function: first what the worker supplies (`Ctx`, `State<T>`, \
            ..), last a `Message`",
    note = "it returns `Result<V, E>`, where `V` is the message's `Output`"
)]
pub trait MessageHandler<Kind>: Send + Sync + 'static {
    /// The task that it is.
    ///
    /// ```
    /// # use celeriac::{handler::MessageHandler, prelude::*};
    /// # #[derive(serde::Serialize, serde::Deserialize, Message)]
    /// # #[message(name = "img.crop", queue = "img")]
    /// # struct Crop { width: u32 }
    /// # async fn crop(job: Crop) -> anyhow::Result<()> { Ok(()) }
    /// assert_eq!(crop.definition().options().queue.as_deref(), Some("img"));
    /// ```
    fn definition(self) -> Definition;
}

macro_rules! handler {
    ($($extract:ident),*) => {
        #[diagnostic::do_not_recommend]
        impl<F, Fut, M, $($extract,)*> MessageHandler<(Fut, $($extract,)* M)> for F
        where
            F: Fn($($extract,)* M) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: Return<Value = M::Output>> + Send + 'static,
            M: Message,
            $($extract: Extract,)*
        {
            fn definition(self) -> Definition {
                let start = move |invocation: Invocation| {
                    let message = invocation.arguments::<M>()?;
                    let body = self($(invocation.extract::<$extract>()?,)* message);
                    Ok(invocation.run(M::ERRORS, body))
                };
                #[allow(unused_mut, reason = "a function may need nothing")]
                let mut needs = Vec::new();
                $(needs.extend($extract::needs());)*
                Definition::new::<M>(needs, TypeId::of::<F>(), Arc::new(start))
            }
        }
    };
}

handler!();
handler!(A);
handler!(A, B);
handler!(A, B, C);
handler!(A, B, C, D);
handler!(A, B, C, D, E);
handler!(A, B, C, D, E, G);
