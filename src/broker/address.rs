//! Where a broker is, for showing: without its password.

use super::connection::vhost;
use super::settings::Settings;
use lapin::uri::{AMQPScheme, AMQPUri};
use std::fmt;
use std::time::Duration;

/// Where a broker is. The password is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The virtual host.
    pub vhost: String,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// How often the two sides prove to each other that they live.
    pub heartbeat: Duration,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
}

impl Address {
    /// That of the first node in the settings; `None` when it cannot be read.
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let uri: AMQPUri = settings.url.expose().parse().ok()?;
        let vhost = vhost(&uri);
        let authority = uri.authority;
        Some(Self {
            host: authority.host,
            port: authority.port,
            user: authority.userinfo.username,
            vhost,
            tls: matches!(uri.scheme, AMQPScheme::AMQPS),
            heartbeat: settings.heartbeat,
            connect_timeout: settings.connect_timeout,
        })
    }
}

impl fmt::Display for Address {
    /// As a URL, with Celery's mask for the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, user, vhost, tls, .. } = self;
        let scheme = if *tls { "amqps" } else { "amqp" };
        write!(f, "{scheme}://{user}:********@{host}:{port}/{vhost}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_everything_but_the_password() {
        let url = "amqps://me:s3cr%40t@rabbit:5671/%2fvideo".into();
        let address = Address::of(&Settings { url, ..Settings::default() }).unwrap();
        assert_eq!(address.to_string(), "amqps://me:********@rabbit:5671//video");
        assert!(!format!("{address:?}").contains("s3cr"));
    }
}
