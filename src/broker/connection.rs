//! One connection to RabbitMQ, kept up.
//!
//! A [`Link`] connects, notices when the connection is gone and connects again for ever, waiting
//! longer after each failure. Losing the broker is a state, not an error: those who use a link
//! wait for [`Link::up`] and start over when what they built on it breaks. lapin's own recovery
//! stays off, because it cannot bring back a channel that failed alone and re-creates consumers
//! that nobody waits for any more.

use super::settings::Settings;
use crate::secret::SecretUrl;
use futures::StreamExt;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionBuilder, ConnectionProperties, Event};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// The longest frame, in bytes, unless the URL says otherwise: what RabbitMQ offers by itself.
///
/// Asking for it, rather than taking what is offered, lets lapin get its buffers at their final size:
/// 8 MiB per connection that stay untouched, and so cost no memory, until there is traffic.
const FRAME_MAX: u32 = 131_072;

/// How long a connection that is given up may take to close.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a link's connection is used for; part of the name the broker shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Publishing. A memory or disk alarm stops this connection, and only this one.
    Publish,
    /// Consuming and acknowledging.
    Consume,
    /// Both, so that what is published ends with what is consumed.
    Schedule,
}

/// A connection that is up.
#[derive(Debug, Clone)]
pub(crate) struct Up {
    /// The connection itself.
    pub(crate) connection: Arc<Connection>,
    /// Cancelled when the connection is lost. Whoever finds out that it is dead although it looks
    /// alive cancels this, and the supervisor makes another.
    pub(crate) gone: CancellationToken,
    /// Which of the link's connections it is, counted from 1.
    pub(crate) generation: u64,
}

/// The state of a link as others see it.
#[derive(Debug, Clone, Default)]
struct State {
    up: Option<Up>,
    generation: u64,
    blocked: Option<Arc<str>>,
    last_error: Option<Arc<str>>,
}

/// A supervised connection. Cloning is cheap; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    state: watch::Receiver<State>,
}

/// Keeps a [`Link`] connected for as long as its [`Supervisor::run`] is polled.
#[derive(Debug)]
pub(crate) struct Supervisor {
    settings: Arc<Settings>,
    purpose: Purpose,
    state: watch::Sender<State>,
}

/// Why the first connection to the broker failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The broker's address cannot be used.
    #[error("broker address {url} cannot be used: {why}")]
    Address {
        /// The address without its password.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answered, or the broker refused.
    #[error("cannot connect to {url}: {why}")]
    Refused {
        /// The address without its password.
        url: String,
        /// The reason, as the broker or the operating system gave it.
        why: String,
    },
    /// A certificate or key could not be read.
    #[error("cannot read {path} for TLS: {why}")]
    Tls {
        /// The file.
        path: String,
        /// The reason.
        why: String,
    },
}

impl Link {
    /// A link and the supervisor that keeps it up.
    pub(crate) fn new(settings: Arc<Settings>, purpose: Purpose) -> (Self, Supervisor) {
        let (sender, state) = watch::channel(State::default());
        (Self { state }, Supervisor { settings, purpose, state: sender })
    }

    /// Waits until the link is connected. Cancel safe.
    ///
    /// `None` when the supervisor has ended and no connection will come.
    pub(crate) async fn up(&self) -> Option<Up> {
        let mut state = self.state.clone();
        let state = state.wait_for(|state| state.up.is_some()).await.ok()?;
        state.up.clone()
    }

    /// The connection, if there is one now.
    pub(crate) fn now(&self) -> Option<Arc<Connection>> {
        self.state.borrow().up.as_ref().map(|up| Arc::clone(&up.connection))
    }

    /// Takes the connection for dead, so that another is made.
    pub(crate) fn abandon(&self) {
        if let Some(up) = &self.state.borrow().up {
            up.gone.cancel();
        }
    }

    /// Counts the connections so far; 0 before the first.
    pub(crate) fn generation(&self) -> u64 {
        self.state.borrow().generation
    }

    /// Whether the link is connected now.
    pub(crate) fn is_up(&self) -> bool {
        self.state.borrow().up.is_some()
    }

    /// Why the broker takes no publications at the moment, if it does not.
    pub(crate) fn blocked(&self) -> Option<Arc<str>> {
        self.state.borrow().blocked.clone()
    }

    /// Why the link is not connected, as far as known.
    pub(crate) fn last_error(&self) -> Option<Arc<str>> {
        self.state.borrow().last_error.clone()
    }
}

impl Supervisor {
    /// Connects once, without repeating.
    pub(crate) async fn connect_first(&self) -> Result<Up, ConnectError> {
        let mut last = None;
        for url in self.settings.urls() {
            match self.connect(url).await {
                Ok(connection) => return Ok(self.announce(connection)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ConnectError::Address {
            url: String::new(),
            why: "no address is configured".to_owned(),
        }))
    }

    /// Keeps the link up, starting from `first` if there is a connection already. Never ends.
    pub(crate) async fn run(self, first: Option<Up>) {
        let mut current = first;
        loop {
            let up = match current.take() {
                Some(up) => up,
                None => self.reconnect().await,
            };
            let reason = self.watch(&up).await;
            up.gone.cancel();
            warn!(purpose = ?self.purpose, %reason, "connection lost, connecting again");
            // One that was taken for dead may live, and the broker would leave with it what it holds.
            let closing = up.connection.close(200, "given up".into());
            let _ = tokio::time::timeout(GOODBYE, closing).await;
            self.state.send_modify(|state| {
                state.up = None;
                state.blocked = None;
                state.last_error = Some(reason);
            });
        }
    }

    /// Tries every address in turn until one answers.
    async fn reconnect(&self) -> Up {
        let backoff = self.settings.reconnect.backoff();
        let mut failures = 0;
        loop {
            for url in self.settings.urls() {
                match self.connect(url).await {
                    Ok(connection) => {
                        info!(purpose = ?self.purpose, url = %url.redacted(), "connected");
                        return self.announce(connection);
                    }
                    Err(error) => {
                        debug!(%error, "connecting failed");
                        let reason: Arc<str> = error.to_string().into();
                        self.state.send_modify(|state| state.last_error = Some(reason));
                    }
                }
            }
            tokio::time::sleep(backoff.random_wait(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    fn announce(&self, connection: Connection) -> Up {
        let generation = self.state.borrow().generation + 1;
        let gone = CancellationToken::new();
        let up = Up { connection: Arc::new(connection), gone, generation };
        self.state.send_replace(State { up: Some(up.clone()), generation, ..State::default() });
        up
    }

    async fn connect(&self, url: &SecretUrl) -> Result<Connection, ConnectError> {
        let address = |why: String| ConnectError::Address { url: url.redacted(), why };
        let refused = |why: String| ConnectError::Refused { url: url.redacted(), why };
        let mut uri: AMQPUri = url.expose().parse().map_err(address)?;
        uri.vhost = vhost(&uri);
        let timeout = self.settings.connect_timeout;
        uri.query.frame_max.get_or_insert(FRAME_MAX);
        uri.query.heartbeat.get_or_insert(whole_seconds(self.settings.heartbeat));
        uri.query.connection_timeout = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        let builder = ConnectionBuilder::new()
            .map_err(|error| refused(error.to_string()))?
            .with_uri(uri)
            .with_properties(self.properties())
            .with_tls_config(self.tls().await?);
        match tokio::time::timeout(timeout, builder.connect()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(refused(error.to_string())),
            Err(_) => Err(refused(format!("no answer within {timeout:?}"))),
        }
    }

    fn properties(&self) -> ConnectionProperties {
        let purpose = match self.purpose {
            Purpose::Publish => "publish",
            Purpose::Consume => "consume",
            Purpose::Schedule => "schedule",
        };
        let name = crate::ids::expand_name(&self.settings.name, purpose);
        let name = format!("{name} {purpose}");
        ConnectionProperties::default()
            .with_connection_name(name.into())
            .with_client_property("product".into(), "celeriac".into())
            .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
    }

    async fn tls(&self) -> Result<OwnedTLSConfig, ConnectError> {
        let tls = &self.settings.tls;
        let mut config = OwnedTLSConfig::default();
        if let Some(path) = &tls.ca_file {
            config.cert_chain = Some(String::from_utf8_lossy(&read(path).await?).into_owned());
        }
        if let (Some(cert), Some(key)) = (&tls.cert_file, &tls.key_file) {
            let (pem, key) = (read(cert).await?, read(key).await?);
            config.identity = Some(lapin::tcp::OwnedIdentity::PKCS8 { pem, key });
        }
        Ok(config)
    }

    /// Follows the connection's events until it is gone, and says why.
    async fn watch(&self, up: &Up) -> Arc<str> {
        let connection = &up.connection;
        // An event can be lost in the moment before listening began; the look at the status every
        // second is what makes the end certain.
        let mut events = std::pin::pin!(connection.events_listener());
        let mut look = tokio::time::interval(Duration::from_secs(1));
        let mut reason: Arc<str> = "the connection was closed".into();
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(why)) => self.set_blocked(Some(why.into())),
                    Some(Event::ConnectionUnblocked) => self.set_blocked(None),
                    Some(Event::Error(error)) => reason = error.to_string().into(),
                    Some(_) => {}
                    None => return reason,
                },
                _ = look.tick() => {}
                () = up.gone.cancelled() => return "the broker does not answer".into(),
            }
            if !connection.status().connected() {
                return reason;
            }
        }
    }

    fn set_blocked(&self, reason: Option<Arc<str>>) {
        match &reason {
            Some(why) => warn!(%why, "the broker blocks publishing, waiting"),
            None => info!("the broker takes publications again"),
        }
        self.state.send_modify(|state| state.blocked = reason);
    }
}

/// Zero stays zero, which switches heartbeats off; everything else is at least a second.
fn whole_seconds(heartbeat: Duration) -> u16 {
    let seconds = u16::try_from(heartbeat.as_secs()).unwrap_or(u16::MAX);
    if heartbeat.is_zero() { 0 } else { seconds.max(1) }
}

async fn read(path: &std::path::Path) -> Result<Vec<u8>, ConnectError> {
    tokio::fs::read(path).await.map_err(|error| ConnectError::Tls {
        path: path.display().to_string(),
        why: error.to_string(),
    })
}

/// The virtual host of an address. One that ends in `/` names, to the letter, a host without a name;
/// everybody who writes it means the one called `/`.
pub(super) fn vhost(uri: &AMQPUri) -> String {
    if uri.vhost.is_empty() { "/".to_owned() } else { uri.vhost.clone() }
}
