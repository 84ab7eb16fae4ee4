//! The one way a task enters the broker.
//!
//! A [`Publisher`] turns a task's name, arguments and [`SendOptions`] into an envelope, finds where
//! it goes, sends it straight there or into the delay ladder, and returns once the broker has
//! confirmed it. The client, the command line and a worker that retries all publish through here.
//!
//! What it publishes to is declared when the broker says that it is missing, not before every
//! message.

mod announce;
mod apply;
mod call;
mod error;
mod flow;
mod options;
mod parcel;
mod planned;
mod settings;
mod trace;
mod unique;

pub use call::{Call, Partial};
pub use error::{FlowError, SendError};
pub use flow::{Flow, Parts, Step, group, join};
pub use options::SendOptions;
pub use parcel::Parcel;
pub use settings::{Compression, Serializer, Settings};
pub use unique::{UniqueError, UniqueOutcome};

use crate::broker::{Broker, DeclareError, PublishError, RawMessage};
use crate::clock::{self, Clock};
use crate::events::Events;
use crate::ids::TaskId;
use crate::protocol::{self, Body, Envelope, Format, Headers, Properties, TimeLimits};
use crate::security::Security;
use crate::task::Tasks;
use crate::topology::{self, Delay, Destination, Route, Router, Topology};
use crate::traces::Span;
use announce::Announcement;
use futures::FutureExt;
use futures::future::BoxFuture;
use options::{Expiry, Start};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::time::timeout;
use tracing::debug;
use unique::Claim;

/// The wait before a declaration that the connection interrupted is repeated.
const AGAIN: Duration = Duration::from_millis(100);

/// How long a binding that was just declared may not count yet. RabbitMQ 4.0 was seen to return messages
/// after that, while another program declared the same.
const SETTLING: Duration = Duration::from_secs(1);

/// Publishes tasks. Cloning is cheap; all clones share one connection.
#[derive(Debug, Clone)]
pub struct Publisher {
    broker: Broker,
    shared: Arc<Shared>,
    /// Where it tells what it sends, if anywhere.
    events: Option<Events>,
    /// How it signs.
    security: Security,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    topology: topology::Settings,
    tasks: Tasks,
    router: Router,
    clock: Arc<dyn Clock>,
    /// Ways out of the delay ladder that are known to exist, per life of the connection.
    exits: Mutex<HashSet<(u64, String)>>,
    /// When what a queue needs was last declared. Held while it is.
    declared: tokio::sync::Mutex<HashMap<Option<String>, Instant>>,
}

/// A task that is about to be sent, its body written.
struct Encoded<'a> {
    task: &'a str,
    format: Format,
    body: Vec<u8>,
    options: SendOptions,
}

/// A task that the broker has confirmed.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// Its id.
    pub id: TaskId,
    /// Where it was sent.
    pub destination: Destination,
    /// When it may start, if it waits.
    pub eta: Option<SystemTime>,
    /// Whether its result is stored, as far as can be known here: from the call, else from this
    /// program's configuration, else from the task's declaration.
    pub keeps_result: bool,
    /// Whether it was sent at all: one of the same key may have been before. Then `id` is that
    /// one's.
    pub outcome: UniqueOutcome,
}

/// A task as a message, and how it goes.
#[derive(Debug)]
pub(crate) struct Prepared {
    message: Arc<RawMessage>,
    delay: Option<Delay>,
    deadline: Duration,
    sent: Sent,
    claim: Option<Box<Claim>>,
    announcement: Option<Box<Announcement>>,
    span: Option<Span>,
}

impl Publisher {
    /// A publisher on `broker`.
    pub fn new(
        broker: Broker,
        settings: Settings,
        topology: topology::Settings,
        tasks: Tasks,
        router: Router,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (exits, declared) = Default::default();
        let shared = Shared { settings, topology, tasks, router, clock, exits, declared };
        Self { broker, shared: Arc::new(shared), events: None, security: Security::default() }
    }

    /// The same publisher, which tells monitors what it sends.
    #[must_use]
    pub fn telling(self, events: Option<Events>) -> Self {
        Self { events, ..self }
    }

    /// The same publisher, which signs what it sends.
    #[must_use]
    pub fn signing(self, security: Security) -> Self {
        Self { security, ..self }
    }

    /// The same publisher on another handle of its broker.
    #[must_use]
    pub fn on(&self, broker: Broker) -> Self {
        Self { broker, ..self.clone() }
    }

    /// The broker it publishes to.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// How long a publication may take, where nobody says otherwise.
    pub fn deadline(&self) -> Duration {
        self.shared.settings.deadline
    }

    /// Where tasks go.
    pub fn router(&self) -> &Router {
        &self.shared.router
    }

    /// Sends one task and waits for the broker's confirm.
    ///
    /// `args` is a tuple, list or `()`; `kwargs` a map, struct or `()`.
    ///
    /// # Errors
    ///
    /// See [`SendError`]. After [`PublishError::Unconfirmed`] the task may have been sent.
    pub async fn send(
        &self,
        task: &str,
        args: &(impl Serialize + ?Sized),
        kwargs: &(impl Serialize + ?Sized),
        options: SendOptions,
    ) -> Result<Sent, SendError> {
        let prepared = self.prepare(task, args, kwargs, options)?;
        self.dispatch(prepared).await
    }

    /// Makes the message of one task. All that can be done without waiting is done here, so that
    /// the future of [`Publisher::send`], of which a thousand are copied about at a time, holds
    /// little.
    pub(crate) fn prepare(
        &self,
        task: &str,
        args: &(impl Serialize + ?Sized),
        kwargs: &(impl Serialize + ?Sized),
        options: SendOptions,
    ) -> Result<Prepared, SendError> {
        let format = options.format.unwrap_or(self.shared.settings.serializer.format());
        let body = Body::encode(format, args, kwargs, &options.embed)?;
        self.prepare_encoded(Encoded { task, format, body, options }, |_| {})
    }

    /// Makes the message of a task whose body is written already. `finish` writes the headers that the
    /// options do not tell of.
    fn prepare_encoded(
        &self,
        encoded: Encoded<'_>,
        finish: impl FnOnce(&mut Headers),
    ) -> Result<Prepared, SendError> {
        let Encoded { task, format, body, options } = encoded;
        options.check()?;
        let deadline = options.deadline.unwrap_or(self.shared.settings.deadline);
        let defaults = self.shared.tasks.options(task, options.declared.clone().into());
        let keeps_result = !options.ignore_result.unwrap_or(defaults.ignore_result);
        let router = &self.shared.router;
        let mut destination = router.route(task, defaults.queue.as_deref(), &options.target);
        destination.priority = destination.priority.or(defaults.priority);
        let now = self.shared.clock.now();
        let (wait, eta) = options.start.resolve(now);
        let expires = options.expires.or(defaults.expires.map(Expiry::In));
        let expires = expires.map(|expiry| expiry.resolve(now));
        let mut headers = Headers { eta, expires, ..headers(task, &options) };
        finish(&mut headers);
        let span = trace::begin(&mut headers, &destination, body.len());
        let id = headers.id.clone();
        let properties = Properties {
            content_type: Some(format.content_type().to_owned()),
            priority: destination.priority,
            correlation_id: Some(id.to_string()),
            reply_to: options.reply_to,
            persistent: true,
            ..Properties::default()
        };
        let announcement = self.events.as_ref().map(|_| Box::new(Announcement::new(&headers)));
        let envelope = Envelope { properties, headers, body: body.into() };
        let envelope = self.compressed(self.security.sign(envelope, format)?)?;
        let message = Arc::new(raw(&envelope, &destination)?);
        let delay = Delay::new(wait)?;
        let claim =
            options.unique.map(|unique| Claim::new(&unique, &id).map(Box::new)).transpose()?;
        let outcome = UniqueOutcome::New;
        let sent = Sent { id, destination, eta, keeps_result, outcome };
        Ok(Prepared { message, delay, deadline, sent, claim, announcement, span })
    }

    /// Sends what was prepared, and waits for the broker's confirm.
    pub(crate) async fn dispatch(&self, mut prepared: Prepared) -> Result<Sent, SendError> {
        if let Some(claim) = prepared.claim.take() {
            return Box::pin(self.dispatch_claimed(*claim, prepared)).await;
        }
        let Prepared { message, delay, deadline, sent, announcement, span, .. } = prepared;
        let published = match delay {
            None => self.deliver(message, &sent.destination, deadline).await,
            Some(delay) => self.delay(message, &delay, &sent.destination, deadline).await,
        };
        if let Some(span) = span {
            trace::end(&span, &published);
        }
        published?;
        if let (Some(announcement), Some(events)) = (announcement, &self.events) {
            announcement.tell(&sent, events);
        }
        Ok(sent)
    }

    /// Publishes an envelope: at once, or so that it arrives after `wait`.
    ///
    /// A worker uses this to retry, to put off and to follow up.
    ///
    /// # Errors
    ///
    /// [`SendError::Publish`] and [`SendError::Delay`].
    pub async fn publish(
        &self,
        envelope: Envelope,
        destination: &Destination,
        wait: Duration,
        deadline: Duration,
    ) -> Result<(), SendError> {
        let message = Arc::new(raw(&envelope, destination)?);
        match Delay::new(wait)? {
            None => Ok(self.deliver(message, destination, deadline).await?),
            Some(delay) => Ok(self.delay(message, &delay, destination, deadline).await?),
        }
    }

    /// Publishes a message into the delay ladder. Boxed, as all that is rare.
    fn delay<'a>(
        &'a self,
        message: Arc<RawMessage>,
        delay: &'a Delay,
        destination: &'a Destination,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        let delayed = async move {
            let started = Instant::now();
            self.open_exit(destination, deadline).await?;
            let message = Arc::unwrap_or_clone(message);
            let mut message = message.delayed(delay.entry(), delay.bcc(destination));
            if destination.queue.is_some() {
                // A Celery worker publishes a retry by the exchange and key that this came with.
                message.routing_key = destination.exit_key();
            }
            let left = deadline.saturating_sub(started.elapsed());
            self.deliver(Arc::new(message), destination, left).await
        };
        delayed.boxed()
    }

    /// Publishes a message into the archive, which is declared if it is missing.
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    pub async fn bury(
        &self,
        message: Arc<RawMessage>,
        deadline: Duration,
    ) -> Result<(), PublishError> {
        let archive = Destination::exchange(&message.exchange, &message.routing_key);
        self.deliver(message, &archive, deadline).await
    }

    /// Publishes a message as it is, declaring what the broker misses.
    async fn deliver(
        &self,
        message: Arc<RawMessage>,
        destination: &Destination,
        deadline: Duration,
    ) -> Result<(), PublishError> {
        let started = Instant::now();
        let first = self.broker.publish(Arc::clone(&message), deadline).await;
        let missing =
            matches!(first, Err(PublishError::Unroutable { .. } | PublishError::NoExchange { .. }));
        if !missing {
            return first;
        }
        Box::pin(self.deliver_declared(first, message, destination, started, deadline)).await
    }

    /// Declares what a message misses that failed like `first`, and publishes it again.
    async fn deliver_declared(
        &self,
        first: Result<(), PublishError>,
        message: Arc<RawMessage>,
        destination: &Destination,
        started: Instant,
        deadline: Duration,
    ) -> Result<(), PublishError> {
        let left = || deadline.saturating_sub(started.elapsed());
        match self.declare(destination, left()).await {
            Ok(true) => {}
            Ok(false) => return first,
            // Not known to be impossible: the broker takes long, or is away.
            Err(error) => {
                let (reason, waited) = (error.to_string(), started.elapsed());
                return Err(PublishError::Disconnected { reason, waited });
            }
        }
        let defined = |queue: &String| self.shared.topology.queues.is_defined(queue);
        let is_bound = destination.queue.as_ref().is_some_and(defined);
        let bound = Instant::now();
        loop {
            let again = self.broker.publish(Arc::clone(&message), left()).await;
            let is_early = is_bound && bound.elapsed() < SETTLING && left() > AGAIN;
            match again {
                Err(PublishError::Unroutable { .. }) if is_early => {
                    tokio::time::sleep(AGAIN).await;
                }
                other => return other,
            }
        }
    }

    /// Declares what `destination` needs, if the settings say that it is ours to declare. `false`
    /// when it is not, or is refused.
    ///
    /// # Errors
    ///
    /// When the broker did not answer in time, so that it is not known.
    async fn declare(
        &self,
        destination: &Destination,
        deadline: Duration,
    ) -> Result<bool, DeclareError> {
        if !self.shared.topology.declare {
            return Ok(false);
        }
        let missed = Instant::now();
        let declare = self.outlast(|| self.declare_since(missed, destination));
        match timeout(deadline, declare).await.unwrap_or_else(|_| Err(self.silence())) {
            Ok(()) => Ok(true),
            Err(error @ DeclareError::Interrupted(_)) => Err(error),
            Err(error) => {
                debug!(%error, "what is missing is not declared");
                Ok(false)
            }
        }
    }

    /// Declares what was missing at `missed`, unless somebody else has done so since: of a thousand
    /// messages that miss the same queue one declares it and the others wait.
    async fn declare_since(
        &self,
        missed: Instant,
        destination: &Destination,
    ) -> Result<(), DeclareError> {
        let mut declared = self.shared.declared.lock().await;
        if declared.get(&destination.queue).is_some_and(|at| *at > missed) {
            return Ok(());
        }
        self.declare_now(destination).await?;
        declared.insert(destination.queue.clone(), Instant::now());
        Ok(())
    }

    async fn declare_now(&self, destination: &Destination) -> Result<(), DeclareError> {
        let settings = &self.shared.topology;
        let defined = |queue: &&String| settings.queues.is_defined(queue);
        let queues: Vec<String> = destination.queue.iter().filter(defined).cloned().collect();
        self.broker.declare(&Topology::dead(settings)).await?;
        self.broker.declare_ladder(&Topology::ladder(settings)).await?;
        self.broker.declare(&Topology::work(settings, &queues)).await
    }

    /// Makes sure that a message leaving the delay ladder finds its way to `destination`.
    ///
    /// The broker accepts a delayed message whatever becomes of it later, so this is the moment in
    /// which a missing queue is noticed.
    async fn open_exit(
        &self,
        destination: &Destination,
        deadline: Duration,
    ) -> Result<(), PublishError> {
        let key = (self.broker.generation(), destination.exit_key());
        let exits = &self.shared.exits;
        if exits.lock().unwrap_or_else(PoisonError::into_inner).contains(&key) {
            return Ok(());
        }
        let started = Instant::now();
        let exit = Topology::exit(destination);
        let bind = async || {
            let left = deadline.saturating_sub(started.elapsed());
            let bound = timeout(left, self.outlast(|| self.broker.declare(&exit))).await;
            bound.unwrap_or_else(|_| Err(self.silence()))
        };
        let mut bound = bind().await;
        let left = || deadline.saturating_sub(started.elapsed());
        if matches!(bound, Err(DeclareError::Missing(_))) {
            bound = match self.declare(destination, left()).await {
                Ok(true) => bind().await,
                Ok(false) => bound,
                Err(error) => Err(error),
            };
        }
        match bound {
            Ok(()) => {}
            Err(DeclareError::Forbidden { .. }) => {
                debug!(%destination.route, "not allowed to bind, taking the binding for granted");
            }
            Err(DeclareError::Interrupted(reason)) => {
                return Err(PublishError::Disconnected { reason, waited: started.elapsed() });
            }
            Err(_) => {
                let Route { exchange, routing_key } = destination.route.clone();
                return Err(PublishError::Unroutable { exchange, routing_key });
            }
        }
        exits.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        Ok(())
    }

    /// Repeats a declaration for as long as the connection breaks under it.
    async fn outlast<F>(&self, declare: impl Fn() -> F) -> Result<(), DeclareError>
    where
        F: Future<Output = Result<(), DeclareError>>,
    {
        loop {
            match declare().await {
                Err(DeclareError::Interrupted(reason)) => {
                    debug!(reason, "declaring again");
                    tokio::time::sleep(AGAIN).await;
                }
                other => return other,
            }
        }
    }

    /// What a declaration without an answer means.
    fn silence(&self) -> DeclareError {
        let reason = self.broker.last_error();
        DeclareError::Interrupted(reason.unwrap_or_else(|| "the broker does not answer".to_owned()))
    }

    /// The envelope with its body compressed, if it is large and the settings say so.
    fn compressed(&self, mut envelope: Envelope) -> Result<Envelope, SendError> {
        let settings = &self.shared.settings;
        let compression = match settings.compression {
            Compression::None => None,
            Compression::Zlib => Some(protocol::Compression::Gzip),
            Compression::Zstd => Some(protocol::Compression::Zstd),
        };
        if let Some(compression) = compression
            && envelope.body.len() as u64 >= settings.compress_over
        {
            envelope.headers.compression = Some(compression.header().to_owned());
            envelope.body = compression.compress(&envelope.body).into();
        }
        let (size, limit) = (envelope.body.len(), settings.max_message);
        match size as u64 > limit {
            true => Err(SendError::TooLarge { size, limit }),
            false => Ok(envelope),
        }
    }
}

impl Start {
    /// How long to wait from now, and the time to write into the message.
    ///
    /// A wait of whole steps of the ladder is kept exactly by the broker alone; the time goes along
    /// for those who read it.
    fn resolve(self, now: SystemTime) -> (Duration, Option<SystemTime>) {
        match self {
            Self::Now => (Duration::ZERO, None),
            Self::In(wait) if wait.is_zero() => (wait, None),
            Self::In(wait) => (wait, now.checked_add(wait)),
            Self::At(time) => (clock::until(time, now), Some(time)),
        }
    }
}

impl Expiry {
    fn resolve(self, now: SystemTime) -> SystemTime {
        match self {
            Self::In(wait) => now.checked_add(wait).unwrap_or(now),
            Self::At(time) => time,
        }
    }
}

impl Serializer {
    /// The format it stands for.
    pub fn format(self) -> Format {
        match self {
            Self::Msgpack => Format::MessagePack,
            Self::Json => Format::Json,
        }
    }
}

/// The headers that the options tell of, but for times.
fn headers(task: &str, options: &SendOptions) -> Headers {
    let id = options.id.clone().unwrap_or_else(TaskId::random);
    let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs_f64());
    let (hard, soft) = (seconds(options.time_limit), seconds(options.soft_limit));
    Headers {
        time_limits: TimeLimits { hard, soft },
        ignore_result: options.ignore_result,
        extra: options.extra_headers(),
        ..Headers::new(task, id)
    }
}

fn raw(envelope: &Envelope, destination: &Destination) -> Result<RawMessage, SendError> {
    let Route { exchange, routing_key } = &destination.route;
    Ok(RawMessage::try_new(exchange, routing_key, envelope)?)
}
