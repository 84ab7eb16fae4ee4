//! `[broker]`: where RabbitMQ is and how to hold on to it.

use crate::backoff::Backoff;
use crate::secret::SecretUrl;
use crate::units;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How to reach the broker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where the broker is: `amqp://user:password@host:port/vhost`, with `amqps` for TLS. The
    /// vhost `/` is written `%2f`. In a file others may read, use `url_file` instead.
    #[schemars(default = "default_url")]
    pub url: SecretUrl,
    /// Other nodes of the same cluster, tried in order when the first is gone, then round again.
    pub failover: Vec<SecretUrl>,
    /// The connection's name in RabbitMQ's management pages. `%h` is the host, `%n` the program's
    /// mode, `%p` the process id.
    pub name: String,
    /// How often the two sides prove to each other that they live. Shorter notices a dead network
    /// sooner. Whole seconds, from "1s".
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub heartbeat: Duration,
    /// How long one attempt to connect may take.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub connect_timeout: Duration,
    /// How long to wait between attempts to connect. They never end.
    pub reconnect: Reconnect,
    /// Certificates, for an `amqps` URL.
    pub tls: Tls,
}

impl Settings {
    /// The URL with its password masked, for logs and errors.
    pub fn redacted_url(&self) -> String {
        self.url.redacted()
    }

    /// All URLs in the order in which to try them.
    pub fn urls(&self) -> impl Iterator<Item = &SecretUrl> {
        std::iter::once(&self.url).chain(&self.failover)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "amqp://guest:guest@127.0.0.1:5672/%2f".into(),
            failover: Vec::new(),
            name: "celeriac@%h".to_owned(),
            heartbeat: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            reconnect: Reconnect::default(),
            tls: Tls::default(),
        }
    }
}

/// The password of RabbitMQ's built-in account is no secret: the schema shows it.
fn default_url() -> String {
    Settings::default().url.expose().to_owned()
}

/// Waits between attempts to connect: each is twice the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reconnect {
    /// The first wait.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub min: Duration,
    /// The longest wait.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub max: Duration,
    /// The share of each wait that chance may take away, from 0 to 1, so that a hundred workers do
    /// not come back in the same instant.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
}

impl Reconnect {
    /// These waits as a [`Backoff`].
    pub fn backoff(&self) -> Backoff {
        Backoff { first: self.min, factor: 2.0, max: self.max, jitter: self.jitter }
    }
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { min: Duration::from_millis(250), max: Duration::from_secs(30), jitter: 0.2 }
    }
}

/// Certificates, as PEM files.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Who may vouch for the broker, instead of the system's certificate authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/celeriac/ca.pem")]
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, when the broker asks for one. Needs `key_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/celeriac/client.pem")]
    pub cert_file: Option<PathBuf>,
    /// The private key of `cert_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/celeriac/client.key")]
    pub key_file: Option<PathBuf>,
}
