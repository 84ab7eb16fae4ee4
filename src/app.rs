//! Puts the parts together as a configuration asks for them.

use crate::broker::{Broker, ConnectError};
use crate::client::Client;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::handler::Registry;
use crate::publisher::Publisher;
use crate::results::{Backend, Nowhere, ResultBackend, Rpc};
use crate::topology::{BadPattern, Router};
use crate::worker::Worker;
use std::sync::Arc;

/// A configuration with its connection to the broker. Cloning is cheap.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use celeriac::app::App;
/// use celeriac::config::Config;
/// use celeriac::publisher::SendOptions;
///
/// let app = App::connect(Config::default()).await?;
/// let call = app.client().call("shop.add", &(1, 2), &(), SendOptions::default()).await?;
/// let sum: i64 = call.result().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct App {
    config: Arc<Config>,
    client: Client,
    clock: Arc<dyn Clock>,
}

/// Why an [`App`] could not connect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The broker cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A pattern in `[routes]` cannot be read.
    #[error("[routes]: {0}")]
    Route(#[from] BadPattern),
}

impl App {
    /// Connects to the broker that a configuration, or a URL alone, names.
    ///
    /// # Errors
    ///
    /// When the broker cannot be reached now. Later losses are repaired.
    pub async fn connect(config: impl Into<Config>) -> Result<Self, AppError> {
        let config = config.into();
        let topology = config.topology();
        let router = Router::from_settings(&topology)?;
        let broker = Broker::connect(&config.broker, config.publisher.in_flight).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let publisher = Publisher::new(
            broker,
            config.publisher.clone(),
            topology,
            config.tasks.clone(),
            router,
            Arc::clone(&clock),
        );
        Ok(Self { config: Arc::new(config), client: Client::new(publisher), clock })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Sends tasks and waits for results.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The broker.
    pub fn broker(&self) -> &Broker {
        self.client.broker()
    }

    /// A worker that runs what is in `registry`.
    pub fn worker(&self, registry: Registry) -> Worker {
        let config = &self.config;
        Worker {
            broker: self.broker().clone(),
            publisher: self.client.publisher().clone(),
            results: self.results(),
            registry,
            settings: config.worker.clone(),
            tasks: config.tasks.clone(),
            topology: config.topology(),
            limits: (&config.limits).into(),
            clock: Arc::clone(&self.clock),
            status: Worker::status(&config.worker),
        }
    }

    fn results(&self) -> Arc<dyn ResultBackend> {
        match self.config.results.backend {
            Backend::None => Arc::new(Nowhere),
            Backend::Rpc => {
                Arc::new(Rpc::new(self.broker().clone(), self.config.publisher.deadline))
            }
        }
    }

    /// Closes the connections in order.
    pub async fn close(&self) {
        self.broker().close().await;
    }
}

impl AsRef<Client> for App {
    fn as_ref(&self) -> &Client {
        &self.client
    }
}
