//! Calls of typed tasks, as values.

use super::SendOptions;
use crate::ids::TaskId;
use crate::protocol::{EncodeError, Format, HeaderValue, Signature, Value};
use crate::task::{RetryPolicy, Task, Written};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

/// A call of the task `T` with its arguments and options. Nothing is sent until it meets an app.
#[must_use = "a task call does nothing until it is sent"]
pub struct Call<T: Task> {
    args: T::Args,
    options: SendOptions,
}

/// A call of the task `T` that lacks its first argument, which is `In`: a step of a workflow that
/// takes the value of the step before.
#[must_use = "a step does nothing until it is part of a workflow that is sent"]
pub struct Partial<T: Task, In> {
    rest: Result<(Vec<Value>, BTreeMap<String, Value>), EncodeError>,
    options: SendOptions,
    types: PhantomData<fn(In) -> T>,
}

impl<T: Task> Call<T> {
    /// A call with these arguments.
    pub fn new(args: T::Args) -> Self {
        Self { args, options: SendOptions::of::<T>() }
    }

    /// What it is called with.
    pub fn args(&self) -> &T::Args {
        &self.args
    }

    /// What it says beyond its arguments.
    pub fn options(&self) -> &SendOptions {
        &self.options
    }

    /// Both parts.
    pub fn into_parts(self) -> (T::Args, SendOptions) {
        (self.args, self.options)
    }

    /// The task and its arguments as a signature, and the options beside it.
    ///
    /// # Errors
    ///
    /// When an argument cannot be written.
    pub fn into_signature(self) -> Result<(Signature, SendOptions), EncodeError> {
        let (args, kwargs) = T::write(&self.args).values()?;
        Ok((Signature { args, kwargs, ..Signature::new(T::NAME) }, self.options))
    }
}

impl<T: Task, In> Partial<T, In> {
    /// A call that lacks the first argument; `rest` are the others.
    pub fn new(rest: &Written<'_>) -> Self {
        Self { rest: rest.values(), options: SendOptions::of::<T>(), types: PhantomData }
    }

    /// What it says beyond its arguments.
    pub fn options(&self) -> &SendOptions {
        &self.options
    }

    /// The task and the arguments that are known as a signature, and the options beside it. Who
    /// runs it puts the value of the step before in front of the positional arguments.
    ///
    /// # Errors
    ///
    /// When an argument cannot be written.
    pub fn into_signature(self) -> Result<(Signature, SendOptions), EncodeError> {
        let (args, kwargs) = self.rest?;
        Ok((Signature { args, kwargs, ..Signature::new(T::NAME) }, self.options))
    }
}

/// The options of [`SendOptions`], on whatever holds some.
macro_rules! options {
    ($($kind:tt)*) => {
        impl $($kind)* {
            /// With these options instead of those it has.
            pub fn with_options(self, options: SendOptions) -> Self {
                Self { options: options.declared_as(&self.options), ..self }
            }

            /// See [`SendOptions::id`].
            pub fn id(self, id: impl Into<TaskId>) -> Self {
                self.map(|options| options.id(id))
            }

            /// See [`SendOptions::queue`].
            pub fn queue(self, queue: impl Into<String>) -> Self {
                self.map(|options| options.queue(queue))
            }

            /// See [`SendOptions::exchange`].
            pub fn exchange(self, exchange: impl Into<String>) -> Self {
                self.map(|options| options.exchange(exchange))
            }

            /// See [`SendOptions::routing_key`].
            pub fn routing_key(self, key: impl Into<String>) -> Self {
                self.map(|options| options.routing_key(key))
            }

            /// See [`SendOptions::priority`].
            pub fn priority(self, priority: u8) -> Self {
                self.map(|options| options.priority(priority))
            }

            /// See [`SendOptions::countdown`].
            pub fn countdown(self, wait: Duration) -> Self {
                self.map(|options| options.countdown(wait))
            }

            /// See [`SendOptions::eta`]. Takes a `jiff::Timestamp` as well.
            pub fn eta(self, time: impl Into<SystemTime>) -> Self {
                self.map(|options| options.eta(time.into()))
            }

            /// See [`SendOptions::expires_in`].
            pub fn expires(self, wait: Duration) -> Self {
                self.map(|options| options.expires_in(wait))
            }

            /// See [`SendOptions::expires_at`]. Takes a `jiff::Timestamp` as well.
            pub fn expires_at(self, time: impl Into<SystemTime>) -> Self {
                self.map(|options| options.expires_at(time.into()))
            }

            /// See [`SendOptions::soft_limit`].
            pub fn soft_limit(self, limit: Duration) -> Self {
                self.map(|options| options.soft_limit(limit))
            }

            /// See [`SendOptions::time_limit`].
            pub fn time_limit(self, limit: Duration) -> Self {
                self.map(|options| options.time_limit(limit))
            }

            /// See [`SendOptions::max_retries`].
            pub fn max_retries(self, retries: u32) -> Self {
                self.map(|options| options.max_retries(retries))
            }

            /// See [`SendOptions::retry`].
            pub fn retry(self, policy: RetryPolicy) -> Self {
                self.map(|options| options.retry(policy))
            }

            /// See [`SendOptions::rate_key`].
            pub fn rate_key(self, key: impl Into<String>) -> Self {
                self.map(|options| options.rate_key(key))
            }

            /// See [`SendOptions::unique`].
            pub fn unique(self, key: impl Into<String>) -> Self {
                self.map(|options| options.unique(key))
            }

            /// See [`SendOptions::within`].
            pub fn within(self, window: Duration) -> Self {
                self.map(|options| options.within(window))
            }

            /// See [`SendOptions::header`].
            pub fn header(self, name: impl Into<String>, value: impl Into<HeaderValue>) -> Self {
                self.map(|options| options.header(name, value))
            }

            /// See [`SendOptions::ignore_result`].
            pub fn ignore_result(self) -> Self {
                self.map(SendOptions::ignore_result)
            }

            /// See [`SendOptions::keep_result`].
            pub fn keep_result(self) -> Self {
                self.map(SendOptions::keep_result)
            }

            /// See [`SendOptions::format`].
            pub fn format(self, format: Format) -> Self {
                self.map(|options| options.format(format))
            }

            /// See [`SendOptions::deadline`].
            pub fn deadline(self, deadline: Duration) -> Self {
                self.map(|options| options.deadline(deadline))
            }

            fn map(self, change: impl FnOnce(SendOptions) -> SendOptions) -> Self {
                Self { options: change(self.options), ..self }
            }
        }
    };
}

options!(<T: Task> Call<T>);
options!(<T: Task, In> Partial<T, In>);

impl<T: Task<Args: Clone>> Clone for Call<T> {
    fn clone(&self) -> Self {
        Self { args: self.args.clone(), options: self.options.clone() }
    }
}

impl<T: Task, In> Clone for Partial<T, In> {
    fn clone(&self) -> Self {
        Self { rest: self.rest.clone(), options: self.options.clone(), types: PhantomData }
    }
}

/// Without the arguments, which may be secret.
impl<T: Task> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut call = f.debug_struct("Call");
        call.field("task", &T::NAME).field("options", &self.options).finish_non_exhaustive()
    }
}

/// Without the arguments, which may be secret.
impl<T: Task, In> fmt::Debug for Partial<T, In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut step = f.debug_struct("Partial");
        step.field("task", &T::NAME).field("options", &self.options).finish_non_exhaustive()
    }
}
