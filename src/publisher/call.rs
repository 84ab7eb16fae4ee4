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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// use celeriac::prelude::*;
///
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// let app = App::in_memory();
/// let call = add(1, 2).priority(9);
/// assert_eq!(app.sent::<add>(), []);
/// call.send(&app).await?;
/// assert_eq!(app.sent::<add>(), [(1, 2)]);
/// # Ok(())
/// # }
/// ```
#[must_use = "a task call does nothing until it is sent"]
pub struct Call<T: Task> {
    args: T::Args,
    options: SendOptions,
}

/// A call of the task `T` that lacks its first argument, which is `In`: a step of a workflow that
/// takes the value of the step before.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// use celeriac::prelude::*;
/// # use celeriac::testing::TestWorker;
///
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// let app = App::in_memory();
/// let sum = add(1, 2).then(add::partial(10)).delay(&app).await?; // 10 is `b`
/// TestWorker::new(&app).register::<add>().drain().await;
/// assert_eq!(sum.await?, 13);
/// # Ok(())
/// # }
/// ```
#[must_use = "a step does nothing until it is part of a workflow that is sent"]
pub struct Partial<T: Task, In> {
    rest: Result<(Vec<Value>, BTreeMap<String, Value>), EncodeError>,
    options: SendOptions,
    types: PhantomData<fn(In) -> T>,
}

impl<T: Task> Call<T> {
    /// A call with these arguments.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// let call = Call::<add>::new((1, 2)); // what `add(1, 2)` makes
    /// assert_eq!(call.args(), add(1, 2).args());
    /// ```
    pub fn new(args: T::Args) -> Self {
        Self { args, options: SendOptions::of::<T>() }
    }

    /// What it is called with.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task]
    /// # async fn welcome(user: u64, template: String) -> anyhow::Result<()> { Ok(()) }
    /// let call = welcome(42, "short".to_owned());
    /// assert_eq!(call.args(), &(42, "short".to_owned()));
    /// ```
    pub fn args(&self) -> &T::Args {
        &self.args
    }

    /// What it says beyond its arguments.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// assert_eq!(add(1, 2).options().target().priority, None);
    /// assert_eq!(add(1, 2).priority(9).options().target().priority, Some(9));
    /// ```
    pub fn options(&self) -> &SendOptions {
        &self.options
    }

    /// Both parts.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// let ((a, b), options) = add(1, 2).queue("sums").into_parts();
    /// let swapped = add(b, a).with_options(options);
    /// assert_eq!(swapped.args(), &(2, 1));
    /// assert_eq!(swapped.options().target().queue.as_deref(), Some("sums"));
    /// ```
    pub fn into_parts(self) -> (T::Args, SendOptions) {
        (self.args, self.options)
    }

    /// The task and its arguments as a signature, and the options beside it.
    ///
    /// ```
    /// # fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// let (signature, _) = add(1, 2).into_signature()?;
    /// assert_eq!(signature.task, "shop.add");
    /// assert_eq!(signature.args, [1.into(), 2.into()]);
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// let step = add::partial(10).queue("sums");
    /// assert_eq!(step.options().target().queue.as_deref(), Some("sums"));
    /// ```
    pub fn options(&self) -> &SendOptions {
        &self.options
    }

    /// The task and the arguments that are known as a signature, and the options beside it. Who
    /// runs it puts the value of the step before in front of the positional arguments.
    ///
    /// ```
    /// # fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// let (step, _) = add::partial(10).into_signature()?;
    /// assert_eq!(step.task, "shop.add");
    /// assert_eq!(step.args, [10.into()]);
    /// # Ok(())
    /// # }
    /// ```
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
            ///
            /// ```
            /// # use celeriac::prelude::*;
            /// # #[task]
            /// # async fn digest(user: u64) -> anyhow::Result<()> { Ok(()) }
            /// let bulk = SendOptions::default().queue("bulk").priority(1);
            /// let calls = [1, 2, 3].map(|user| digest(user).with_options(bulk.clone()));
            /// assert_eq!(calls[2].options().target(), bulk.target());
            /// ```
            pub fn with_options(self, options: SendOptions) -> Self {
                Self { options: options.declared_as(&self.options), ..self }
            }

            /// See [`SendOptions::id`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # #[task]
            /// # async fn charge(order: u64) -> anyhow::Result<()> { Ok(()) }
            /// # let app = App::in_memory();
            /// let sent = charge(17).id("charge-17").send(&app).await?;
            /// assert_eq!(sent.id.as_str(), "charge-17");
            /// # Ok(())
            /// # }
            /// ```
            pub fn id(self, id: impl Into<TaskId>) -> Self {
                self.map(|options| options.id(id))
            }

            /// See [`SendOptions::queue`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::{config::Config, prelude::*, topology::QueueTable};
            /// # #[task]
            /// # async fn welcome(user: u64) -> anyhow::Result<()> { Ok(()) }
            /// # let mut config = Config::default();
            /// # config.queues.insert("mail".to_owned(), QueueTable::default());
            /// # let app = App::in_memory_with(config)?;
            /// let sent = welcome(42).queue("mail").send(&app).await?;
            /// assert_eq!(sent.destination.queue.as_deref(), Some("mail"));
            /// # Ok(())
            /// # }
            /// ```
            pub fn queue(self, queue: impl Into<String>) -> Self {
                self.map(|options| options.queue(queue))
            }

            /// See [`SendOptions::exchange`].
            ///
            /// ```
            /// # use celeriac::prelude::*;
            /// # #[task]
            /// # async fn encode(path: String) -> anyhow::Result<()> { Ok(()) }
            /// let call = encode("a.mp4".to_owned()).exchange("video");
            /// assert_eq!(call.options().target().exchange.as_deref(), Some("video"));
            /// ```
            pub fn exchange(self, exchange: impl Into<String>) -> Self {
                self.map(|options| options.exchange(exchange))
            }

            /// See [`SendOptions::routing_key`].
            ///
            /// ```
            /// # use celeriac::prelude::*;
            /// # #[task]
            /// # async fn encode(path: String) -> anyhow::Result<()> { Ok(()) }
            /// let call = encode("a.mp4".to_owned()).exchange("video").routing_key("encode.short");
            /// assert_eq!(call.options().target().routing_key.as_deref(), Some("encode.short"));
            /// ```
            pub fn routing_key(self, key: impl Into<String>) -> Self {
                self.map(|options| options.routing_key(key))
            }

            /// See [`SendOptions::priority`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # #[task]
            /// # async fn welcome(user: u64) -> anyhow::Result<()> { Ok(()) }
            /// # let app = App::in_memory();
            /// welcome(42).priority(9).send(&app).await?;
            /// assert_eq!(app.all_sent()[0].properties.priority, Some(9));
            /// # Ok(())
            /// # }
            /// ```
            pub fn priority(self, priority: u8) -> Self {
                self.map(|options| options.priority(priority))
            }

            /// See [`SendOptions::countdown`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # use celeriac::testing::TestWorker;
            /// # use std::time::Duration;
            /// # #[task(name = "mail.reminder")]
            /// # async fn reminder(user: u64) -> anyhow::Result<()> { Ok(()) }
            /// # let app = App::in_memory();
            /// let hour = Duration::from_secs(3600);
            /// reminder(42).countdown(hour).send(&app).await?;
            ///
            /// let worker = TestWorker::new(&app).register::<reminder>();
            /// assert_eq!(worker.drain().await.of::<reminder>().attempts(), 0);
            /// assert_eq!(worker.advance(hour).await.of::<reminder>().attempts(), 1);
            /// # Ok(())
            /// # }
            /// ```
            pub fn countdown(self, wait: Duration) -> Self {
                self.map(|options| options.countdown(wait))
            }

            /// See [`SendOptions::eta`]. Takes a `jiff::Timestamp` as well.
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # #[task]
            /// # async fn reminder(user: u64) -> anyhow::Result<()> { Ok(()) }
            /// # let app = App::in_memory();
            /// let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(3);
            /// let sent = reminder(42).eta(later).send(&app).await?;
            /// assert_eq!(sent.eta, Some(later.into()));
            /// # Ok(())
            /// # }
            /// ```
            pub fn eta(self, time: impl Into<SystemTime>) -> Self {
                self.map(|options| options.eta(time.into()))
            }

            /// See [`SendOptions::expires_in`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # use celeriac::testing::TestWorker;
            /// # use std::time::Duration;
            /// # #[task(name = "shop.quote")]
            /// # async fn quote(item: u64) -> anyhow::Result<()> { Ok(()) }
            /// # let app = App::in_memory();
            /// quote(7).expires(Duration::from_secs(60)).send(&app).await?;
            /// app.pass(Duration::from_secs(61)); // no worker is there
            ///
            /// let report = TestWorker::new(&app).register::<quote>().drain().await;
            /// assert_eq!(report.of::<quote>().attempts(), 0);
            /// # Ok(())
            /// # }
            /// ```
            pub fn expires(self, wait: Duration) -> Self {
                self.map(|options| options.expires_in(wait))
            }

            /// See [`SendOptions::expires_at`]. Takes a `jiff::Timestamp` as well.
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # #[task]
            /// # async fn quote(item: u64) -> anyhow::Result<()> { Ok(()) }
            /// # let app = App::in_memory();
            /// let closing = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(8);
            /// quote(7).expires_at(closing).send(&app).await?;
            /// assert!(app.all_sent()[0].headers.expires.is_some());
            /// # Ok(())
            /// # }
            /// ```
            pub fn expires_at(self, time: impl Into<SystemTime>) -> Self {
                self.map(|options| options.expires_at(time.into()))
            }

            /// See [`SendOptions::soft_limit`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # use celeriac::testing::TestWorker;
            /// # use std::time::Duration;
            /// # #[task(name = "index.build")]
            /// async fn build(ctx: Ctx) -> anyhow::Result<String> {
            ///     ctx.cancel.cancelled().await; // the limit has passed
            ///     Ok("as far as it got".to_owned())
            /// }
            ///
            /// # let app = App::in_memory();
            /// let built = build().soft_limit(Duration::from_millis(1)).delay(&app).await?;
            /// # let worker = TestWorker::new(&app).register::<build>();
            /// # worker.drain().await;
            /// assert_eq!(built.await?, "as far as it got");
            /// # Ok(())
            /// # }
            /// ```
            pub fn soft_limit(self, limit: Duration) -> Self {
                self.map(|options| options.soft_limit(limit))
            }

            /// See [`SendOptions::time_limit`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # use celeriac::testing::TestWorker;
            /// # use std::time::Duration;
            /// # #[task(name = "index.hang", max_retries = 0)]
            /// async fn hang() -> anyhow::Result<()> {
            ///     std::future::pending().await
            /// }
            ///
            /// # let app = App::in_memory();
            /// hang().time_limit(Duration::from_millis(1)).send(&app).await?;
            /// let report = TestWorker::new(&app).register::<hang>().drain().await;
            /// assert_eq!(report.of::<hang>().given_up(), 1);
            /// # Ok(())
            /// # }
            /// ```
            pub fn time_limit(self, limit: Duration) -> Self {
                self.map(|options| options.time_limit(limit))
            }

            /// See [`SendOptions::max_retries`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # use celeriac::testing::TestWorker;
            /// # use std::time::Duration;
            /// #[task(name = "api.push", max_retries = 9)]
            /// async fn push() -> anyhow::Result<()> {
            ///     anyhow::bail!("the API is down")
            /// }
            ///
            /// # let app = App::in_memory();
            /// push().max_retries(1).send(&app).await?;
            /// let worker = TestWorker::new(&app).register::<push>();
            /// let report = worker.advance(Duration::from_secs(3600)).await;
            /// assert_eq!(report.of::<push>().attempts(), 2);
            /// # Ok(())
            /// # }
            /// ```
            pub fn max_retries(self, retries: u32) -> Self {
                self.map(|options| options.max_retries(retries))
            }

            /// See [`SendOptions::retry`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # use celeriac::testing::TestWorker;
            /// # #[task(name = "api.pull")]
            /// # async fn pull() -> anyhow::Result<()> { anyhow::bail!("the API is down") }
            /// # let app = App::in_memory();
            /// let once = RetryPolicy { max_retries: Some(0), ..RetryPolicy::default() };
            /// pull().retry(once).send(&app).await?;
            /// let report = TestWorker::new(&app).register::<pull>().drain().await;
            /// assert_eq!(report.of::<pull>().given_up(), 1);
            /// # Ok(())
            /// # }
            /// ```
            pub fn retry(self, policy: RetryPolicy) -> Self {
                self.map(|options| options.retry(policy))
            }

            /// See [`SendOptions::rate_key`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # use celeriac::protocol::header;
            /// #[task(name = "crm.sync", rate = "10/s")]
            /// async fn sync(tenant: String) -> anyhow::Result<()> {
            /// #     drop(tenant);
            ///     Ok(())
            /// }
            ///
            /// # let app = App::in_memory();
            /// sync("acme".to_owned()).rate_key("acme").send(&app).await?; // ten of its own
            /// assert_eq!(app.all_sent()[0].headers.extra[header::RATE_KEY], "acme".into());
            /// # Ok(())
            /// # }
            /// ```
            pub fn rate_key(self, key: impl Into<String>) -> Self {
                self.map(|options| options.rate_key(key))
            }

            /// See [`SendOptions::unique`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # #[task]
            /// # async fn welcome(user: u64) -> anyhow::Result<()> { Ok(()) }
            /// # let app = App::in_memory();
            /// let first = welcome(42).unique("welcome:42").send(&app).await?;
            /// let second = welcome(42).unique("welcome:42").send(&app).await?;
            /// assert_eq!(second.duplicate_of(), Some(&first.id));
            /// assert_eq!(app.sent::<welcome>().len(), 1);
            /// # Ok(())
            /// # }
            /// ```
            pub fn unique(self, key: impl Into<String>) -> Self {
                self.map(|options| options.unique(key))
            }

            /// See [`SendOptions::within`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # use std::time::Duration;
            /// # #[task]
            /// # async fn digest(user: u64) -> anyhow::Result<()> { Ok(()) }
            /// # let app = App::in_memory();
            /// let day = Duration::from_secs(86_400);
            /// let daily = digest(42).unique("digest:42").within(day);
            /// daily.clone().send(&app).await?;
            /// app.pass(day);
            /// assert_eq!(daily.send(&app).await?.duplicate_of(), None);
            /// # Ok(())
            /// # }
            /// ```
            pub fn within(self, window: Duration) -> Self {
                self.map(|options| options.within(window))
            }

            /// See [`SendOptions::header`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # use celeriac::protocol::HeaderValue;
            /// # use celeriac::testing::TestWorker;
            /// #[task(name = "shop.tenant")]
            /// async fn tenant(ctx: Ctx) -> anyhow::Result<bool> {
            ///     Ok(ctx.headers.extra.get("tenant") == Some(&HeaderValue::from("acme")))
            /// }
            ///
            /// # let app = App::in_memory();
            /// let is_acme = tenant().header("tenant", "acme").delay(&app).await?;
            /// # let worker = TestWorker::new(&app).register::<tenant>();
            /// # worker.drain().await;
            /// assert!(is_acme.await?);
            /// # Ok(())
            /// # }
            /// ```
            pub fn header(self, name: impl Into<String>, value: impl Into<HeaderValue>) -> Self {
                self.map(|options| options.header(name, value))
            }

            /// See [`SendOptions::ignore_result`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # #[task]
            /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
            /// # let app = App::in_memory();
            /// assert!(add(1, 2).delay(&app).await?.sent().keeps_result);
            /// assert!(!add(1, 2).ignore_result().delay(&app).await?.sent().keeps_result);
            /// # Ok(())
            /// # }
            /// ```
            pub fn ignore_result(self) -> Self {
                self.map(SendOptions::ignore_result)
            }

            /// See [`SendOptions::keep_result`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # use celeriac::testing::TestWorker;
            /// #[task(name = "shop.stock", ignore_result)]
            /// async fn stock(item: u64) -> anyhow::Result<u64> {
            ///     Ok(item * 10)
            /// }
            ///
            /// # let app = App::in_memory();
            /// let left = stock(3).keep_result().delay(&app).await?;
            /// # let worker = TestWorker::new(&app).register::<stock>();
            /// # worker.drain().await;
            /// assert_eq!(left.await?, 30);
            /// # Ok(())
            /// # }
            /// ```
            pub fn keep_result(self) -> Self {
                self.map(SendOptions::keep_result)
            }

            /// See [`SendOptions::format`].
            ///
            /// ```
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # use celeriac::protocol::Format;
            /// # #[task]
            /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
            /// # let app = App::in_memory();
            /// add(1, 2).format(Format::Json).send(&app).await?;
            /// let content_type = app.all_sent()[0].properties.content_type.clone();
            /// assert_eq!(content_type.as_deref(), Some("application/json"));
            /// # Ok(())
            /// # }
            /// ```
            pub fn format(self, format: Format) -> Self {
                self.map(|options| options.format(format))
            }

            /// See [`SendOptions::deadline`].
            ///
            /// ```no_run
            /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
            /// # use celeriac::prelude::*;
            /// # use std::time::Duration;
            /// # #[task]
            /// # async fn audit(event: String) -> anyhow::Result<()> { Ok(()) }
            /// # let app = App::connect("amqp://localhost").await?;
            /// let call = audit("login".to_owned()).deadline(Duration::from_millis(200));
            /// if let Err(error) = call.send(&app).await {
            ///     tracing::warn!(%error, "not audited"); // the login goes on
            /// }
            /// # Ok(())
            /// # }
            /// ```
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
