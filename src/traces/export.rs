//! Carrying spans out, by OTLP over HTTP.
//!
//! Spans wait in a bounded queue, and a thread of its own sends them in batches. An endpoint that is
//! down, slow or full costs spans and nothing else: a span that finds the queue full and a batch that
//! is not taken are lost, which is logged once and counted.

use opentelemetry::global;
use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long the endpoint may take for a batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same once the process ends.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// Spans on their way out of this process.
#[derive(Debug)]
pub(crate) struct Exporting {
    provider: SdkTracerProvider,
    fate: Arc<Fate>,
}

/// How the exporting goes.
#[derive(Debug, Default)]
struct Fate {
    lost: AtomicU64,
    is_failing: AtomicBool,
    closing: CancellationToken,
}

/// Begins to trace: of the traces that begin here, the share `sample` from 0 to 1, under the name
/// `service`, to `endpoint`, a URL to which `/v1/traces` is added. Within a runtime, which must live
/// until [`Exporting::close`].
///
/// # Errors
///
/// What is wrong, in words: the endpoint, or a header.
pub(crate) fn export(
    endpoint: &str,
    headers: impl IntoIterator<Item = (String, String)>,
    sample: f64,
    service: &str,
    client: reqwest::Client,
) -> Result<Exporting, String> {
    let inner = Otlp::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(traces_of(endpoint))
        .with_headers(headers.into_iter().collect())
        .with_timeout(PATIENCE)
        .build()
        .map_err(|error| error.to_string())?;
    let fate = Arc::new(Fate::default());
    let exporter = Exporter {
        inner,
        endpoint: endpoint.to_owned(),
        runtime: Handle::current(),
        fate: Arc::clone(&fate),
    };
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::parent_based(Sampler::TraceIdRatioBased(sample)))
        .with_resource(Resource::builder().with_service_name(service.to_owned()).build())
        .with_span_processor(BatchSpanProcessor::builder(exporter).build())
        .build();
    global::set_tracer_provider(provider.clone());
    super::begin();
    Ok(Exporting { provider, fate })
}

/// Where spans are taken at an OTLP endpoint.
fn traces_of(endpoint: &str) -> String {
    const PATH: &str = "/v1/traces";
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.ends_with(PATH) { endpoint.to_owned() } else { format!("{endpoint}{PATH}") }
}

impl Exporting {
    /// Sends what is left, which takes some seconds at most, and ends.
    pub(crate) async fn close(self) {
        let Self { provider, fate } = self;
        fate.closing.cancel();
        let close = move || provider.shutdown_with_timeout(PATIENCE);
        let closed = tokio::task::spawn_blocking(close).await;
        let lost = fate.lost.load(Ordering::Relaxed);
        if lost > 0 || !matches!(closed, Ok(Ok(()))) {
            warn!(lost, "not all spans were taken by the endpoint of `log.otlp`");
        }
    }
}

/// OTLP on our runtime, and with our say about what is lost.
#[derive(Debug)]
struct Exporter {
    inner: Otlp,
    endpoint: String,
    runtime: Handle,
    fate: Arc<Fate>,
}

impl Exporter {
    /// Sends a batch; `Err` says why it was not taken.
    async fn send(&self, batch: Vec<SpanData>) -> Result<(), String> {
        let closing = &self.fate.closing;
        if closing.is_cancelled() && self.fate.is_failing.load(Ordering::Relaxed) {
            return Err("not tried again".to_owned());
        }
        let last = async {
            closing.cancelled().await;
            sleep(LAST_PATIENCE).await;
        };
        tokio::select! {
            sent = timeout(PATIENCE, self.inner.export(batch)) => match sent {
                Ok(sent) => sent.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {PATIENCE:?}")),
            },
            () = last => Err(format!("no answer within {LAST_PATIENCE:?}")),
        }
    }
}

impl SpanExporter for Exporter {
    /// Called on the exporting thread, which is no thread of the runtime. Never an error: what went
    /// wrong is told here, once.
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let spans = batch.len() as u64;
        let Fate { lost, is_failing, .. } = &*self.fate;
        match self.runtime.block_on(self.send(batch)) {
            Ok(()) => {
                if is_failing.swap(false, Ordering::Relaxed) {
                    let lost = lost.load(Ordering::Relaxed);
                    info!(endpoint = self.endpoint, lost, "spans are taken again");
                }
            }
            Err(error) => {
                lost.fetch_add(spans, Ordering::Relaxed);
                if !is_failing.swap(true, Ordering::Relaxed) {
                    let endpoint = &self.endpoint;
                    warn!(endpoint, %error, "spans are not taken, going on without them");
                }
            }
        }
        ready(Ok(()))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_given_with_or_without_the_path() {
        for endpoint in ["http://h:4318", "http://h:4318/", "http://h:4318/v1/traces"] {
            assert_eq!(traces_of(endpoint), "http://h:4318/v1/traces");
        }
    }
}
