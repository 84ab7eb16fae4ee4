//! Spans, by OpenTelemetry's conventions for messaging.

use super::{Carried, PARENT, STATE, Told};
use futures::future::BoxFuture;
use opentelemetry::context::FutureExt;
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::sync::OnceLock;

static TRACER: OnceLock<BoxedTracer> = OnceLock::new();

/// From now on, what this process sends and runs is traced by the tracer provider that the program
/// has given to OpenTelemetry as the global one. Called once that is set; a second call does nothing.
///
/// The span that is current where a task is sent is the parent of the sending. The program `celeriac`
/// does all this by itself, as `[log.otlp]` says.
///
/// ```
/// use opentelemetry::global;
/// use opentelemetry_sdk::trace::SdkTracerProvider;
///
/// let provider = SdkTracerProvider::builder().build(); // with an exporter of your choice
/// global::set_tracer_provider(provider);
/// celeriac::traces::begin();
/// ```
pub fn begin() {
    TRACER.get_or_init(|| {
        let scope =
            InstrumentationScope::builder("celeriac").with_version(env!("CARGO_PKG_VERSION"));
        global::tracer_with_scope(scope.build())
    });
}

/// A span that has begun. All clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Span(Context);

/// The span that this runs in, whoever began it.
pub(crate) fn here() -> Option<Span> {
    TRACER.get()?;
    let context = Context::current();
    context.span().span_context().is_valid().then_some(Span(context))
}

impl Span {
    /// Sending a task begins: under what runs here, else under what the message says already.
    pub(crate) fn send<'a>(carried: Carried<'_>, told: impl FnOnce() -> Told<'a>) -> Option<Self> {
        let tracer = TRACER.get()?;
        let parent = here().or_else(|| Self::elsewhere(carried));
        let told = told();
        let mut attributes = told.attributes("send");
        attributes.push(KeyValue::new("celery.action", "apply_async"));
        let name = format!("send {}", told.task);
        Some(Self::begin(tracer, name, SpanKind::Producer, attributes, parent))
    }

    /// An attempt begins at a worker of this name: under what the message says.
    pub(crate) fn process<'a>(
        carried: Carried<'_>,
        told: impl FnOnce() -> (Told<'a>, &'a str),
    ) -> Option<Self> {
        let tracer = TRACER.get()?;
        let (told, worker) = told();
        let mut attributes = told.attributes("process");
        attributes.push(KeyValue::new("celery.action", "run"));
        attributes.push(KeyValue::new("celery.retries", i64::from(told.retries)));
        attributes.push(KeyValue::new("celery.hostname", worker.to_owned()));
        let name = format!("process {}", told.task);
        let parent = Self::elsewhere(carried);
        Some(Self::begin(tracer, name, SpanKind::Consumer, attributes, parent))
    }

    /// A span of another process. It is not for us to end.
    pub(crate) fn elsewhere(carried: Carried<'_>) -> Option<Self> {
        TRACER.get()?;
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carried);
        context.span().span_context().is_valid().then_some(Self(context))
    }

    fn begin(
        tracer: &BoxedTracer,
        name: String,
        kind: SpanKind,
        attributes: Vec<KeyValue>,
        parent: Option<Self>,
    ) -> Self {
        let parent = parent.map(|parent| parent.0).unwrap_or_default();
        let builder = tracer.span_builder(name).with_kind(kind).with_attributes(attributes);
        let span = builder.start_with_context(tracer, &parent);
        Self(parent.with_span(span))
    }

    /// The headers by which others know it.
    pub(crate) fn carried(&self) -> Vec<(&'static str, String)> {
        let mut headers = Headers(Vec::with_capacity(2));
        TraceContextPropagator::new().inject_context(&self.0, &mut headers);
        headers.0
    }

    /// `future` as a part of it.
    pub(crate) fn around<'a, T>(
        &self,
        future: impl Future<Output = T> + Send + 'a,
    ) -> BoxFuture<'a, T> {
        Box::pin(future.with_context(self.0.clone()))
    }

    /// Calls `function` as a part of it.
    pub(crate) fn in_scope<T>(self, function: impl FnOnce() -> T) -> T {
        let _entered = self.0.attach();
        function()
    }

    /// Notes the state a task is in, in Celery's words.
    pub(crate) fn state(&self, state: &'static str) {
        self.0.span().set_attribute(KeyValue::new("celery.state", state));
    }

    /// Notes that it ends with an error of this kind.
    pub(crate) fn fail(&self, kind: &str, text: &str) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new("error.type", kind.to_owned()));
        span.set_status(Status::error(text.to_owned()));
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        self.0.span().end();
    }
}

impl Told<'_> {
    fn attributes(&self, operation: &'static str) -> Vec<KeyValue> {
        let named = [self.exchange, self.routing_key, self.queue.unwrap_or_default()];
        let named: Vec<_> = named.into_iter().filter(|name| !name.is_empty()).collect();
        let size = i64::try_from(self.size).unwrap_or(i64::MAX);
        let mut attributes = vec![
            KeyValue::new("messaging.system", "rabbitmq"),
            KeyValue::new("messaging.operation.name", operation),
            KeyValue::new("messaging.operation.type", operation),
            KeyValue::new("messaging.destination.name", named.join(":")),
            KeyValue::new(
                "messaging.rabbitmq.destination.routing_key",
                self.routing_key.to_owned(),
            ),
            KeyValue::new("messaging.message.id", self.id.to_owned()),
            KeyValue::new("messaging.message.body.size", size),
            KeyValue::new("celery.task_name", self.task.to_owned()),
        ];
        let root = self
            .root
            .map(|root| KeyValue::new("messaging.message.conversation_id", root.to_owned()));
        attributes.extend(root);
        attributes
    }
}

impl Extractor for Carried<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        match name {
            PARENT => self.parent,
            STATE => self.state,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![PARENT, STATE]
    }
}

/// Headers as they are written.
struct Headers(Vec<(&'static str, String)>);

impl Injector for Headers {
    fn set(&mut self, name: &str, value: String) {
        match name {
            PARENT => self.0.push((PARENT, value)),
            STATE if !value.is_empty() => self.0.push((STATE, value)),
            _ => {}
        }
    }
}
