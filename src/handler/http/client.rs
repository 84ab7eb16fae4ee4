//! The client that all HTTP calls share.

use reqwest::redirect::Policy;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::sync::Arc;
use tracing::warn;

/// Keeps connections open between calls. Cloning is cheap, and clones share them.
#[derive(Debug, Clone)]
pub struct HttpClient(pub(super) reqwest::Client);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("HTTP calls cannot be made: {0}")]
pub struct HttpClientError(String);

impl HttpClient {
    /// A client that trusts the certificates this machine trusts. Proxies are taken from
    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
    ///
    /// # Errors
    ///
    /// When TLS or the name resolver cannot be set up.
    pub fn try_new() -> Result<Self, HttpClientError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls().map_err(|error| HttpClientError(error.to_string()))?)
            .redirect(Policy::none())
            .user_agent(concat!("celeriac/", env!("CARGO_PKG_VERSION")))
            .build();
        client.map(Self).map_err(|error| HttpClientError(error.to_string()))
    }
}

impl HttpClient {
    /// The client for whoever brings its own requests.
    #[cfg(feature = "otel")]
    pub(crate) fn into_inner(self) -> reqwest::Client {
        self.0
    }

    /// Begins a GET.
    pub(crate) fn get(&self, url: reqwest::Url) -> reqwest::RequestBuilder {
        self.0.get(url)
    }

    /// Begins a POST.
    pub(crate) fn post(&self, url: reqwest::Url) -> reqwest::RequestBuilder {
        self.0.post(url)
    }
}

/// TLS with a provider of our own: which one is the process's default is the program's choice.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = || {
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
    };
    let trusting = match versions()?.with_platform_verifier() {
        Ok(trusting) => trusting,
        Err(error) => {
            warn!(%error, "https calls will fail until ca-certificates is installed");
            versions()?.with_root_certificates(RootCertStore::empty())
        }
    };
    Ok(trusting.with_no_client_auth())
}
