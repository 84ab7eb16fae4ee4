//! `[log.otlp]`: where traces go.

use crate::secret::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Traces of tasks, for any collector of OpenTelemetry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Otlp {
    /// Where traces go, by OTLP over HTTP: such as "http://otel:4318", to which /v1/traces is added.
    /// Port 4317 is mostly gRPC's, which is not spoken. Empty: nothing is traced.
    pub endpoint: String,
    /// Of the traces that begin here, so many are sent: 0.0 for none, 1.0 for all. A task whose
    /// sender traces it is traced as the sender decided.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample: f64,
    /// The name of this program in traces: `service.name`.
    pub service: String,
    /// Headers of what is sent to the endpoint, such as its key.
    #[schemars(example = serde_json::json!({ "authorization": "Bearer token" }))]
    pub headers: BTreeMap<String, Secret>,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            sample: 0.05,
            service: "celeriac".to_owned(),
            headers: BTreeMap::new(),
        }
    }
}

impl Otlp {
    /// Whether this build can trace.
    pub const IS_BUILT_IN: bool = cfg!(feature = "otel");
}

/// Why nothing can be traced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The endpoint or a header cannot be used.
    #[error("`log.otlp`: {0}")]
    Settings(String),

    /// Built without the feature `otel`.
    #[error(
        "`log.otlp.endpoint` is set, and this build cannot trace: build it with `--features otel`"
    )]
    NotBuiltIn,
}

/// Traces on their way out of this process; by default none.
#[must_use = "what is left is sent by `close`"]
#[derive(Debug, Default)]
pub struct Traces {
    #[cfg(feature = "otel")]
    exporting: Option<crate::traces::Exporting>,
}

/// Traces what this process sends and runs, if `settings` name an endpoint. Once per process, within
/// a Tokio runtime that lives until [`Traces::close`].
///
/// # Errors
/// If the settings cannot be used, or this build cannot trace.
#[cfg(feature = "otel")]
pub fn trace(settings: &Otlp) -> Result<Traces, TraceError> {
    if settings.endpoint.is_empty() {
        return Ok(Traces::default());
    }
    let client = crate::handler::http::HttpClient::try_new();
    let client = client.map_err(|error| TraceError::Settings(error.to_string()))?.into_inner();
    let header = |(name, value): (&String, &Secret)| (name.clone(), value.expose().to_owned());
    let Otlp { endpoint, sample, service, headers } = settings;
    let headers = headers.iter().map(header);
    let exporting = crate::traces::export(endpoint, headers, *sample, service, client);
    Ok(Traces { exporting: Some(exporting.map_err(TraceError::Settings)?) })
}

/// Traces nothing: this build cannot.
///
/// # Errors
/// If `settings` name an endpoint.
#[cfg(not(feature = "otel"))]
pub fn trace(settings: &Otlp) -> Result<Traces, TraceError> {
    match settings.endpoint.as_str() {
        "" => Ok(Traces::default()),
        _ => Err(TraceError::NotBuiltIn),
    }
}

impl Traces {
    /// Sends what is left. Takes some seconds at most, also when the endpoint does not answer.
    pub async fn close(self) {
        #[cfg(feature = "otel")]
        if let Some(exporting) = self.exporting {
            exporting.close().await;
        }
    }
}
