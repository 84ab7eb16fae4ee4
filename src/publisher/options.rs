//! What a call says beyond its task and arguments.

use super::unique::Unique;
use crate::ids::TaskId;
use crate::protocol::{Embed, Format, HeaderValue, header};
use crate::task::{RateKeyError, RetryPolicy, Task, TaskOptions, check_rate_key};
use crate::topology::Target;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Options of one call. The default says nothing: the task's configuration decides.
///
/// ```
/// use celeriac::publisher::SendOptions;
/// use std::time::Duration;
///
/// let options = SendOptions::default()
///     .queue("mail")
///     .priority(7)
///     .countdown(Duration::from_secs(600))
///     .expires_in(Duration::from_secs(3600))
///     .header("tenant", "acme");
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct SendOptions {
    pub(crate) id: Option<TaskId>,
    pub(crate) target: Target,
    pub(crate) start: Start,
    pub(crate) expires: Option<Expiry>,
    pub(crate) soft_limit: Option<Duration>,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) max_retries: Option<u32>,
    pub(crate) rate_key: Option<String>,
    pub(crate) headers: BTreeMap<String, HeaderValue>,
    pub(crate) reply_to: Option<String>,
    pub(crate) ignore_result: Option<bool>,
    pub(crate) format: Option<Format>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) unique: Option<Unique>,
    pub(crate) embed: Embed,
    pub(crate) declared: Declared,
}

/// What the task's own declaration says that matters before it runs. Configuration overrides it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Declared {
    pub(crate) queue: Option<String>,
    pub(crate) priority: Option<u8>,
    pub(crate) expires: Option<Duration>,
    pub(crate) ignore_result: bool,
}

impl From<TaskOptions> for Declared {
    fn from(options: TaskOptions) -> Self {
        let TaskOptions { queue, priority, expires, ignore_result, .. } = options;
        Self { queue, priority, expires, ignore_result }
    }
}

impl From<Declared> for TaskOptions {
    fn from(declared: Declared) -> Self {
        let Declared { queue, priority, expires, ignore_result } = declared;
        Self { queue, priority, expires, ignore_result, ..Self::default() }
    }
}

/// When a task may start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Start {
    /// At once.
    #[default]
    Now,
    /// This long after it is published.
    In(Duration),
    /// At this time; at once when it is past.
    At(SystemTime),
}

/// When a task is not worth starting any more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Expiry {
    /// This long after it is published.
    In(Duration),
    /// At this time.
    At(SystemTime),
}

impl SendOptions {
    /// The options of a call of `T` that says nothing itself.
    pub(crate) fn of<T: Task>() -> Self {
        Self { declared: T::options().into(), ..Self::default() }
    }

    /// The same options, for the task that `other` are for.
    pub(crate) fn declared_as(self, other: &Self) -> Self {
        Self { declared: other.declared.clone(), ..self }
    }

    /// The task's id, instead of a random one. Sending the same id again is recognisably the same
    /// task.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// let options = SendOptions::default().id("receipt-17");
    /// let sent = app.client().send("shop.receipt", &(17,), &(), options).await?;
    /// assert_eq!(sent.id.as_str(), "receipt-17");
    /// # Ok(())
    /// # }
    /// ```
    pub fn id(self, id: impl Into<TaskId>) -> Self {
        Self { id: Some(id.into()), ..self }
    }

    /// These headers, queue, priority and rate key on top of `other`.
    pub(crate) fn over(self, mut other: Self) -> Self {
        other.headers.extend(self.headers);
        other.rate_key = self.rate_key.or(other.rate_key);
        other.target.priority = self.target.priority.or(other.target.priority);
        if self.target.queue.is_some() {
            other.target.queue = self.target.queue;
        }
        other
    }

    /// Where it is to go, as far as anything is said.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # use celeriac::topology::Target;
    /// let options = SendOptions::default().queue("mail");
    /// assert_eq!(options.target(), &Target::queue("mail"));
    /// ```
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The queue it goes to.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// let options = SendOptions::default().queue("bulk");
    /// assert_eq!(options.target().queue.as_deref(), Some("bulk"));
    /// ```
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.target.queue = Some(queue.into());
        self
    }

    /// The exchange it is published to; bindings decide the queue.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// let options = SendOptions::default().exchange("celeriac").routing_key("default");
    /// let sent = app.client().send("video.encode", &("a.mp4",), &(), options).await?;
    /// assert_eq!(sent.destination.route.exchange, "celeriac");
    /// # Ok(())
    /// # }
    /// ```
    pub fn exchange(mut self, exchange: impl Into<String>) -> Self {
        self.target.exchange = Some(exchange.into());
        self
    }

    /// The routing key for the exchange.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// let options = SendOptions::default().exchange("orders").routing_key("eu.new");
    /// assert_eq!(options.target().routing_key.as_deref(), Some("eu.new"));
    /// ```
    pub fn routing_key(mut self, key: impl Into<String>) -> Self {
        self.target.routing_key = Some(key.into());
        self
    }

    /// Its priority, on a queue that has priorities; higher goes first.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// let options = SendOptions::default().priority(7);
    /// let sent = app.client().send("mail.send", &(), &(), options).await?;
    /// assert_eq!(sent.destination.priority, Some(7));
    /// # Ok(())
    /// # }
    /// ```
    pub fn priority(mut self, priority: u8) -> Self {
        self.target.priority = Some(priority);
        self
    }

    /// Waits in the broker for this long before it may start.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{clock::Clock, prelude::*};
    /// # use std::time::Duration;
    /// # let app = App::in_memory();
    /// let minute = Duration::from_secs(60);
    /// let options = SendOptions::default().countdown(minute);
    /// let sent = app.client().send("mail.send", &(), &(), options).await?;
    /// assert_eq!(sent.eta, Some(app.virtual_clock().now() + minute));
    /// # Ok(())
    /// # }
    /// ```
    pub fn countdown(self, wait: Duration) -> Self {
        Self { start: Start::In(wait), ..self }
    }

    /// Waits in the broker until this time.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use std::time::{Duration, SystemTime};
    /// # let app = App::in_memory();
    /// let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    /// let options = SendOptions::default().eta(tomorrow);
    /// let sent = app.client().send("mail.send", &(), &(), options).await?;
    /// assert_eq!(sent.eta, Some(tomorrow));
    /// # Ok(())
    /// # }
    /// ```
    pub fn eta(self, time: SystemTime) -> Self {
        Self { start: Start::At(time), ..self }
    }

    /// Is given up if it has not started this long from now.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{clock::Clock, prelude::*};
    /// # use std::time::Duration;
    /// # let app = App::in_memory();
    /// let options = SendOptions::default().expires_in(Duration::from_secs(60));
    /// app.client().send("shop.quote", &(), &(), options).await?;
    /// let end = app.virtual_clock().now() + Duration::from_secs(60);
    /// assert_eq!(app.all_sent()[0].headers.expires, Some(end));
    /// # Ok(())
    /// # }
    /// ```
    pub fn expires_in(self, wait: Duration) -> Self {
        Self { expires: Some(Expiry::In(wait)), ..self }
    }

    /// Is given up if it has not started by this time.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{clock::Clock, prelude::*};
    /// # use std::time::Duration;
    /// # let app = App::in_memory();
    /// let closing = app.virtual_clock().now() + Duration::from_secs(3600);
    /// let options = SendOptions::default().expires_at(closing);
    /// app.client().send("shop.quote", &(), &(), options).await?;
    /// assert_eq!(app.all_sent()[0].headers.expires, Some(closing));
    /// # Ok(())
    /// # }
    /// ```
    pub fn expires_at(self, time: SystemTime) -> Self {
        Self { expires: Some(Expiry::At(time)), ..self }
    }

    /// The task is asked to stop after running this long.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use std::time::Duration;
    /// # let app = App::in_memory();
    /// let seconds = Duration::from_secs;
    /// let options = SendOptions::default().soft_limit(seconds(50)).time_limit(seconds(60));
    /// app.client().send("index.build", &(), &(), options).await?;
    /// assert_eq!(app.all_sent()[0].headers.time_limits.soft, Some(50.0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn soft_limit(self, limit: Duration) -> Self {
        Self { soft_limit: Some(limit), ..self }
    }

    /// The task is stopped after running this long.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use std::time::Duration;
    /// # let app = App::in_memory();
    /// let options = SendOptions::default().time_limit(Duration::from_millis(1500));
    /// app.client().send("index.build", &(), &(), options).await?;
    /// assert_eq!(app.all_sent()[0].headers.time_limits.hard, Some(1.5));
    /// # Ok(())
    /// # }
    /// ```
    pub fn time_limit(self, limit: Duration) -> Self {
        Self { time_limit: Some(limit), ..self }
    }

    /// How it is retried, instead of what the task's configuration says.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::protocol::header;
    /// # let app = App::in_memory();
    /// let forever = RetryPolicy { max_retries: None, ..RetryPolicy::default() };
    /// let options = SendOptions::default().retry(forever.clone());
    /// app.client().send("api.push", &(), &(), options).await?;
    /// assert_eq!(app.all_sent()[0].headers.extra[header::RETRY], forever.to_header());
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry(self, policy: RetryPolicy) -> Self {
        Self { retry: Some(policy), ..self }
    }

    /// How often it is retried, whatever else its policy says.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "api.never")]
    /// # async fn never() -> anyhow::Result<()> { anyhow::bail!("the API is down") }
    /// # let app = App::in_memory();
    /// let options = SendOptions::default().max_retries(0);
    /// app.client().send("api.never", &(), &(), options).await?;
    /// let report = TestWorker::new(&app).register::<never>().drain().await;
    /// assert_eq!(report.of_named("api.never").given_up(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_retries(self, retries: u32) -> Self {
        Self { max_retries: Some(retries), ..self }
    }

    /// Whom it counts for where its task has a rate: each key has the whole rate for itself, so that
    /// one tenant's thousands do not keep another's few waiting. From 1 to 255 bytes, which are no
    /// secret: they travel in the header `celeriac-rate-key`. Where the task has no rate it does
    /// nothing. With a key of another length the call is refused:
    /// [`SendError::RateKey`](super::SendError::RateKey).
    ///
    /// ```
    /// use celeriac::publisher::SendOptions;
    ///
    /// let options = SendOptions::default().rate_key("smtp:acme");
    /// ```
    ///
    /// Calls of a task without a key share its rate, as one key would. A retry keeps its key; what
    /// follows from a task (the next step of a chain, what replaces it) has its own or none.
    pub fn rate_key(self, key: impl Into<String>) -> Self {
        Self { rate_key: Some(key.into()), ..self }
    }

    /// Is sent only if no other call with this key was sent within the [window](Self::within), which
    /// is an hour unless it is told. The key counts for all tasks of the virtual host: name the task
    /// in it. Who comes second is told the id of the first, see
    /// [`Sent::duplicate_of`](super::Sent::duplicate_of).
    ///
    /// ```
    /// use celeriac::publisher::SendOptions;
    /// use std::time::Duration;
    ///
    /// let options = SendOptions::default()
    ///     .unique("mail.welcome:42")
    ///     .within(Duration::from_secs(86_400));
    /// ```
    ///
    /// Sending the same [id](Self::id) again is no duplicate: it is sent again. So a request that is
    /// repeated because its answer was lost should bring its own id, or a sender that died after it
    /// took the key and before it sent keeps the task from being sent for the rest of the window.
    ///
    /// It costs the broker some milliseconds of work per call and a small queue per key for the
    /// window: thousands of keys are fine, millions are not.
    pub fn unique(mut self, key: impl Into<String>) -> Self {
        let window = self.unique.and_then(|unique| unique.window);
        self.unique = Some(Unique { key: key.into(), window });
        self
    }

    /// How long a [unique](Self::unique) key is taken once a call with it was sent: from 1 ms to 49
    /// days, whole milliseconds. Does nothing without a key. A restart of the broker begins the
    /// window anew.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use std::time::Duration;
    /// # let app = App::in_memory();
    /// let options = SendOptions::default().unique("report").within(Duration::from_secs(60));
    /// let first = app.client().send("report", &(), &(), options.clone()).await?;
    /// app.pass(Duration::from_secs(59));
    /// let second = app.client().send("report", &(), &(), options).await?;
    /// assert_eq!(second.duplicate_of(), Some(&first.id));
    /// # Ok(())
    /// # }
    /// ```
    pub fn within(mut self, window: Duration) -> Self {
        if let Some(unique) = &mut self.unique {
            unique.window = Some(window);
        }
        self
    }

    /// A header of the message; the task sees it in its context.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// let options = SendOptions::default().header("tenant", "acme").header("shard", 3_u32);
    /// app.client().send("shop.bill", &(), &(), options).await?;
    /// assert_eq!(app.all_sent()[0].headers.extra["shard"], 3_u32.into());
    /// # Ok(())
    /// # }
    /// ```
    pub fn header(mut self, name: impl Into<String>, value: impl Into<HeaderValue>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// The queue that wants the result.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// let options = SendOptions::default().reply_to("answers");
    /// app.client().send("shop.add", &(1, 2), &(), options).await?;
    /// assert_eq!(app.all_sent()[0].properties.reply_to.as_deref(), Some("answers"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn reply_to(self, queue: impl Into<String>) -> Self {
        Self { reply_to: Some(queue.into()), ..self }
    }

    /// Nobody wants the result.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// let options = SendOptions::default().ignore_result();
    /// let sent = app.client().publisher().send("log.rotate", &(), &(), options).await?;
    /// assert!(!sent.keeps_result);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ignore_result(self) -> Self {
        Self { ignore_result: Some(true), ..self }
    }

    /// The result is wanted, even if the task stores none by itself.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # let app = App::in_memory();
    /// let options = SendOptions::default().keep_result();
    /// let sent = app.client().publisher().send("shop.add", &(1, 2), &(), options).await?;
    /// assert!(sent.keeps_result);
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_result(self) -> Self {
        Self { ignore_result: Some(false), ..self }
    }

    /// How the arguments are written.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::protocol::Format;
    /// # let app = App::in_memory();
    /// let options = SendOptions::default().format(Format::Json);
    /// app.client().send("shop.add", &(1, 2), &(), options).await?;
    /// let content_type = app.all_sent()[0].properties.content_type.clone();
    /// assert_eq!(content_type.as_deref(), Some("application/json"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn format(self, format: Format) -> Self {
        Self { format: Some(format), ..self }
    }

    /// How long publishing may take, reconnections included.
    ///
    /// ```no_run
    /// # use celeriac::prelude::*;
    /// # use std::time::Duration;
    /// # async fn example(app: App) -> anyhow::Result<()> {
    /// let options = SendOptions::default().deadline(Duration::from_secs(2));
    /// app.client().send("shop.add", &(1, 2), &(), options).await?; // an error after two seconds
    /// # Ok(())
    /// # }
    /// ```
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// What follows the task: links, the rest of a chain.
    pub fn embed(self, embed: Embed) -> Self {
        Self { embed, ..self }
    }

    /// Whether a call may say this.
    pub(crate) fn check(&self) -> Result<(), RateKeyError> {
        self.rate_key.as_deref().map_or(Ok(()), check_rate_key)
    }

    /// The headers of the message that say what Celery has no header for.
    pub(crate) fn extra_headers(&self) -> BTreeMap<String, HeaderValue> {
        let key = self.rate_key.as_deref().map(HeaderValue::from);
        let ours = [(header::RETRY, self.retry_header()), (header::RATE_KEY, key)];
        let ours = ours.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let mut headers = self.headers.clone();
        headers.extend(ours);
        headers
    }

    /// What the message says about retries: a whole policy, or only how many.
    fn retry_header(&self) -> Option<HeaderValue> {
        let times = |retries| HeaderValue::Table([("max".to_owned(), retries)].into());
        match (&self.retry, self.max_retries.map(HeaderValue::from)) {
            (None, times_only) => times_only.map(times),
            (Some(policy), None) => Some(policy.to_header()),
            (Some(policy), Some(_)) => {
                let policy = RetryPolicy { max_retries: self.max_retries, ..policy.clone() };
                Some(policy.to_header())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_changes_only_what_it_says_about_retries() {
        let declared = RetryPolicy { retry_on: vec!["A".to_owned()], ..RetryPolicy::default() };
        let seen = |options: SendOptions| match options.retry_header() {
            Some(header) => declared.with_header(&header),
            None => declared.clone(),
        };
        let policy = RetryPolicy { max_retries: None, ..RetryPolicy::default() };
        assert_eq!(seen(SendOptions::default()), declared);
        let times = seen(SendOptions::default().max_retries(9));
        assert_eq!(times, RetryPolicy { max_retries: Some(9), ..declared.clone() });
        assert_eq!(seen(SendOptions::default().retry(policy.clone())), policy);
        let both = seen(SendOptions::default().retry(policy.clone()).max_retries(9));
        assert_eq!(both, RetryPolicy { max_retries: Some(9), ..policy });
    }
}
